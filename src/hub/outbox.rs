//! A socket's outgoing side: a bounded queue of shared frames, and the way to the wire below it. The shard pushes and
//! flushes; the session's task waits for the wire to become writable when the kernel takes no more. Engine.IO's own
//! packets (ping, close) go before events at the next frame boundary, so that a full queue never looks like a dead
//! heartbeat. One lock per socket, held for no longer than one vectored write, never across an await.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::frame::Frame;

/// Frames in one vectored write.
const SLICES: usize = 64;
/// Engine.IO packets that may wait: more means a peer that floods us with pings and reads nothing.
const MAX_CONTROL: usize = 16;

/// How much may wait for one socket.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most frames.
    pub messages: usize,
    /// Most bytes; one frame always fits into an empty queue.
    pub bytes: usize,
}

/// Why a connection ends. The text is the metric's label and stands in the log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed its transport.
    ClientGone,
    /// The peer sent DISCONNECT (`41`).
    ClientDisconnect,
    /// No pong came.
    PingTimeout,
    /// The peer took nothing of what was written to it.
    WriteDeadline,
    /// What it missed is no longer in the window.
    Behind,
    /// Bytes that are no Engine.IO or Socket.IO.
    Protocol,
    /// A message over the size limit, or one that never ends.
    TooLarge,
    /// Too many events, too many answers waiting.
    Limit,
    /// No CONNECT came in time.
    NoConnect,
    /// The token was refused.
    Refused,
    /// The token ran out.
    Expired,
    /// Closed for good by an operator.
    Revoked,
    /// The node is going down.
    Draining,
}

impl CloseReason {
    /// All reasons, for metrics that are made beforehand.
    pub const ALL: [Self; 13] = [
        Self::ClientGone,
        Self::ClientDisconnect,
        Self::PingTimeout,
        Self::WriteDeadline,
        Self::Behind,
        Self::Protocol,
        Self::TooLarge,
        Self::Limit,
        Self::NoConnect,
        Self::Refused,
        Self::Expired,
        Self::Revoked,
        Self::Draining,
    ];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::ClientDisconnect => "client_disconnect",
            Self::PingTimeout => "ping_timeout",
            Self::WriteDeadline => "write_deadline",
            Self::Behind => "behind",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Limit => "limit",
            Self::NoConnect => "no_connect",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Draining => "draining",
        }
    }
}

/// What became of a pushed frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// It waits for its turn on the wire.
    Queued,
    /// There is no room: the socket is behind, and [`Outbox::take_drained`] will say when there is room again.
    Full,
    /// The connection is ending; it needs nothing more.
    Closed,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Frames that went to the wire.
    pub frames: u64,
    /// Bytes that went to the wire.
    pub bytes: u64,
}

/// A socket's outgoing side. Shared by the shard and the session's task.
#[derive(Debug)]
pub struct Outbox {
    bounds: Bounds,
    inner: Mutex<Inner>,
    /// Wakes the session's task: the wire is blocked, something waits for a poll, or the connection is to be closed.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    wire: Option<Arc<TcpStream>>,
    /// The frame that is on the wire in part, and how much of it.
    current: Option<(Frame, usize)>,
    control: VecDeque<Frame>,
    queue: VecDeque<Frame>,
    bytes: usize,
    /// Since when the wire has taken nothing although something waits.
    blocked: Option<Instant>,
    /// Somebody was turned away and is to be told when there is room.
    overflowed: bool,
    close: Option<CloseReason>,
    sent: Flushed,
}

