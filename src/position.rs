//! Where a reader stands in the log. A [`Position`] is an epoch and the next offset of every topic-partition; a
//! [`Cursor`] is a position in a client's hands, which may stand between two emissions of one record; an [`EventId`]
//! names an emission, the same on every node and in every repetition. Together, `ID.CURSOR`, they are the last argument
//! of every event.
//!
//! The text is URL-safe. It comes back from clients, so that every way of misreading it is an error here, never a guess.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Which log the offsets belong to: differs between clusters, and after topics were created anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch of a cluster, from what distinguishes it from any other (its id).
    #[must_use]
    pub fn of(distinguishing: &str) -> Self {
        Self(fnv1a(distinguishing.as_bytes()))
    }
}

/// A topic's name in four bytes, so that cursors don't depend on a node's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicCode(u32);

impl TopicCode {
    /// The code of that topic: FNV-1a of its name.
    #[must_use]
    pub fn of(topic: &str) -> Self {
        Self(fnv1a(topic.as_bytes()))
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// One partition's place in a [`Position`]: stable for the life of the process, and cheaper than a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    topic: u16,
    partition: u16,
}

/// What of a topic was read: the next offset of each of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TopicNext {
    code: TopicCode,
    next: Vec<i64>,
}

/// Epoch and next offset per topic-partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    epoch: Epoch,
    topics: Vec<TopicNext>,
}

impl Position {
    /// Most partitions of one topic, and most topics, that a position can speak of.
    pub const MAX: usize = 4096;

    /// A position that has read nothing.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, topics: Vec::new() }
    }

    /// The log it belongs to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The slot of a partition, made when there is none yet; new partitions stand at offset 0.
    /// `None` when topic or partition is beyond [`Position::MAX`].
    pub fn slot(&mut self, topic: TopicCode, partition: i32) -> Option<Slot> {
        let partition = usize::try_from(partition).ok().filter(|p| *p < Self::MAX)?;
        let index = match self.topics.iter().position(|t| t.code == topic) {
            Some(index) => index,
            None if self.topics.len() < Self::MAX => {
                self.topics.push(TopicNext { code: topic, next: Vec::new() });
                self.topics.len() - 1
            }
            None => return None,
        };
        let next = &mut self.topics[index].next;
        if next.len() <= partition {
            next.resize(partition + 1, 0);
        }
        Some(Slot { topic: u16::try_from(index).ok()?, partition: u16::try_from(partition).ok()? })
    }

    /// The next offset of that partition; 0 where the slot is another position's.
    #[must_use]
    pub fn next(&self, slot: Slot) -> i64 {
        self.topics.get(usize::from(slot.topic)).and_then(|t| t.next.get(usize::from(slot.partition))).map_or(0, |n| *n)
    }

    /// Sets the next offset of that partition.
    pub fn advance(&mut self, slot: Slot, next: i64) {
        let topic = usize::from(slot.topic);
        // Positions of one node grow alike: a slot that is not here yet is one that was added to the node's since.
        if let Some(entry) = self.topics.get_mut(topic) {
            let partition = usize::from(slot.partition);
            if entry.next.len() <= partition {
                entry.next.resize(partition + 1, 0);
            }
            entry.next[partition] = next;
        }
    }

    /// The next offset of a partition by name; `None` when the position says nothing of it.
    #[must_use]
    pub fn next_of(&self, topic: TopicCode, partition: i32) -> Option<i64> {
        let partition = usize::try_from(partition).ok()?;
        self.topics.iter().find(|t| t.code == topic)?.next.get(partition).copied()
    }

    /// Number of partitions it speaks of.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.topics.iter().map(|t| t.next.len()).sum()
    }
}

/// A cursor's own partition: the emissions of one record that are covered, up to and with this ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Place of the topic among the cursor's topics.
    pub slot: Slot,
    /// The last covered emission of the record at the slot's next offset.
    pub ordinal: u16,
}

/// A position in a client's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The records that are covered wholly: all below each next offset.
    pub position: Position,
    /// The one record that is covered in part.
    pub within: Option<Within>,
}

/// Why a text is no cursor. All of them are refusals: nothing of a doubtful cursor is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Longer than any cursor that was given out.
    #[error("a cursor has at most {} characters", Cursor::MAX_LEN)]
    TooLong,
    /// No known version.
    #[error("the cursor's format is unknown")]
    Format,
    /// Not URL-safe base64, or cut short, or with something behind its end.
    #[error("the cursor is damaged")]
    Damaged,
    /// More partitions than there can be.
    #[error("the cursor names too many partitions")]
    TooMany,
    /// An offset below 0 or beyond what Kafka has.
    #[error("the cursor has an impossible offset")]
    Offset,
}

