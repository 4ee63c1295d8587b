//! From librdkafka's message to the [`RecordView`] that the rest of the bridge reads, and an owned copy for the one
//! record that a held partition waits with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message, Timestamp};
use smallvec::SmallVec;

use crate::event::{Headers, RecordView};

/// Borrows everything that the bridge reads of a message.
pub(super) fn view<'a>(message: &'a BorrowedMessage<'_>, topic: &'a str) -> RecordView<'a> {
    RecordView {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: millis(message.timestamp()),
        key: message.key(),
        payload: message.payload(),
        headers: message.headers().map_or_else(SmallVec::new, headers),
    }
}

fn millis(timestamp: Timestamp) -> Option<i64> {
    timestamp.to_millis().filter(|&ms| ms >= 0)
}

/// `rdkafka` panics on a header whose name is not UTF-8, and anyone may produce one: such a header is left out. The
/// happy path costs nothing but the landing pad.
fn headers(from: &BorrowedHeaders) -> Headers<'_> {
    let all = || from.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
    catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|_| {
        let one = |index| {
            catch_unwind(AssertUnwindSafe(|| from.try_get(index).map(|h| (h.key, h.value.unwrap_or_default()))))
                .ok()
                .flatten()
        };
        (0..from.count()).filter_map(one).collect()
    })
}

type OwnedHeader = (Box<str>, Box<[u8]>);

/// A record's own copy.
#[derive(Debug)]
pub(super) struct OwnedRecord {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Box<[u8]>>,
    payload: Option<Box<[u8]>>,
    headers: Box<[OwnedHeader]>,
}

impl OwnedRecord {
    pub(super) fn copy(record: &RecordView<'_>) -> Self {
        Self {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(Into::into),
            payload: record.payload.map(Into::into),
            headers: record.headers.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        }
    }

    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    pub(super) fn view<'a>(&'a self, topic: &'a str, partition: i32) -> RecordView<'a> {
        RecordView {
            topic,
            partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: self.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        }
    }
}
