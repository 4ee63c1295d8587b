//! The hub in a deterministic simulation: shards that lag behind each other, sockets that stall, join, leave and drain
//! at any moment, a window that evicts. An oracle that knows only what was asked and what was published checks every
//! packet. `RTMN_SIM_SEED=n` plays one seed again, `RTMN_SIM_SEEDS=n` plays so many.

mod play;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::shard::{Input, Shard};
use super::{Bounds, Census, CloseReason, Entry, Frame, Outbox, SocketId, Source, Window};
use crate::metrics::Metrics;
use crate::position::{Cursor, Epoch, Position, Slot, TopicCode};
use crate::route::projection::Projection;
use crate::route::{Class, Emission, EmitSpec, Id, Room, RoomKind};

/// `SplitMix64`: the same everywhere, for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One way in which a socket may get an event of a record.
#[derive(Debug, Clone)]
struct Way {
    emission: usize,
    transient: bool,
    /// The memberships that open it: the room and the join's ack.
    rooms: Vec<(Room, u64)>,
    /// The leave after whose ack it is closed; until then it may have been queued before.
    left: Option<u64>,
}

/// An event that a socket is to get: one per record and name.
#[derive(Debug)]
struct Due {
    seq: u64,
    ways: Vec<Way>,
    /// It may be left out: a transient way of it came, or was to come, while the socket may have been behind.
    optional: bool,
}

impl Due {
    fn is_required(&self) -> bool {
        !self.optional && self.ways.iter().any(|way| way.left.is_none())
    }
}

struct Socket {
    id: SocketId,
    shard: usize,
    outbox: Arc<Outbox>,
    bounds: Bounds,
    rooms: Vec<(Room, u64)>,
    due: VecDeque<Due>,
    acked: HashSet<u64>,
    /// Packets that are not events and have not been read yet.
    said: usize,
    /// More may have been waiting than its queue takes: it may be behind.
    over: bool,
    from: u64,
    connected: bool,
    gone: bool,
}

enum Ask {
    Entries(Arc<[Arc<Entry>]>),
    Assigned(Arc<[(TopicCode, i32, i64)]>),
    Connect(usize, Vec<Room>),
    Join(usize, Room, u64),
    Leave(usize, Room, u64),
    Release(usize),
    Drained(usize),
    Disconnect(usize),
}

struct Sim {
    dice: Dice,
    shards: Vec<(Shard, VecDeque<Ask>, u64)>,
    sockets: Vec<Socket>,
    window: Arc<Window>,
    census: Arc<Census>,
    position: Position,
    slots: Vec<(TopicCode, i32, Slot)>,
    /// By sequence number: the entry and the node's position before it.
    log: Vec<(Arc<Entry>, Position)>,
    acks: u64,
    now: i64,
    lost: usize,
    received: usize,
}

const EVENTS: [&str; 3] = ["a", "b", "c"];

fn rooms() -> Vec<Room> {
    let id = |text| Id::parse(text).unwrap();
    vec![
        Room::new(RoomKind::User, &id("u")),
        Room::new(RoomKind::Order, &id("o1")),
        Room::new(RoomKind::Order, &id("o2")),
        Room::new(RoomKind::FlashSale, &id("s")),
    ]
}

impl Socket {
    fn say(&mut self) {
        if self.connected {
            self.said += 1;
            self.over |= self.due.len() + self.said > self.bounds.messages;
            // An answer overtakes the events of who is held, and takes their place in the queue.
            let over = self.over;
            self.due.iter_mut().for_each(|due| due.optional |= over && due.ways.iter().any(|way| way.transient));
        }
    }
}

fn answer(ack: u64) -> Frame {
    Frame::text(format!("43{ack}[]").as_bytes())
}

/// Tells the seed when a test fails in the middle of it.
struct Played(u64);

impl Drop for Played {
    fn drop(&mut self) {
        eprintln!("the simulation failed; play it again with RTMN_SIM_SEED={}", self.0);
    }
}

#[test]
fn every_socket_gets_exactly_its_events_in_order_or_is_told_that_it_cannot() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("RTMN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RTMN_SIM_SEEDS").unwrap_or(3_000),
    };
    let metrics = Arc::new(Metrics::new());
    let many = seeds.end - seeds.start >= 1_000;
    let mut totals: HashMap<&str, usize> = HashMap::new();
    for seed in seeds {
        let played = Played(seed);
        let mut sim = Sim::new(seed, &metrics);
        // Now and then long enough for several remembered positions.
        (0..if seed % 16 == 0 { 2_500 } else { 300 }).for_each(|_| sim.step());
        sim.finish();
        std::mem::forget(played);
        let Sim { received, lost, .. } = sim;
        *totals.entry("received").or_default() += received;
        *totals.entry("lost").or_default() += lost;
    }
    // A simulation in which nothing happens proves nothing.
    assert!(!many || (totals["received"] > 50_000 && totals["lost"] > 100), "{totals:?}");
}
