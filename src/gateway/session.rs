//! A session: one task from the Engine.IO handshake to the end of the connection, whatever the transport. It reads
//! packets, keeps the heartbeat and every deadline, and waits for the wire when the kernel takes no more. What events
//! mean is in [`super::events`]; what goes out is decided by the socket's shard.
//!
//! It never waits for the peer without a deadline, and leaves nothing behind when it ends.

mod upgrade;

use std::future::{Future, pending, ready};
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::info;

use super::Gateway;
use super::events::Connected;
use super::packet::{self, Packet};
use super::registry::{FromHttp, SessionId};
use super::websocket::{Broken, Received, WebSocket};
use crate::hub::{CloseReason, Frame, Input, Outbox};
use upgrade::Probe;

/// Messages that are read from one socket before others get their turn.
const READS: usize = 32;
/// Namespaces that we don't have and that are refused by name; who asks for more is cut.
const MAX_STRAYS: u8 = 10;

/// How packets travel.
#[derive(Debug)]
pub enum Transport {
    /// Long-polling.
    Polling,
    /// WebSocket.
    WebSocket(Box<WebSocket>),
}

/// A session's state; [`Session::run`] is its task.
pub struct Session {
    gateway: Arc<Gateway>,
    sid: SessionId,
    outbox: Arc<Outbox>,
    transport: Transport,
    /// A WebSocket that is being tried while polling goes on, and until when.
    candidate: Option<(Box<WebSocket>, Instant, Probe)>,
    inputs: Option<mpsc::Receiver<FromHttp>>,
    poll: Option<oneshot::Sender<Vec<u8>>>,
    socket: Option<Connected>,
    /// CONNECT has been answered, with yes or no: there is no second try on this connection.
    decided: bool,
    /// Ends without a word when the client has not gone by then.
    ending: Option<(CloseReason, Instant)>,
    opened: Instant,
    ping_at: Instant,
    pong_by: Option<Instant>,
    strays: u8,
    /// The WebSocket's parser may hold whole messages already, of which the stream's readiness knows nothing.
    unread: bool,
}

/// Ends the session, for this reason.
pub(super) type Ended = CloseReason;

enum Woken {
    Changed,
    Readable,
    Candidate,
    Http(Option<FromHttp>),
    Timer,
    Order(super::rooms::OrderAnswer),
    PollGone,
    Drain,
}

impl Session {
    /// A session that has just been opened.
    pub fn new(
        gateway: Arc<Gateway>,
        sid: SessionId,
        transport: Transport,
        inputs: Option<mpsc::Receiver<FromHttp>>,
    ) -> Self {
        let outbox = Arc::new(Outbox::new(gateway.bounds()));
        if let Transport::WebSocket(socket) = &transport {
            outbox.attach(Arc::clone(socket.stream()));
        }
        // What came in behind the upgrade's request is in the parser, not in the stream.
        let unread = matches!(transport, Transport::WebSocket(_));
        let now = Instant::now();
        let ping_at = now + gateway.socket.ping_interval;
        gateway.metrics.session_opened();
        Self {
            gateway,
            sid,
            outbox,
            transport,
            candidate: None,
            inputs,
            poll: None,
            socket: None,
            decided: false,
            ending: None,
            opened: now,
            ping_at,
            pong_by: None,
            strays: 0,
            unread,
        }
    }

    /// Sends the open packet; a polling session's is the answer to its first request.
    #[must_use]
    pub fn open(self, packet: &str) -> Self {
        self.outbox.control(Frame::text(packet.as_bytes()));
        self
    }

    /// Runs to the end of the connection.
    pub async fn run(mut self) {
        let reason = loop {
            if let Err(reason) = self.turn().await {
                break reason;
            }
        };
        self.end(reason).await;
    }

    async fn turn(&mut self) -> Result<(), Ended> {
        if let Some(reason) = self.outbox.closing() {
            return Err(reason);
        }
        self.serve_poll()?;
        if self.socket.is_some()
            && self.outbox.take_drained()
            && let Some(socket) = &self.socket
        {
            socket.tell(&self.gateway, Input::Drained(socket.id)).await?;
        }
        match self.woken().await {
            Woken::Changed => Ok(()),
            Woken::Readable => self.read().await,
            Woken::Candidate => {
                self.read_candidate();
                Ok(())
            }
            Woken::Http(Some(input)) => self.http(input).await,
            Woken::Http(None) => {
                self.inputs = None;
                Ok(())
            }
            Woken::Timer => self.timer().await,
            Woken::Order(answer) => match &mut self.socket {
                Some(socket) => socket.order_answered(&self.gateway, answer).await,
                None => Ok(()),
            },
            // As the reference server does: a client that gives up a poll has gone, or comes back with a new session.
            Woken::PollGone => Err(CloseReason::ClientGone),
            Woken::Drain => Err(CloseReason::Draining),
        }
    }

