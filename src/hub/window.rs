//! The recent part of the log in memory, bounded by bytes and by age, indexed by room: who was away for a moment is
//! served by a look-up, not by a scan, and not by Kafka.
//!
//! The pipeline appends; shards read for sockets that are behind. Nothing on the way of a live record waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::entry::Entry;
use crate::position::Position;
use crate::route::Room;

/// A position is remembered for every so many entries; those between are stepped to from it.
const SNAPSHOT_EVERY: u64 = 256;

/// The window. Shared between the pipeline and the shards.
#[derive(Debug)]
pub struct Window {
    max_bytes: usize,
    max_age: Duration,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<(Arc<Entry>, usize)>,
    /// Sequence number of the first entry.
    first: u64,
    bytes: usize,
    rooms: HashMap<Room, VecDeque<u64>>,
    /// The node's position before the entry of that number; the first stands at the first entry.
    snapshots: VecDeque<(u64, Position)>,
}

/// How full the window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Entries in it.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// When the oldest was read, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
}

/// The reader's place was evicted: what it missed is no longer in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted;

impl Window {
    /// An empty window with these bounds.
    #[must_use]
    pub fn new(max_bytes: usize, max_age: Duration) -> Self {
        Self { max_bytes, max_age, inner: RwLock::default() }
    }

    /// Appends entries, which continue the order without a hole. `before` is the node's position before the first of
    /// them, and `now_ms` the present, by which the old ones go.
    pub fn append(&self, entries: &[Arc<Entry>], before: &Position, now_ms: i64) {
        let mut inner = self.inner.write();
        for (done, entry) in entries.iter().enumerate() {
            // One per place: what was remembered when partitions were added is the position there.
            let known = inner.snapshots.back().is_some_and(|(at, _)| *at == entry.seq);
            if !known && (entry.seq.is_multiple_of(SNAPSHOT_EVERY) || inner.snapshots.is_empty()) {
                let mut at = before.clone();
                entries[..done].iter().for_each(|entry| entry.cover(&mut at));
                inner.snapshots.push_back((entry.seq, at));
            }
            inner.push(entry);
        }
        inner.evict(self.max_bytes, now_ms - i64::try_from(self.max_age.as_millis()).unwrap_or(i64::MAX));
    }

    /// Remembers the position at this place anew, since partitions were added to it.
    pub fn remember(&self, seq: u64, position: &Position) {
        let mut inner = self.inner.write();
        inner.snapshots.retain(|(at, _)| *at != seq);
        inner.snapshots.push_back((seq, position.clone()));
    }

    /// Drops what is older than the window's age; for times when nothing is appended.
    pub fn expire(&self, now_ms: i64) {
        let oldest = now_ms - i64::try_from(self.max_age.as_millis()).unwrap_or(i64::MAX);
        self.inner.write().evict(self.max_bytes, oldest);
    }

    /// The entries of these rooms (each from the sequence number that stands beside it) below `until`, in order, at
    /// most `limit`.
    ///
    /// # Errors
    /// [`Evicted`] when an entry from `from` on may be missing.
    pub fn entries<'a>(
        &self,
        rooms: impl Iterator<Item = (&'a Room, u64)>,
        from: u64,
        until: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, Evicted> {
        let inner = self.inner.read();
        if from < inner.first && from < until {
            return Err(Evicted);
        }
        let mut seqs = Vec::new();
        for (room, since) in rooms {
            if let Some(room) = inner.rooms.get(room) {
                let start = room.partition_point(|seq| *seq < from.max(since));
                // No room can contribute more than the limit: what follows is read next time.
                seqs.extend(room.iter().skip(start).take_while(|seq| **seq < until).take(limit));
            }
        }
        seqs.sort_unstable();
        seqs.dedup();
        seqs.truncate(limit);
        Ok(seqs.into_iter().filter_map(|seq| inner.at(seq).cloned()).collect())
    }

    /// The node's position before that entry.
    ///
    /// # Errors
    /// [`Evicted`] when the window no longer reaches back so far.
    pub fn position_before(&self, seq: u64) -> Result<Position, Evicted> {
        let inner = self.inner.read();
        let index = inner.snapshots.partition_point(|(at, _)| *at <= seq).checked_sub(1).ok_or(Evicted)?;
        let (mut at, mut position) = inner.snapshots[index].clone();
        while at < seq {
            inner.at(at).ok_or(Evicted)?.cover(&mut position);
            at += 1;
        }
        Ok(position)
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let inner = self.inner.read();
        Fill {
            entries: inner.entries.len(),
            bytes: inner.bytes,
            oldest_ms: inner.entries.front().map(|(entry, _)| entry.read_ms),
        }
    }
}

impl Inner {
    fn at(&self, seq: u64) -> Option<&Arc<Entry>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.entries.get(index).map(|(entry, _)| entry)
    }

