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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use crate::config;
    use crate::event::TopicPartition;
    use crate::kafka::embedded::EmbeddedBroker;
    use crate::kafka::follower::{Discontinuity, FollowerConfig, RecordHandler, StartPlan, Verdict, spawn};

    use super::*;

    /// CRC-32C, bit by bit.
    fn crc32c(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
        })
    }

    fn sized(bytes: &[u8]) -> Vec<u8> {
        [&i32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    /// Zigzag, for lengths below 64 only.
    fn short(length: usize) -> u8 {
        u8::try_from(length).ok().filter(|&n| n < 64).unwrap() * 2
    }

    /// A batch of one record without a key, as any producer could send it; no library of ours would.
    fn batch(value: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut record = vec![0, 0, 0, 1, short(value.len())];
        record.extend_from_slice(value);
        record.push(short(headers.len()));
        for (name, value) in headers {
            record.push(short(name.len()));
            record.extend_from_slice(name);
            record.push(short(value.len()));
            record.extend_from_slice(value);
        }
        let mut checked = vec![0_u8; 2 + 4];
        checked.extend([1_000_i64.to_be_bytes(); 2].concat());
        checked.extend([0xff; 8 + 2 + 4]);
        checked.extend(1_i32.to_be_bytes());
        checked.push(short(record.len()));
        checked.extend(record);
        let body = [&[0, 0, 0, 0, 2][..], &crc32c(&checked).to_be_bytes(), &checked].concat();
        [&0_i64.to_be_bytes()[..], &sized(&body)].concat()
    }

    /// A Produce request (version 3) for partition 0, by hand; waits for its answer.
    fn produce(brokers: &str, topic: &str, batch: &[u8]) {
        let name = [&u16::try_from(topic.len()).unwrap().to_be_bytes(), topic.as_bytes()].concat();
        let one = 1_i32.to_be_bytes();
        let request = [
            &[0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff][..],
            &[0xff, 0xff, 0, 1, 0, 0, 0x27, 0x10],
            &one,
            &name,
            &one,
            &[0; 4],
            &sized(batch),
        ];
        let mut broker = TcpStream::connect(brokers.split(',').next().unwrap()).unwrap();
        broker.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        broker.write_all(&sized(&request.concat())).unwrap();
        broker.read_exact(&mut [0; 8]).unwrap();
    }

    type Found = (i64, Vec<(String, Vec<u8>)>);

    struct Probe(Sender<Found>);

    impl RecordHandler for Probe {
        fn record(&mut self, record: &RecordView<'_>) -> Verdict {
            let headers = record.headers.iter().map(|&(name, value)| (name.to_owned(), value.to_vec())).collect();
            let _ = self.0.send((record.offset, headers));
            Verdict::Done
        }
        fn gap(&mut self, _: &TopicPartition, _: i64) {}
        fn assigned(&mut self, _: &[(TopicPartition, i64)]) {}
        fn discontinuity(&mut self, _: &TopicPartition, _: i64, _: i64, _: Discontinuity) {}
        fn flush(&mut self) {}
    }

    #[test]
    fn a_header_that_is_not_text_is_left_out_and_stops_nothing() {
        let broker = EmbeddedBroker::start(&[("t", 1)]).unwrap();
        produce(broker.brokers(), "t", &batch(b"v", &[(b"a", b"1"), (b"\xff\xfe", b"2"), (b"c", b"3")]));
        produce(broker.brokers(), "t", &batch(b"v", &[(b"d", b"4")]));
        let kafka = broker.configure(config::Kafka { topics: vec!["t".into()], ..config::Kafka::default() });
        let (found, inbox) = channel();
        let start = StartPlan::beginning();
        let config = FollowerConfig { kafka, hold_deadline: Duration::from_secs(10), start };
        let _follower = spawn(&config, Probe(found)).unwrap();
        let next = || inbox.recv_timeout(Duration::from_secs(20)).unwrap();
        let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        assert_eq!(next(), (0, vec![header("a", b"1"), header("c", b"3")]));
        assert_eq!(next(), (1, vec![header("d", b"4")]));
    }
}