    /// Waits for whatever comes first. Nothing is taken from the transports here, so that it is cancel safe.
    async fn woken(&mut self) -> Woken {
        let blocked = self.outbox.blocked_since().is_some();
        let deadline = self.next_deadline();
        let Self { outbox, transport, candidate, inputs, socket, gateway, poll, unread, .. } = self;
        let stream = match &*transport {
            Transport::Polling => None,
            Transport::WebSocket(socket) => Some(socket.stream()),
        };
        let candidate = candidate.as_ref().map(|(socket, _, _)| socket.stream());
        let order = socket.as_mut().filter(|socket| !socket.orders.is_empty());
        tokio::select! {
            () = outbox.changed() => Woken::Changed,
            () = ready(()), if *unread => Woken::Readable,
            _ = some(stream.map(|s| s.readable())) => Woken::Readable,
            () = some(poll.as_mut().map(oneshot::Sender::closed)) => Woken::PollGone,
            _ = some(stream.filter(|_| blocked).map(|s| s.writable())) => {
                outbox.flush();
                Woken::Changed
            }
            _ = some(candidate.map(|s| s.readable())) => Woken::Candidate,
            input = some(inputs.as_mut().map(mpsc::Receiver::recv)) => Woken::Http(input),
            () = tokio::time::sleep_until(deadline) => Woken::Timer,
            Some(answer) = some(order.map(|s| s.orders.next())) => Woken::Order(answer),
            () = gateway.drain.cancelled() => Woken::Drain,
        }
    }

    fn next_deadline(&self) -> Instant {
        let socket = &self.gateway.socket;
        let unfinished = match &self.transport {
            Transport::WebSocket(websocket) => websocket.begun().map(|begun| begun + socket.write_deadline),
            Transport::Polling => None,
        };
        [
            Some(self.pong_by.unwrap_or(self.ping_at)),
            (!self.decided).then(|| self.opened + socket.connect_timeout),
            self.ending.map(|(_, by)| by),
            self.outbox.blocked_since().map(|since| since + socket.write_deadline),
            unfinished,
            self.candidate.as_ref().map(|(_, by, _)| *by),
            self.socket.as_ref().and_then(Connected::next_deadline),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.ping_at)
    }

