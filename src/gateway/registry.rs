//! Polling sessions by their id, so that the next request finds its session's task. A session on WebSocket is not here:
//! nobody has to find it.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::websocket::WebSocket;

/// An Engine.IO session's id: 120 random bits. Who knows it holds the session, so it is never logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What a request hands to its session's task.
#[derive(Debug)]
pub enum FromHttp {
    /// A poll: answered with packets when there are some. Dropped unanswered when the session ends.
    Poll(oneshot::Sender<Vec<u8>>),
    /// The body of a POST: packets.
    Post(String),
    /// A WebSocket that wants to take over.
    Upgrade(Box<WebSocket>),
}

/// Requests that may wait for one session's task.
pub const SESSION_QUEUE: usize = 8;

/// All polling sessions.
#[derive(Debug)]
pub struct Registry {
    max: usize,
    sessions: Mutex<HashMap<String, mpsc::Sender<FromHttp>>>,
}

impl Registry {
    /// No sessions, and never more than `max`: one connection can open many, none of which holds a connection.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, sessions: Mutex::default() }
    }

    /// Makes a session findable; `false` when there are too many already.
    #[must_use]
    pub fn insert(&self, id: &SessionId, session: mpsc::Sender<FromHttp>) -> bool {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.max {
            return false;
        }
        sessions.insert(id.0.clone(), session);
        true
    }

    /// The session of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<mpsc::Sender<FromHttp>> {
        self.sessions.lock().get(id).cloned()
    }

    /// Forgets a session.
    pub fn remove(&self, id: &SessionId) {
        self.sessions.lock().remove(&id.0);
    }

    /// Number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_sessions_than_allowed() {
        let registry = Registry::new(2);
        let (sender, _receiver) = mpsc::channel(1);
        let ids: Vec<_> = (0..3).map(|_| SessionId::random()).collect();
        assert!(registry.insert(&ids[0], sender.clone()));
        assert!(registry.insert(&ids[1], sender.clone()));
        assert!(!registry.insert(&ids[2], sender.clone()));
        registry.remove(&ids[0]);
        assert!(registry.insert(&ids[2], sender));
        assert_eq!(registry.len(), 2);
    }
}
