//! What every layer speaks of: a record as it stands on Kafka, and the event that it carries once decoded.
//!
//! A [`RecordView`] borrows what the client library holds; an [`Event`] owns its JSON, so that it can wait in the window.
//! Nothing here knows of rooms or sockets.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

/// One partition of one topic: the unit of order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    topic: Arc<str>,
    partition: i32,
}

impl TopicPartition {
    /// `partition` counts from 0, as Kafka's do.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition's number within the topic.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The headers of a record in their order; values may be null on the wire and are then empty here.
pub type Headers<'a> = SmallVec<[(&'a str, &'a [u8]); 8]>;

/// A record as the broker gave it, borrowed from the fetch buffer.
#[derive(Debug, Clone)]
pub struct RecordView<'a> {
    /// Topic it was read from.
    pub topic: &'a str,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Milliseconds since the Unix epoch by the record's own timestamp; `None` where the broker has none (−1).
    pub timestamp_ms: Option<i64>,
    /// The record's key, unparsed.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone, which is not the same as an empty value.
    pub payload: Option<&'a [u8]>,
    /// All headers.
    pub headers: Headers<'a>,
}

impl<'a> RecordView<'a> {
    /// The value of the last header of that name (Kafka allows repetitions; the last one wins, as in Kafka's own
    /// `Headers.lastHeader`).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().rev().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// A decoded record: a named event whose data is one JSON object.
#[derive(Debug, Clone)]
pub struct Event {
    /// The event's type, for example `order.statusChanged`.
    pub kind: Arc<str>,
    /// The producer's own id (CloudEvents `id`), if it gave one.
    pub id: Option<Box<str>>,
    /// The event's data: one complete JSON object, valid UTF-8, as small as the record allows. Bytes of a JSON record
    /// are a slice of the record's own copy, untouched.
    pub data: Bytes,
    /// W3C `traceparent`, carried through to logs and traces.
    pub traceparent: Option<Box<str>>,
    /// Fields whose word is none of those that the schema knows (its `values`): passed on, and counted by who reads
    /// this. Names of the schema's, never data.
    pub unknown: UnknownWords,
}

/// Names of fields with words that the schema does not know; nearly always none.
pub type UnknownWords = SmallVec<[Arc<str>; 1]>;
