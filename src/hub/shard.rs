//! A shard: one task that owns its sockets, its room index and its position. Records, joins and leaves come through one
//! channel and are handled in one order, so that "join this room now" happens *between* two records: no lock, no gap.
//!
//! A socket is live, or it reads what it missed from the window: after CONNECT, while the app attaches its listeners,
//! and after its queue was full. A shard never waits for a socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use slab::Slab;
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::entry::Entry;
use super::frame::Frame;
use super::outbox::{CloseReason, Outbox, Push};
use super::window::Window;
use super::{Census, SocketId};
use crate::metrics::Metrics;
use crate::position::{Position, TopicCode};
use crate::route::{Class, Room, RoomKind};

/// Entries that a reader takes from the window at a time.
const STEP: usize = 256;
/// Inputs that are handled before the touched sockets are flushed.
const INPUTS: usize = 64;

/// What a shard is told, in one order.
#[derive(Debug)]
pub enum Input {
    /// Routed records in the node's order; the same to every shard.
    Entries(Arc<[Arc<Entry>]>),
    /// Partitions that the node follows from here on, each with its first offset.
    Assigned(Arc<[(TopicCode, i32, i64)]>),
    /// A socket is authenticated: it gets CONNECT, its rooms, and is held until [`Input::Release`].
    Connect {
        /// The socket.
        socket: SocketId,
        /// Its outgoing side.
        outbox: Arc<Outbox>,
        /// Its rooms.
        rooms: Vec<Room>,
        /// The CONNECT packet.
        hello: Frame,
    },
    /// Access is checked: the socket joins, then the answer follows. Joining twice is one membership.
    Join {
        /// The socket.
        socket: SocketId,
        /// The room.
        room: Room,
        /// Sent after the join, before any event of the room.
        answer: Option<Frame>,
    },
    /// The socket leaves; nothing of the room follows the answer.
    Leave {
        /// The socket.
        socket: SocketId,
        /// The room.
        room: Room,
        /// Sent after the leave.
        answer: Option<Frame>,
    },
    /// Something that is no emission (an ack, a notice), in order with what the socket gets.
    Say {
        /// The socket.
        socket: SocketId,
        /// What is said.
        frame: Frame,
    },
    /// The app has had its time to attach listeners: what came in between follows, then the socket is live.
    Release(SocketId),
    /// The socket's queue has room again.
    Drained(SocketId),
    /// Measures what waits for the sockets into the census.
    Measure,
    /// The socket is gone. Nothing of it is left afterwards.
    Disconnect(SocketId),
}

/// A shard's own state; [`Shard::run`] is its task.
#[derive(Debug)]
pub struct Shard {
    window: Arc<Window>,
    metrics: Arc<Metrics>,
    census: Arc<Census>,
    sockets: HashMap<SocketId, usize>,
    members: Slab<Member>,
    rooms: HashMap<Room, Vec<usize>>,
    position: Position,
    /// The next entry.
    seq: u64,
    touched: Vec<usize>,
    /// Its share of the census's queued bytes.
    queued: usize,
}

#[derive(Debug)]
struct Member {
    outbox: Arc<Outbox>,
    rooms: SmallVec<[Membership; 4]>,
    state: Reader,
    /// The entry whose event names `names` are those that were sent of it.
    seq: u64,
    names: u32,
    touched: bool,
}

#[derive(Debug)]
struct Membership {
    room: Room,
    /// The first entry that it gets of the room.
    since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Gets each record as it comes.
    Live,
    /// Waits for its app to be ready; then reads on from this entry.
    Held { from: u64 },
    /// Its queue was full at this emission of this entry, of which it has had the events of these names; reads on from
    /// there when it has drained.
    Behind { from: u64, emission: usize, names: u32 },
    /// What it missed is gone from the window: its connection is being closed.
    Lost,
}

impl Shard {
    /// A shard without sockets, at the beginning of the node's order.
    #[must_use]
    pub fn new(position: Position, window: Arc<Window>, metrics: Arc<Metrics>, census: Arc<Census>) -> Self {
        Self {
            window,
            metrics,
            census,
            sockets: HashMap::new(),
            members: Slab::new(),
            rooms: HashMap::new(),
            position,
            seq: 0,
            touched: Vec::new(),
            queued: 0,
        }
    }