    async fn timer(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let settings = &self.gateway.socket;
        if let Some((reason, by)) = self.ending
            && now >= by
        {
            return Err(reason);
        }
        if !self.decided && now >= self.opened + settings.connect_timeout {
            return Err(CloseReason::NoConnect);
        }
        if self.outbox.blocked_since().is_some_and(|since| now >= since + settings.write_deadline) {
            return Err(CloseReason::WriteDeadline);
        }
        if let Transport::WebSocket(websocket) = &self.transport
            && websocket.begun().is_some_and(|begun| now >= begun + settings.write_deadline)
        {
            return Err(CloseReason::TooLarge);
        }
        if self.candidate.as_ref().is_some_and(|(_, by, _)| now >= *by) {
            self.candidate = None;
        }
        match self.pong_by {
            // What is blocked has its own deadline; the ping itself may be among it.
            Some(by) if now >= by && self.outbox.blocked_since().is_some() => {
                self.pong_by = Some(now + settings.ping_timeout);
            }
            Some(by) if now >= by => return Err(CloseReason::PingTimeout),
            None if now >= self.ping_at => {
                self.pong_by = Some(now + settings.ping_timeout);
                self.outbox.control(Frame::text(b"2"));
            }
            _ => {}
        }
        if let Some(socket) = &mut self.socket {
            socket.timer(&self.gateway, now).await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Ended> {
        // What was posted before the upgrade comes before what the WebSocket brings.
        while let Some(Ok(input)) = self.inputs.as_mut().map(mpsc::Receiver::try_recv) {
            self.http(input).await?;
        }
        self.unread = false;
        for _ in 0..READS {
            let Transport::WebSocket(socket) = &mut self.transport else { return Ok(()) };
            let mut answers = Vec::new();
            let received = socket.read(&mut answers);
            if !answers.is_empty() {
                self.outbox.control(Frame::raw(&answers));
            }
            match received {
                Ok(Some(Received::Text(text))) => self.engine_packet(&text).await?,
                Ok(Some(Received::Control)) => self.charge()?,
                Ok(None) => return Ok(()),
                Err(broken) => return Err(reason(broken)),
            }
        }
        // More may be there; others get their turn first.
        self.unread = true;
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn http(&mut self, input: FromHttp) -> Result<(), Ended> {
        match input {
            FromHttp::Poll(_) if self.is_websocket() => Ok(()),
            // Two polls at once: the protocol has no such thing.
            FromHttp::Poll(_) if self.poll.as_ref().is_some_and(|poll| !poll.is_closed()) => Err(CloseReason::Protocol),
            FromHttp::Poll(poll) => {
                self.poll = Some(poll);
                self.serve_poll()
            }
            FromHttp::Post(body) => {
                for packet in body.split('\x1e') {
                    self.engine_packet(packet).await?;
                }
                Ok(())
            }
            FromHttp::Upgrade(_) if self.candidate.is_some() || self.is_websocket() => Ok(()),
            FromHttp::Upgrade(socket) => {
                self.candidate = Some((socket, Instant::now() + self.gateway.socket.connect_timeout, Probe::Awaited));
                self.read_candidate();
                Ok(())
            }
        }
    }

    /// Answers the poll that waits, if there is something to say.
    fn serve_poll(&mut self) -> Result<(), Ended> {
        if self.poll.is_none() {
            return Ok(());
        }
        let upgrading = self.candidate.as_ref().is_some_and(|(_, _, probe)| *probe == Probe::Answered);
        let payload = match self.outbox.take_payload(self.gateway.socket.max_payload) {
            Some(payload) => payload,
            None if upgrading => b"6".to_vec(),
            None => return Ok(()),
        };
        // The request is gone, and with it what it was to carry: the client comes back and asks for it.
        if self.answer_poll(payload) { Ok(()) } else { Err(CloseReason::ClientGone) }
    }

    fn answer_poll(&mut self, payload: Vec<u8>) -> bool {
        self.poll.take().is_none_or(|poll| poll.send(payload).is_ok())
    }

    async fn engine_packet(&mut self, text: &str) -> Result<(), Ended> {
        match text.as_bytes().first() {
            Some(b'4') => self.message(&text[1..]).await,
            Some(b'3') if text.len() == 1 => {
                self.pong_by = None;
                self.ping_at = Instant::now() + self.gateway.socket.ping_interval;
                self.charge()
            }
            Some(b'1') if text.len() == 1 => Err(CloseReason::ClientGone),
            _ => Err(CloseReason::Protocol),
        }
    }

    /// Counts something that the client sent against its rate.
    fn charge(&mut self) -> Result<(), Ended> {
        match &mut self.socket {
            Some(socket) => socket.charge(),
            None => Ok(()),
        }
    }

    async fn message(&mut self, text: &str) -> Result<(), Ended> {
        if self.ending.is_some() {
            return Ok(());
        }
        let packet = Packet::parse(text).map_err(|_| CloseReason::Protocol)?;
        match packet {
            Packet::Connect { namespace: "/", auth } if !self.decided => {
                self.decided = true;
                match Connected::authenticate(&self.gateway, &self.outbox, auth, self.is_websocket()).await? {
                    Ok(socket) => self.socket = Some(socket),
                    Err(message) => {
                        self.outbox.answer(packet::refused("/", message));
                        self.outbox.flush();
                        self.end_soon(CloseReason::Refused);
                    }
                }
                Ok(())
            }
            // One try per connection, in one namespace.
            Packet::Connect { namespace: "/", .. } => Err(CloseReason::Protocol),
            Packet::Connect { namespace, .. } => {
                self.strays += 1;
                if self.strays > MAX_STRAYS {
                    return Err(CloseReason::Limit);
                }
                self.outbox.answer(packet::refused(namespace, "Invalid namespace"));
                self.outbox.flush();
                Ok(())
            }
            Packet::Disconnect { namespace: "/" } => {
                self.leave_hub().await;
                self.end_soon(CloseReason::ClientDisconnect);
                Ok(())
            }
            Packet::Disconnect { .. } | Packet::Ack => self.charge(),
            Packet::Event { namespace: "/", ack, name, args } => match &mut self.socket {
                Some(socket) => {
                    socket.event(&self.gateway, ack, &name, &args).await?;
                    Ok(())
                }
                None => Err(CloseReason::Protocol),
            },
            Packet::Event { .. } => Err(CloseReason::Protocol),
        }
    }

    fn is_websocket(&self) -> bool {
        matches!(self.transport, Transport::WebSocket(_))
    }

    /// Leaves the client a moment to close by itself, as the stock client does after a refusal.
    fn end_soon(&mut self, reason: CloseReason) {
        let by = Instant::now() + self.gateway.socket.connect_timeout.min(std::time::Duration::from_secs(2));
        self.ending = Some((reason, by));
    }

    async fn leave_hub(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.leave(&self.gateway, &self.outbox, CloseReason::ClientDisconnect).await;
        }
    }

    async fn end(mut self, reason: CloseReason) {
        let reason = self.ending.map_or(reason, |(ending, _)| ending);
        self.gateway.sessions.remove(&self.sid);
        if let Some(socket) = self.socket.take() {
            socket.leave(&self.gateway, &self.outbox, reason).await;
        } else if !matches!(reason, CloseReason::ClientDisconnect) {
            info!(event = "session.ended", reason = reason.as_str(), "connection ended before it was authenticated");
        }
        self.gateway.metrics.session_closed(reason.as_str());
        // A polling client learns it from its poll, a WebSocket client from the close frame; neither is waited for.
        self.answer_poll(b"1".to_vec());
        if let Transport::WebSocket(socket) = &self.transport
            && self.outbox.is_flushed()
            && !socket.is_closed()
        {
            // 1000, normal closure: the reason is ours to log, the client comes back whatever it says.
            let _ = socket.stream().try_write(&[0x88, 0x02, 0x03, 0xe8]);
        }
        self.outbox.discard();
    }
}

/// A branch that is only there sometimes.
async fn some<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

fn reason(broken: Broken) -> CloseReason {
    match broken {
        Broken::Gone => CloseReason::ClientGone,
        Broken::TooLarge => CloseReason::TooLarge,
        Broken::Protocol => CloseReason::Protocol,
    }
}
