//! One routed record in the node's order. Its frames are encoded when the first socket needs them, once, and shared by
//! all; a record that nobody listens to costs no projection.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::frame::Frame;
use crate::position::{Cursor, EventId, Position, Slot, TopicCode};
use crate::route::{Emission, Room};

/// What a frame has beside the payload: header, event name, id and cursor (24 partitions take about 200 characters).
const FRAME_OVERHEAD: usize = 256;

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A record on Kafka.
    Record {
        /// Its topic.
        topic: TopicCode,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// The partition's place in the node's position.
        slot: Slot,
    },
    /// Something that the bridge itself says at a tick which all nodes share.
    Tick {
        /// Its name, part of the event's id.
        name: &'static str,
        /// Number of the tick.
        tick: i64,
    },
}

/// A routed record with its place in the node's order.
#[derive(Debug)]
pub struct Entry {
    /// Place in the node's order, from 0, without holes.
    pub seq: u64,
    /// Where it comes from.
    pub source: Source,
    /// The record's timestamp in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// When it was read, in milliseconds since the Unix epoch: the window's age goes by this, never by the producer's
    /// clock.
    pub read_ms: i64,
    /// What it emits.
    pub emissions: SmallVec<[Shared; 3]>,
}

/// An emission and its frame.
#[derive(Debug)]
pub struct Shared {
    /// The emission.
    pub emission: Emission,
    /// The first emission of the entry with the same event name: sockets get one copy per name.
    pub name: u8,
    frame: OnceLock<Option<Frame>>,
}

impl Entry {
    /// Puts a routed record at its place.
    #[must_use]
    pub fn new(
        seq: u64,
        source: Source,
        timestamp_ms: Option<i64>,
        read_ms: i64,
        emissions: SmallVec<[Emission; 3]>,
    ) -> Arc<Self> {
        let mut shared: SmallVec<[Shared; 3]> = SmallVec::with_capacity(emissions.len());
        for (index, emission) in emissions.into_iter().enumerate() {
            let first = shared.iter().position(|s| s.emission.spec.event == emission.spec.event).unwrap_or(index);
            let name = u8::try_from(first).unwrap_or(u8::MAX);
            shared.push(Shared { emission, name, frame: OnceLock::new() });
        }
        Arc::new(Self { seq, source, timestamp_ms, read_ms, emissions: shared })
    }

    /// Moves `position` over this entry: afterwards the whole record is covered.
    pub fn cover(&self, position: &mut Position) {
        if let Source::Record { offset, slot, .. } = self.source {
            position.advance(slot, offset + 1);
        }
    }

    /// The frame of an emission: `42["event",payload,"ID.CURSOR"]`. `before` is the node's position before this entry,
    /// equal on all shards, so that whoever encodes first encodes for all. `None` when there is no payload; `failed` is
    /// told once if that is a failure.
    pub fn frame(&self, index: usize, before: &Position, failed: impl FnOnce(&str)) -> Option<&Frame> {
        let shared = self.emissions.get(index)?;
        shared.frame.get_or_init(|| self.encode(&shared.emission, before, failed)).as_ref()
    }

    /// The frame of an emission if somebody needed it before.
    #[must_use]
    pub fn encoded(&self, index: usize) -> Option<&Frame> {
        self.emissions.get(index)?.frame.get()?.as_ref()
    }

    fn encode(&self, emission: &Emission, before: &Position, failed: impl FnOnce(&str)) -> Option<Frame> {
        let payload = match emission.payload() {
            Ok(payload) => payload,
            Err(nothing) if nothing.is_nothing() => return None,
            Err(_) => {
                failed(&emission.spec.event);
                return None;
            }
        };
        let mut packet = String::with_capacity(payload.len() + emission.spec.event.len() + 160);
        packet.push_str("42[\"");
        // Event names are checked when the routes are loaded: nothing in them needs escaping.
        packet.push_str(&emission.spec.event);
        packet.push_str("\",");
        let Ok(payload) = std::str::from_utf8(&payload) else {
            failed(&emission.spec.event);
            return None;
        };
        packet.push_str(payload);
        packet.push_str(",\"");
        match self.source {
            Source::Record { topic, partition, offset, slot } => {
                packet.push_str(EventId::of_record(topic, partition, offset, emission.ordinal).as_str());
                packet.push('.');
                Cursor::write(&mut packet, before, Some((slot, offset, emission.ordinal)));
            }
            Source::Tick { name, tick } => {
                packet.push_str(EventId::of_tick(name, tick).as_str());
                packet.push('.');
                Cursor::write(&mut packet, before, None);
            }
        }
        packet.push_str("\"]");
        Some(Frame::text(packet.as_bytes()))
    }

    /// About the bytes that it holds in memory once each emission's frame is encoded: most are encoded only after the
    /// window has counted the entry, and its bound must hold all the same.
    #[must_use]
    pub fn weight(&self) -> usize {
        // The emissions of a record share its data; a payload is about as large as it, at most.
        let data = self.emissions.first().map_or(0, |s| s.emission.data.len());
        let frames: usize = self.emissions.iter().map(|s| s.emission.data.len() + FRAME_OVERHEAD).sum();
        let rooms: usize =
            self.emissions.iter().flat_map(|s| &s.emission.rooms).map(|room| room.as_str().len() + 64).sum();
        size_of::<Self>() + data + frames + rooms
    }

    /// Every room that it goes to, repetitions included.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.emissions.iter().flat_map(|shared| &shared.emission.rooms)
    }
}