    /// Handles inputs until all senders are gone.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(INPUTS);
        while inputs.recv_many(&mut batch, INPUTS).await > 0 {
            let mut sent: SmallVec<[Arc<[Arc<Entry>]>; 4]> = SmallVec::new();
            for input in batch.drain(..) {
                if let Input::Entries(entries) = &input {
                    sent.push(Arc::clone(entries));
                }
                self.handle(input);
            }
            self.flush();
            self.observe(&sent);
        }
    }

    /// Handles one input; [`Shard::flush`] writes what it queued.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Entries(entries) => entries.iter().for_each(|entry| self.deliver(entry)),
            Input::Assigned(partitions) => {
                for (topic, partition, offset) in partitions.iter() {
                    if let Some(slot) = self.position.slot(*topic, *partition) {
                        self.position.advance(slot, *offset);
                    }
                }
            }
            Input::Connect { socket, outbox, rooms, hello } => self.connect(socket, outbox, rooms, hello),
            Input::Join { socket, room, answer } => self.with(socket, |shard, key| {
                shard.join(key, room);
                shard.answer(key, answer);
            }),
            Input::Leave { socket, room, answer } => self.with(socket, |shard, key| {
                shard.leave(key, &room);
                shard.answer(key, answer);
            }),
            Input::Say { socket, frame } => self.with(socket, |shard, key| shard.answer(key, Some(frame))),
            Input::Release(socket) => self.with(socket, |shard, key| {
                if let Reader::Held { from } = shard.members[key].state {
                    shard.catch_up(key, from, 0, 0, false);
                }
            }),
            Input::Drained(socket) => self.with(socket, |shard, key| {
                if let Reader::Behind { from, emission, names } = shard.members[key].state {
                    shard.catch_up(key, from, emission, names, true);
                }
            }),
            Input::Measure => self.measure(),
            Input::Disconnect(socket) => self.disconnect(socket),
        }
    }

    fn measure(&mut self) {
        let queued = self.members.iter().map(|(_, member)| member.outbox.queued_bytes()).sum();
        self.census.queued.fetch_add(queued, Ordering::Relaxed);
        self.census.queued.fetch_sub(self.queued, Ordering::Relaxed);
        self.queued = queued;
    }

    fn with(&mut self, socket: SocketId, act: impl FnOnce(&mut Self, usize)) {
        // A socket that is gone already is no error: its messages were on their way.
        if let Some(key) = self.sockets.get(&socket).copied() {
            act(self, key);
        }
    }

    fn connect(&mut self, socket: SocketId, outbox: Arc<Outbox>, rooms: Vec<Room>, hello: Frame) {
        outbox.answer(hello);
        let key = self.members.insert(Member {
            outbox,
            rooms: SmallVec::new(),
            state: Reader::Held { from: self.seq },
            seq: u64::MAX,
            names: 0,
            touched: false,
        });
        self.sockets.insert(socket, key);
        for room in rooms {
            self.join(key, room);
        }
        touch(&mut self.touched, &mut self.members[key], key);
    }

    fn join(&mut self, key: usize, room: Room) {
        let member = &mut self.members[key];
        if member.rooms.iter().any(|m| m.room == room) {
            return;
        }
        self.census.joined(room.kind());
        if room.kind() != RoomKind::Everyone {
            if let Some(keys) = self.rooms.get_mut(&room) {
                keys.push(key);
            } else {
                self.rooms.insert(room.clone(), vec![key]);
                self.census.rooms.fetch_add(1, Ordering::Relaxed);
            }
        }
        member.rooms.push(Membership { room, since: self.seq });
    }

    fn leave(&mut self, key: usize, room: &Room) {
        let member = &mut self.members[key];
        let before = member.rooms.len();
        member.rooms.retain(|m| m.room != *room);
        if member.rooms.len() < before {
            self.unlink(key, room);
        }
    }

    fn unlink(&mut self, key: usize, room: &Room) {
        self.census.left(room.kind());
        if let Some(keys) = self.rooms.get_mut(room) {
            if let Some(at) = keys.iter().position(|k| *k == key) {
                keys.swap_remove(at);
            }
            if keys.is_empty() {
                self.rooms.remove(room);
                self.census.rooms.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn disconnect(&mut self, socket: SocketId) {
        let Some(key) = self.sockets.remove(&socket) else { return };
        let member = self.members.remove(key);
        for membership in &member.rooms {
            self.unlink(key, &membership.room);
        }
        self.touched.retain(|k| *k != key);
    }

    fn answer(&mut self, key: usize, answer: Option<Frame>) {
        if let Some(frame) = answer {
            let member = &mut self.members[key];
            member.outbox.answer(frame);
            touch(&mut self.touched, member, key);
        }
    }

    fn deliver(&mut self, entry: &Arc<Entry>) {
        debug_assert_eq!(entry.seq, self.seq, "entries come in order, without a hole");
        let Self { members, rooms, position, touched, metrics, .. } = self;
        for (index, shared) in entry.emissions.iter().enumerate() {
            let class = shared.emission.spec.class;
            let mut delivered = 0;
            let mut offer = |key: usize, member: &mut Member| {
                if member.state != Reader::Live || !member.first_of(entry.seq, shared.name) {
                    return;
                }
                let Some(frame) = entry.frame(index, position, |event| metrics.projection_failed(event)) else {
                    return;
                };
                match member.outbox.push(frame.clone()) {
                    Push::Queued => {
                        delivered += 1;
                        touch(touched, member, key);
                    }
                    Push::Full if class == Class::Transient => {}
                    Push::Full => {
                        metrics.fell_behind();
                        let names = member.names & !bit(shared.name);
                        member.state = Reader::Behind { from: entry.seq, emission: index, names };
                        touch(touched, member, key);
                    }
                    Push::Closed => {}
                }
            };
            for room in &shared.emission.rooms {
                if room.kind() == RoomKind::Everyone {
                    for (key, member) in members.iter_mut() {
                        offer(key, member);
                    }
                } else if let Some(keys) = rooms.get(room) {
                    for key in keys {
                        offer(*key, &mut members[*key]);
                    }
                }
            }
            metrics.delivered(class, delivered);
        }
        entry.cover(position);
        self.seq = entry.seq + 1;
    }

    /// Reads on from `from` (its emissions from `emission` on, those named in `names` were sent) until the socket is
    /// live or its queue is full.
    fn catch_up(&mut self, key: usize, mut from: u64, mut emission: usize, mut names: u32, skip_transient: bool) {
        let Self { members, window, position, touched, metrics, seq, .. } = self;
        let member = &mut members[key];
        touch(touched, member, key);
        loop {
            let rooms = member.rooms.iter().map(|m| (&m.room, m.since));
            let Ok(entries) = window.entries(rooms, from, *seq, STEP) else {
                member.state = Reader::Lost;
                member.outbox.close(CloseReason::Behind);
                return;
            };
            for entry in &entries {
                let had = if entry.seq == from { (emission, names) } else { (0, 0) };
                if let Err(full) = member.read(entry, had, skip_transient, window, position, metrics) {
                    let was_held = matches!(member.state, Reader::Held { .. });
                    member.state = full;
                    if full == Reader::Lost {
                        member.outbox.close(CloseReason::Behind);
                    } else if was_held {
                        // From the hold straight into being behind: it falls behind here, not at a live record.
                        metrics.fell_behind();
                    }
                    return;
                }
            }
            let Some(last) = entries.last().filter(|_| entries.len() == STEP) else { break };
            from = last.seq + 1;
            (emission, names) = (0, 0);
        }
        member.state = Reader::Live;
    }

    /// Writes what was queued since the last flush: each touched socket once.
    pub fn flush(&mut self) {
        let (mut frames, mut bytes) = (0, 0);
        for key in self.touched.drain(..) {
            if let Some(member) = self.members.get_mut(key) {
                member.touched = false;
                let flushed = member.outbox.flush();
                frames += flushed.frames;
                bytes += flushed.bytes;
            }
        }
        self.metrics.written(frames, bytes);
    }

    /// Measures from the records' timestamps to the write that has just been done, once per record and shard.
    fn observe(&self, sent: &[Arc<[Arc<Entry>]>]) {
        if self.members.is_empty() || sent.is_empty() {
            return;
        }
        let now = super::now_ms();
        for entry in sent.iter().flat_map(|entries| entries.iter()) {
            let Some(timestamp) = entry.timestamp_ms else { continue };
            for (index, shared) in entry.emissions.iter().enumerate() {
                if entry.encoded(index).is_some() {
                    self.metrics.latency(shared.emission.spec.class, now - timestamp);
                }
            }
        }
    }
}

fn touch(touched: &mut Vec<usize>, member: &mut Member, key: usize) {
    if !member.touched {
        member.touched = true;
        touched.push(key);
    }
}

/// Beyond the 31st, names share one bit; no route has so many.
fn bit(name: u8) -> u32 {
    1u32.checked_shl(u32::from(name)).unwrap_or(1 << 31)
}

impl Member {
    /// Whether this is the first emission of that name for this socket; remembers that it was.
    fn first_of(&mut self, seq: u64, name: u8) -> bool {
        if self.seq != seq {
            self.seq = seq;
            self.names = 0;
        }
        let first = self.names & bit(name) == 0;
        self.names |= bit(name);
        first
    }

    /// Queues what this socket gets of an entry, from an emission on, without the names that it has had of it. The
    /// error is the state to stay in.
    fn read(
        &mut self,
        entry: &Entry,
        (first, had): (usize, u32),
        skip_transient: bool,
        window: &Window,
        live: &Position,
        metrics: &Metrics,
    ) -> Result<(), Reader> {
        (self.seq, self.names) = (entry.seq, had);
        for (index, shared) in entry.emissions.iter().enumerate().skip(first) {
            let meant = shared
                .emission
                .rooms
                .iter()
                .any(|room| self.rooms.iter().any(|m| m.room == *room && m.since <= entry.seq));
            if !meant || !self.first_of(entry.seq, shared.name) {
                continue;
            }
            let class = shared.emission.spec.class;
            if skip_transient && class == Class::Transient {
                continue;
            }
            let frame = if let Some(frame) = entry.encoded(index) {
                frame
            } else {
                // Nobody needed it when it was live: its cursor states where the node stood then.
                let before = window.position_before(entry.seq).map_err(|_| Reader::Lost)?;
                debug_assert_eq!(before.epoch(), live.epoch(), "a window holds one epoch");
                match entry.frame(index, &before, |event| metrics.projection_failed(event)) {
                    Some(frame) => frame,
                    None => continue,
                }
            };
            match self.outbox.push(frame.clone()) {
                Push::Queued => metrics.delivered(class, 1),
                Push::Full => {
                    let names = self.names & !bit(shared.name);
                    return Err(Reader::Behind { from: entry.seq, emission: index, names });
                }
                Push::Closed => return Ok(()),
            }
        }
        Ok(())
    }
}
