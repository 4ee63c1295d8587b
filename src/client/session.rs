//! What both transports share: what a packet means, who waits for which ack, and where events go. A transport hands in
//! every packet that it reads and writes every packet that it is given; it never looks into them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::packet::{Connected, EnginePacket, Handshake, PacketError, Refusal, SocketPacket};

/// One event as an app would hear it.
#[derive(Debug)]
pub struct Event {
    /// The event's name.
    pub name: String,
    /// Its arguments, raw JSON; the last is the position where the server gives one.
    pub args: Vec<Box<RawValue>>,
    /// When it was read from the transport.
    pub at: SystemTime,
}

impl Event {
    /// The first argument's JSON; empty when there is none.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.args.first().map_or("", |arg| arg.get())
    }

    /// The position: the last argument if it is a string, as the stock client takes it.
    #[must_use]
    pub fn position(&self) -> Option<String> {
        self.args.last().and_then(|arg| serde_json::from_str(arg.get()).ok())
    }
}

/// What comes from a connection.
#[derive(Debug)]
pub enum Incoming {
    /// An event.
    Event(Event),
    /// The connection's end; nothing follows.
    Closed(CloseReason),
}

/// Why a connection ended; the first two are final for a stock client, after the others it reconnects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The server sent DISCONNECT (packet `41`).
    ServerDisconnect,
    /// This side ended it.
    ClientDisconnect,
    /// The server closed the transport.
    TransportClose,
    /// The transport broke, or the peer spoke nonsense.
    TransportError(String),
    /// The server's pings stayed away.
    PingTimeout,
}

/// What this side wants done.
pub(super) enum Command {
    /// An event: its arguments as a JSON array, and who waits for the ack.
    Emit(String, Option<oneshot::Sender<Vec<Box<RawValue>>>>),
    /// A raw Engine.IO packet, for tests of what no stock client sends.
    Raw(String),
    /// Says goodbye and ends.
    Disconnect,
    /// Ends without a word, as a dying process does.
    Cut,
}

/// What a transport does after a packet.
pub(super) enum Next {
    /// Nothing.
    Read,
    /// Write this Engine.IO packet.
    Write(String),
}

/// How the connect call learns its outcome.
pub(super) type Admission = oneshot::Sender<Result<Connected, Refusal>>;

pub(super) struct Session {
    admission: Option<Admission>,
    events: mpsc::Sender<Incoming>,
    acks: HashMap<u64, oneshot::Sender<Vec<Box<RawValue>>>>,
    next_ack: u64,
    pub(super) liveness: Duration,
}

impl Session {
    /// A peer whose acks never come costs at most this many waiting entries; older ones are given up.
    const MAX_ACKS: u64 = 1024;

    pub(super) fn new(handshake: &Handshake, admission: Admission, events: mpsc::Sender<Incoming>) -> Self {
        let liveness = Duration::from_millis(handshake.ping_interval.saturating_add(handshake.ping_timeout));
        Self { admission: Some(admission), events, acks: HashMap::new(), next_ack: 0, liveness }
    }

    /// Handles one packet; an error is the connection's end.
    pub(super) async fn take(&mut self, text: &str) -> Result<Next, CloseReason> {
        match EnginePacket::parse(text)? {
            EnginePacket::Ping(rest) => return Ok(Next::Write(format!("3{rest}"))),
            EnginePacket::Close => return Err(CloseReason::TransportClose),
            EnginePacket::Message(message) => self.message(message).await?,
            EnginePacket::Open(_) | EnginePacket::Pong(_) | EnginePacket::Upgrade | EnginePacket::Noop => {}
        }
        Ok(Next::Read)
    }

    async fn message(&mut self, text: &str) -> Result<(), CloseReason> {
        match SocketPacket::parse(text)? {
            Some(SocketPacket::Connect(connected)) => {
                if let Some(admission) = self.admission.take() {
                    admission.send(Ok(connected)).map_err(|_| CloseReason::ClientDisconnect)?;
                }
            }
            Some(SocketPacket::ConnectError(refusal)) => {
                if let Some(admission) = self.admission.take() {
                    // Nobody waits any more: the connect call timed out.
                    drop(admission.send(Err(refusal)));
                }
                return Err(CloseReason::ClientDisconnect);
            }
            Some(SocketPacket::Disconnect) => return Err(CloseReason::ServerDisconnect),
            Some(SocketPacket::Event { name, args, .. }) => {
                let event = Incoming::Event(Event { name, args, at: SystemTime::now() });
                self.events.send(event).await.map_err(|_| CloseReason::ClientDisconnect)?;
            }
            Some(SocketPacket::Ack { id, args }) => {
                if let Some(waiter) = self.acks.remove(&id) {
                    // Whoever waited may have given up.
                    drop(waiter.send(args));
                }
            }
            None => {}
        }
        Ok(())
    }

    /// The packet for a command; an error is the connection's end.
    pub(super) fn encode(&mut self, command: Command) -> Result<String, CloseReason> {
        match command {
            Command::Emit(args, None) => Ok(format!("42{args}")),
            Command::Emit(args, Some(waiter)) => {
                let id = self.next_ack;
                self.next_ack += 1;
                self.acks.insert(id, waiter);
                self.acks.remove(&id.wrapping_sub(Self::MAX_ACKS));
                Ok(format!("42{id}{args}"))
            }
            Command::Raw(text) => Ok(text),
            Command::Disconnect | Command::Cut => Err(CloseReason::ClientDisconnect),
        }
    }

    /// Tells the end to whoever reads the events, if they still do.
    pub(super) async fn close(self, reason: CloseReason) {
        drop(self.events.send(Incoming::Closed(reason)).await);
    }
}

impl From<PacketError> for CloseReason {
    fn from(error: PacketError) -> Self {
        Self::TransportError(error.to_string())
    }
}
