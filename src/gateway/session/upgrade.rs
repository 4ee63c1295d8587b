//! The move from long-polling to WebSocket: a candidate is tried while polling goes on, and becomes the transport with
//! its packet `5`. From then on the session's frames go to it, and nothing of the polling session can be found any more.

use std::sync::Arc;

use super::super::websocket::{Received, WebSocket};
use super::{Session, Transport};
use crate::hub::Frame;

/// How far a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Awaited,
    Answered,
}

impl Session {
    /// The upgrade (engine.io-protocol, "Upgrade"): `2probe` is answered, then `5` makes the WebSocket the transport.
    /// Whatever goes wrong costs the candidate; polling goes on.
    pub(super) fn read_candidate(&mut self) {
        let Some((mut socket, by, mut probe)) = self.candidate.take() else { return };
        let mut answers = Vec::new();
        loop {
            match (socket.read(&mut answers), probe) {
                (Ok(None), _) => {
                    self.candidate = Some((socket, by, probe));
                    return;
                }
                (Ok(Some(Received::Text(text))), Probe::Awaited) if text.as_str() == "2probe" => {
                    let pong = Frame::text(b"3probe");
                    // A fresh socket takes eight bytes, or it is none worth upgrading to.
                    if !socket.stream().try_write(pong.wire()).is_ok_and(|n| n == pong.len()) {
                        return;
                    }
                    probe = Probe::Answered;
                    // The client pauses polling as soon as its poll is answered; anything will do.
                    self.outbox.nudge();
                }
                (Ok(Some(Received::Text(text))), Probe::Answered) if text.as_str() == "5" => {
                    self.adopt(socket);
                    return;
                }
                (Ok(Some(Received::Control)), _) => {}
                _ => return,
            }
        }
    }

    fn adopt(&mut self, socket: Box<WebSocket>) {
        self.answer_poll(b"6".to_vec());
        self.gateway.sessions.remove(&self.sid);
        self.outbox.attach(Arc::clone(socket.stream()));
        self.transport = Transport::WebSocket(socket);
        if let Some(socket) = &mut self.socket {
            socket.upgraded(&self.gateway);
        }
        // What had come in behind the `5` is read on the next turn.
        self.unread = true;
    }
}