const FORMAT_PLAIN: u8 = b'1';

impl Cursor {
    /// No cursor is longer: beyond it nothing is even decoded.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Writes the cursor of an emission: `position` with the record at `offset` of `slot` covered up to `ordinal`.
    /// Format 1: `1`, then base64url of: epoch; number of topics; per topic its code, number of partitions, next
    /// offsets; then 0, or 1 + topic index, partition, ordinal. Numbers are LEB128, epoch and code 4 bytes.
    pub fn write(out: &mut String, position: &Position, within: Option<(Slot, i64, u16)>) {
        let mut bytes = Vec::with_capacity(8 + position.partitions() * 4);
        bytes.extend_from_slice(&position.epoch.0.to_le_bytes());
        put(&mut bytes, position.topics.len() as u64);
        for (index, topic) in position.topics.iter().enumerate() {
            bytes.extend_from_slice(&topic.code.0.to_le_bytes());
            put(&mut bytes, topic.next.len() as u64);
            for (partition, next) in topic.next.iter().enumerate() {
                let next = match within {
                    Some((slot, offset, _))
                        if (usize::from(slot.topic), usize::from(slot.partition)) == (index, partition) =>
                    {
                        offset
                    }
                    _ => *next,
                };
                put(&mut bytes, next.max(0).unsigned_abs());
            }
        }
        match within {
            None => put(&mut bytes, 0),
            Some((slot, _, ordinal)) => {
                put(&mut bytes, 1 + u64::from(slot.topic));
                put(&mut bytes, u64::from(slot.partition));
                put(&mut bytes, u64::from(ordinal));
            }
        }
        out.push(char::from(FORMAT_PLAIN));
        URL_SAFE_NO_PAD.encode_string(&bytes, out);
    }