impl Outbox {
    /// An outbox without a wire: what is pushed waits for a poll.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, inner: Mutex::default(), wake: Notify::new() }
    }

    /// From now on frames go to this stream, as WebSocket frames.
    pub fn attach(&self, wire: Arc<TcpStream>) {
        self.inner.lock().wire = Some(wire);
        self.flush();
    }

    /// Queues an event.
    pub fn push(&self, frame: Frame) -> Push {
        let mut inner = self.inner.lock();
        if inner.close.is_some() {
            return Push::Closed;
        }
        let waiting = inner.queue.len();
        if waiting >= self.bounds.messages || (waiting > 0 && inner.bytes + frame.len() > self.bounds.bytes) {
            inner.overflowed = true;
            return Push::Full;
        }
        inner.bytes += frame.len();
        inner.queue.push_back(frame);
        Push::Queued
    }

    /// Queues an answer to the client (CONNECT, ack, error): in order with the events. A peer that asks without ever
    /// reading the answers is closed when twice the bound waits.
    pub fn answer(&self, frame: Frame) {
        let mut inner = self.inner.lock();
        if inner.close.is_some() {
            return;
        }
        if inner.queue.len() >= self.bounds.messages * 2 || inner.bytes + frame.len() > self.bounds.bytes * 2 {
            inner.close = Some(CloseReason::Limit);
            drop(inner);
            self.wake.notify_one();
        } else {
            inner.bytes += frame.len();
            inner.queue.push_back(frame);
        }
    }

    /// Sends one of the transport's own packets before the events that wait.
    pub fn control(&self, frame: Frame) {
        let mut inner = self.inner.lock();
        if inner.control.len() >= MAX_CONTROL {
            inner.close.get_or_insert(CloseReason::Limit);
        } else {
            inner.control.push_back(frame);
        }
        drop(inner);
        self.flush();
    }

    /// Writes what the wire takes now. Never waits: what is left is written when [`Outbox::changed`] has woken the
    /// session's task and the wire is writable again.
    pub fn flush(&self) -> Flushed {
        let mut inner = self.inner.lock();
        let had_wire = inner.wire.is_some();
        let before = inner.blocked.is_some();
        let flushed = inner.write();
        let blocked = inner.blocked.is_some();
        let room = inner.overflowed && inner.has_room(self.bounds);
        let closing = inner.close.is_some();
        drop(inner);
        if (blocked && !before) || room || closing || !had_wire {
            self.wake.notify_one();
        }
        flushed
    }

    /// Takes what waits as Engine.IO packets for one poll, at most `max` bytes (one packet at least); `None` when
    /// nothing waits.
    #[must_use]
    pub fn take_payload(&self, max: usize) -> Option<Vec<u8>> {
        let mut inner = self.inner.lock();
        let mut payload = Vec::new();
        loop {
            let Inner { control, queue, .. } = &mut *inner;
            let (from_queue, next) = match (control.front(), queue.front()) {
                (Some(frame), _) => (false, frame),
                (None, Some(frame)) => (true, frame),
                (None, None) => break,
            };
            let packet = next.packet();
            if !payload.is_empty() {
                if payload.len() + packet.len() >= max {
                    break;
                }
                payload.push(0x1e);
            }
            payload.extend_from_slice(packet);
            let len = next.len();
            if from_queue {
                inner.queue.pop_front();
                inner.bytes -= len;
            } else {
                inner.control.pop_front();
            }
            inner.sent.frames += 1;
            inner.sent.bytes += len as u64;
        }
        inner.shrink();
        let room = inner.overflowed && inner.has_room(self.bounds);
        drop(inner);
        if room {
            self.wake.notify_one();
        }
        (!payload.is_empty()).then_some(payload)
    }

    /// Whether something waits for a poll.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let inner = self.inner.lock();
        !inner.control.is_empty() || !inner.queue.is_empty()
    }

    /// Whether everything was handed to the wire.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let inner = self.inner.lock();
        inner.current.is_none() && inner.control.is_empty() && inner.queue.is_empty()
    }

    /// Since when the wire has taken nothing although something waits; `None` when it is not blocked.
    #[must_use]
    pub fn blocked_since(&self) -> Option<Instant> {
        self.inner.lock().blocked
    }

    /// True once after the queue had overflowed and is half empty again.
    #[must_use]
    pub fn take_drained(&self) -> bool {
        let mut inner = self.inner.lock();
        let drained = inner.overflowed && inner.has_room(self.bounds);
        if drained {
            inner.overflowed = false;
        }
        drained
    }

    /// Asks the session's task to end the connection. The first reason stands.
    pub fn close(&self, reason: CloseReason) {
        self.inner.lock().close.get_or_insert(reason);
        self.wake.notify_one();
    }

    /// Why the connection is to be ended, if it is.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        self.inner.lock().close
    }

    /// Completes when something changed that the session's task should look at. Cancel safe: no wake-up is lost.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Wakes the session's task.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Frames and bytes that were handed to the wire or to polls so far.
    #[must_use]
    pub fn sent(&self) -> Flushed {
        self.inner.lock().sent
    }

    /// Bytes that wait.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Lets go of the wire and of everything that waits.
    pub fn discard(&self) {
        let mut inner = self.inner.lock();
        inner.close.get_or_insert(CloseReason::ClientGone);
        inner.wire = None;
        inner.current = None;
        inner.control = VecDeque::new();
        inner.queue = VecDeque::new();
        inner.bytes = 0;
        inner.blocked = None;
    }
}

impl Inner {
    fn has_room(&self, bounds: Bounds) -> bool {
        self.queue.len() <= bounds.messages / 2 && self.bytes <= bounds.bytes / 2
    }

    fn shrink(&mut self) {
        // An idle socket holds no buffer: there are many of them.
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
        if self.control.is_empty() && self.control.capacity() > 0 {
            self.control = VecDeque::new();
        }
    }

    fn write(&mut self) -> Flushed {
        let Some(wire) = self.wire.clone() else { return Flushed::default() };
        let mut flushed = Flushed::default();
        loop {
            let mut slices: SmallVec<[IoSlice<'_>; SLICES]> = SmallVec::new();
            if let Some((frame, written)) = &self.current {
                slices.push(IoSlice::new(&frame.wire()[*written..]));
            }
            let rest = SLICES - slices.len();
            slices.extend(self.control.iter().chain(&self.queue).take(rest).map(|f| IoSlice::new(f.wire())));
            if slices.is_empty() {
                self.blocked = None;
                break;
            }
            match wire.try_write_vectored(&slices) {
                Ok(0) => {
                    self.close.get_or_insert(CloseReason::ClientGone);
                    break;
                }
                Ok(written) => {
                    drop(slices);
                    flushed.bytes += written as u64;
                    flushed.frames += self.consume(written);
                    self.blocked = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(Instant::now);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close.get_or_insert(CloseReason::ClientGone);
                    break;
                }
            }
        }
        self.sent.frames += flushed.frames;
        self.sent.bytes += flushed.bytes;
        self.shrink();
        flushed
    }

    /// Takes `written` bytes off the front, in the order in which the slices were made. Returns the whole frames.
    fn consume(&mut self, mut written: usize) -> u64 {
        let mut frames = 0;
        while written > 0 {
            let (frame, done) = match self.current.take() {
                Some(current) => current,
                None => match self.control.pop_front() {
                    Some(frame) => (frame, 0),
                    None => match self.queue.pop_front() {
                        Some(frame) => {
                            self.bytes -= frame.len();
                            (frame, 0)
                        }
                        None => break,
                    },
                },
            };
            let left = frame.len() - done;
            if written >= left {
                written -= left;
                frames += 1;
            } else {
                self.current = Some((frame, done + written));
                written = 0;
            }
        }
        frames
    }
}
