//! The client's way: connect → authenticate → join → live → disconnect. Engine.IO and Socket.IO are spoken here, over
//! WebSocket and long-polling alike, so that both share one queue, one encoding and one set of rules
//! (`ARCHITECTURE.md` says why not by way of a Socket.IO crate).
//!
//! One task per session; whatever comes from the network costs an answer at most.

pub mod access;
pub mod auth;
pub mod connection;
pub mod engine;
pub mod events;
pub mod limits;
pub mod origin;
pub mod packet;
pub mod registry;
pub mod rooms;
pub mod session;
pub mod websocket;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::history::{Owners, Presence};
use crate::hub::{Bounds, Hub};
use crate::metrics::Metrics;

/// What every session shares.
#[derive(Debug)]
pub struct Gateway {
    /// Timings and bounds.
    pub socket: config::Socket,
    /// What one client may do.
    pub limits: config::Limits,
    /// Token settings.
    pub auth: config::Auth,
    /// Checks tokens.
    pub verifier: auth::Verifier,
    /// Checks origins.
    pub origins: origin::OriginPolicy,
    /// Where frames come from.
    pub hub: Arc<Hub>,
    /// A request's body must be there within this time.
    pub request_timeout: std::time::Duration,
    /// Who may follow which order.
    pub owners: Arc<Owners>,
    /// Who is connected.
    pub presence: Arc<Presence>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Polling sessions by id.
    pub sessions: registry::Registry,
    /// Session tasks.
    pub tasks: TaskTracker,
    /// Cancelled (set) once the window is filled: before that the log's past would look like the present.
    pub filled: CancellationToken,
    /// Cancelled when the node goes down: sessions end and new ones are refused.
    pub drain: CancellationToken,
}

impl Gateway {
    /// Whether new sessions are let in.
    fn is_open(&self) -> bool {
        self.filled.is_cancelled() && !self.drain.is_cancelled()
    }

    fn bounds(&self) -> Bounds {
        Bounds { messages: self.socket.queue_messages, bytes: self.socket.queue_bytes }
    }
}