    /// The cursor's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        Self::write(&mut out, &self.position, self.within.map(|w| (w.slot, self.position.next(w.slot), w.ordinal)));
        out
    }

    /// Reads a cursor, with or without the id before it.
    ///
    /// # Errors
    /// [`CursorError`] for whatever is not exactly what [`Cursor::write`] writes.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        if text.len() > Self::MAX_LEN {
            return Err(CursorError::TooLong);
        }
        let text = text.rsplit_once('.').map_or(text, |(_, cursor)| cursor);
        let (format, rest) = text.as_bytes().split_first().ok_or(CursorError::Format)?;
        if *format != FORMAT_PLAIN {
            return Err(CursorError::Format);
        }
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| CursorError::Damaged)?;
        let mut reader = Reader(&bytes);
        let epoch = Epoch(reader.fixed()?);
        let topics = reader.count()?;
        let mut position = Position { epoch, topics: Vec::new() };
        for _ in 0..topics {
            let code = TopicCode(reader.fixed()?);
            if position.topics.iter().any(|t| t.code == code) {
                return Err(CursorError::Damaged);
            }
            let partitions = reader.count()?;
            let next = (0..partitions).map(|_| reader.offset()).collect::<Result<Vec<_>, _>>()?;
            position.topics.push(TopicNext { code, next });
        }
        let within = match reader.number()? {
            0 => None,
            topic => {
                let topic = u16::try_from(topic - 1).map_err(|_| CursorError::Damaged)?;
                let partition = u16::try_from(reader.number()?).map_err(|_| CursorError::Damaged)?;
                let ordinal = u16::try_from(reader.number()?).map_err(|_| CursorError::Damaged)?;
                position
                    .topics
                    .get(usize::from(topic))
                    .and_then(|t| t.next.get(usize::from(partition)))
                    .ok_or(CursorError::Damaged)?;
                Some(Within { slot: Slot { topic, partition }, ordinal })
            }
        };
        if reader.0.is_empty() { Ok(Self { position, within }) } else { Err(CursorError::Damaged) }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn fixed(&mut self) -> Result<u32, CursorError> {
        let (bytes, rest) = self.0.split_first_chunk::<4>().ok_or(CursorError::Damaged)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn number(&mut self) -> Result<u64, CursorError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CursorError::Damaged)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(CursorError::Offset);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // One spelling per number, so that equal cursors are equal texts.
                return if *byte == 0 && shift > 0 { Err(CursorError::Damaged) } else { Ok(value) };
            }
        }
        Err(CursorError::Damaged)
    }

    /// A count of things that each take at least one byte: never more than there are bytes.
    fn count(&mut self) -> Result<usize, CursorError> {
        let count = usize::try_from(self.number()?).map_err(|_| CursorError::TooMany)?;
        if count > Position::MAX {
            Err(CursorError::TooMany)
        } else if count > self.0.len() {
            Err(CursorError::Damaged)
        } else {
            Ok(count)
        }
    }

    fn offset(&mut self) -> Result<i64, CursorError> {
        i64::try_from(self.number()?).ok().filter(|offset| *offset < i64::MAX).ok_or(CursorError::Offset)
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Names one emission: topic, partition and offset of its record and the emission's ordinal within it. Short, URL-safe,
/// without a dot; the same on every node and in every repetition, so that clients can drop duplicates by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(String);

impl EventId {
    /// The id of an emission of a record on Kafka.
    #[must_use]
    pub fn of_record(topic: TopicCode, partition: i32, offset: i64, ordinal: u16) -> Self {
        Self(format!("{:08x}-{partition}-{offset}-{ordinal}", topic.0))
    }

    /// The id of an event that the bridge itself produces at a tick all nodes share.
    #[must_use]
    pub fn of_tick(name: &str, tick: i64) -> Self {
        Self(format!("{name}-{tick}"))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        let topic = (any::<u32>(), prop::collection::vec(0..i64::MAX, 1..40));
        (any::<u32>(), prop::collection::vec(topic, 1..6), any::<(u16, u16, u16, bool)>()).prop_map(
            |(epoch, mut topics, (topic, partition, ordinal, partial))| {
                topics.sort_by_key(|(code, _)| *code);
                topics.dedup_by_key(|(code, _)| *code);
                let topics: Vec<_> =
                    topics.into_iter().map(|(code, next)| TopicNext { code: TopicCode(code), next }).collect();
                let topic = topic % u16::try_from(topics.len()).unwrap();
                let partition = partition % u16::try_from(topics[usize::from(topic)].next.len()).unwrap();
                let within = partial.then_some(Within { slot: Slot { topic, partition }, ordinal });
                Cursor { position: Position { epoch: Epoch(epoch), topics }, within }
            },
        )
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_it_was_written(cursor in cursors()) {
            prop_assert_eq!(Cursor::parse(&cursor.encode()), Ok(cursor.clone()));
            prop_assert_eq!(Cursor::parse(&format!("0badcafe-3-77-0.{}", cursor.encode())), Ok(cursor));
        }

        #[test]
        fn a_damaged_cursor_never_reads_as_another_spelling(cursor in cursors(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
            let text = cursor.encode();
            let at = at.index(text.len());
            let damaged = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            if let Ok(read) = Cursor::parse(&damaged) {
                // What is accepted is exactly what would have been written: there is one text per cursor.
                prop_assert_eq!(read.encode(), damaged);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Cursor::parse(&text);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::parse(&format!("1{}", URL_SAFE_NO_PAD.encode(bytes)));
        }
    }

    #[test]
    fn absurd_counts_and_offsets_are_refused() {
        let with = |tail: &[u8]| {
            let mut bytes = vec![0; 4];
            bytes.extend_from_slice(tail);
            Cursor::parse(&format!("1{}", URL_SAFE_NO_PAD.encode(bytes)))
        };
        let mut many = Vec::new();
        put(&mut many, 10_000);
        assert_eq!(with(&many), Err(CursorError::TooMany));
        let mut huge = vec![1, 0, 0, 0, 0, 1];
        put(&mut huge, 1 << 63);
        huge.push(0);
        assert_eq!(with(&huge), Err(CursorError::Offset));
        assert_eq!(Cursor::parse(""), Err(CursorError::Format));
        assert_eq!(Cursor::parse("9AAAA"), Err(CursorError::Format));
        assert_eq!(Cursor::parse(&"1".repeat(Cursor::MAX_LEN + 1)), Err(CursorError::TooLong));
    }

    #[test]
    fn an_emission_covers_its_record_only_up_to_itself() {
        let mut position = Position::new(Epoch::of("cluster"));
        let orders = position.slot(TopicCode::of("rtmn.orders"), 1).unwrap();
        let wallet = position.slot(TopicCode::of("rtmn.wallet"), 0).unwrap();
        position.advance(orders, 41);
        position.advance(wallet, 7);
        let mut text = String::new();
        Cursor::write(&mut text, &position, Some((orders, 45, 2)));
        let cursor = Cursor::parse(&text).unwrap();
        assert_eq!(cursor.position.next_of(TopicCode::of("rtmn.orders"), 1), Some(45));
        assert_eq!(cursor.position.next_of(TopicCode::of("rtmn.wallet"), 0), Some(7));
        assert_eq!(cursor.within, Some(Within { slot: orders, ordinal: 2 }));
    }

    #[test]
    fn ids_are_short_and_without_a_dot() {
        let id = EventId::of_record(TopicCode::of("rtmn.orders"), 3, 1234, 1);
        assert!(!id.as_str().contains('.'));
        assert!(id.as_str().len() < 24, "{id}");
    }
}