    fn push(&mut self, entry: &Arc<Entry>) {
        if self.entries.is_empty() {
            self.first = entry.seq;
        }
        for room in entry.rooms() {
            // Looked up before it is cloned: nearly always the room is there already.
            match self.rooms.get_mut(room) {
                Some(seqs) if seqs.back() == Some(&entry.seq) => {}
                Some(seqs) => seqs.push_back(entry.seq),
                None => {
                    self.rooms.insert(room.clone(), VecDeque::from([entry.seq]));
                }
            }
        }
        let weight = entry.weight();
        self.bytes += weight;
        self.entries.push_back((Arc::clone(entry), weight));
    }

    fn evict(&mut self, max_bytes: usize, oldest_ms: i64) {
        while let Some((entry, weight)) = self.entries.front() {
            if self.bytes <= max_bytes && entry.read_ms >= oldest_ms {
                break;
            }
            self.bytes -= weight;
            let (seq, entry) = (entry.seq, Arc::clone(entry));
            for room in entry.rooms() {
                if let Some(seqs) = self.rooms.get_mut(room) {
                    if seqs.front() == Some(&seq) {
                        seqs.pop_front();
                    }
                    if seqs.is_empty() {
                        self.rooms.remove(room);
                    }
                }
            }
            self.entries.pop_front();
            self.first = seq + 1;
            // The first snapshot moves on with the first entry: what it would be stepped over is gone.
            if self.snapshots.get(1).is_some_and(|(at, _)| *at == self.first) {
                self.snapshots.pop_front();
            } else if let Some((at, position)) = self.snapshots.front_mut().filter(|(at, _)| *at == seq) {
                entry.cover(position);
                *at = seq + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::entry::Source;
    use super::*;
    use crate::position::{Epoch, TopicCode};

    #[test]
    fn a_position_is_known_as_long_as_its_entry_is() {
        let mut position = Position::new(Epoch::of("log"));
        let topic = TopicCode::of("t");
        let slot = position.slot(topic, 0).unwrap();
        let window = Window::new(usize::MAX, Duration::from_secs(1));
        for seq in 0..600_u64 {
            let ms = i64::try_from(seq).unwrap();
            if seq == 256 {
                window.remember(seq, &position);
            }
            let source = Source::Record { topic, partition: 0, offset: ms, slot };
            let entry = Entry::new(seq, source, None, ms, smallvec![]);
            window.append(&[Arc::clone(&entry)], &position, ms);
            entry.cover(&mut position);
        }
        // Between two remembered positions, at one, and beyond.
        for first in [5, 256, 257, 258, 300, 599] {
            window.expire(1_000 + i64::try_from(first).unwrap());
            assert_eq!(window.position_before(first - 1), Err(Evicted));
            assert_eq!(window.position_before(first).unwrap().next(slot), i64::try_from(first).unwrap());
            assert_eq!(window.position_before(599).unwrap().next(slot), 599);
        }
    }
}
