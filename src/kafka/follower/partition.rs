//! What is known of one partition: where it stands, whether its end was seen, and the record that holds it.
//!
//! Plain state without any client call, so that its rules are tested without a broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::event::{RecordView, TopicPartition};
use crate::kafka::record::OwnedRecord;

use super::PartitionStatus;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);
const NONE: i64 = -1;

/// What others may read of a partition while the follower moves on.
#[derive(Debug)]
pub(super) struct Gauges {
    topic_partition: TopicPartition,
    next: AtomicI64,
    end: AtomicI64,
    held: AtomicI64,
    /// Up to here nothing is left to read: the end of the log when the reader met it.
    seen: AtomicI64,
    last_ms: AtomicI64,
    generation: AtomicU64,
}

/// Where a partition stood when the watcher began to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) next: i64,
    /// Timestamp of the record read last.
    pub(super) last_ms: Option<i64>,
    /// Counts jumps: what was found out about the log before a jump says nothing after it.
    pub(super) generation: u64,
}

impl Gauges {
    fn new(topic_partition: TopicPartition, next: i64, end: i64) -> Self {
        Self {
            topic_partition,
            next: AtomicI64::new(next),
            end: AtomicI64::new(end),
            held: AtomicI64::new(NONE),
            seen: AtomicI64::new(NONE),
            last_ms: AtomicI64::new(NONE),
            generation: AtomicU64::new(0),
        }
    }

    pub(super) fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    pub(super) fn standing(&self) -> Standing {
        let generation = self.generation.load(Ordering::Acquire);
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        Standing { next: self.next.load(Ordering::Relaxed), last_ms: (last_ms != NONE).then_some(last_ms), generation }
    }

    pub(super) fn status(&self) -> PartitionStatus {
        let next = self.next.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed);
        let seen = self.seen.load(Ordering::Relaxed);
        PartitionStatus {
            topic_partition: self.topic_partition.clone(),
            next,
            end,
            lag: distance(next.max(seen), end),
            held: (held != NONE).then_some(held),
        }
    }
}

fn distance(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

/// A record that waits, and when it is offered again.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: OwnedRecord,
    since: Instant,
    backoff: Duration,
    pub(super) next_try: Instant,
}

/// Whether a partition's log is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// It is.
    Served,
    /// The broker refuses to serve it, and says why; over with whatever it serves next.
    Refused(Arc<str>),
    /// Our position is not in the log: the watcher is asked what the log's bounds are.
    OutOfRange,
    /// The topic has no such partition any more (it was re-created with fewer).
    Retired,
}

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: TopicPartition,
    /// The offset to be read next.
    next: i64,
    /// Filling is over when this was reached, or when the end was seen.
    target: i64,
    /// The reader met the log's end and read nothing since. Control records and aborted ones have offsets too, so this
    /// says more than a comparison of offsets.
    at_end: bool,
    /// The end was met, but where it was is only known when the watcher asks next.
    end_unmeasured: bool,
    held: Option<Held>,
    pub(super) service: Service,
    gauges: Arc<Gauges>,
}

impl Partition {
    pub(super) fn new(topic_partition: TopicPartition, next: i64, target: i64) -> Self {
        let gauges = Arc::new(Gauges::new(topic_partition.clone(), next, target));
        Self {
            id: topic_partition,
            next,
            target,
            at_end: false,
            end_unmeasured: false,
            held: None,
            service: Service::Served,
            gauges,
        }
    }

    pub(super) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    pub(super) fn next(&self) -> i64 {
        self.next
    }

    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Whether the record is new: one below our position was handled before.
    pub(super) fn expects(&self, offset: i64) -> bool {
        offset >= self.next
    }

    /// The record at `offset` was handled, or skipped for good.
    pub(super) fn passed(&mut self, offset: i64, timestamp_ms: Option<i64>) {
        self.next = offset + 1;
        self.reads_on();
        if let Some(ms) = timestamp_ms {
            self.gauges.last_ms.store(ms, Ordering::Relaxed);
        }
        self.gauges.next.store(self.next, Ordering::Relaxed);
    }

    /// Keeps the record; the partition waits.
    pub(super) fn hold(&mut self, record: &RecordView<'_>, now: Instant) {
        self.reads_on();
        let backoff = FIRST_RETRY;
        let record = OwnedRecord::copy(record);
        self.gauges.held.store(record.offset(), Ordering::Relaxed);
        self.held = Some(Held { record, since: now, backoff, next_try: now + jittered(backoff) });
    }

    /// Takes the held record out, to be offered again; given back with [`Self::hold_on`] if it still cannot be decoded.
    pub(super) fn take_held(&mut self) -> Option<Held> {
        self.gauges.held.store(NONE, Ordering::Relaxed);
        self.held.take()
    }

    /// The record still cannot be decoded; returns it when its deadline passed.
    pub(super) fn hold_on(&mut self, mut held: Held, now: Instant, deadline: Duration) -> Option<OwnedRecord> {
        let gone = held.since + deadline;
        if now >= gone {
            return Some(held.record);
        }
        held.backoff = (held.backoff * 2).min(LAST_RETRY);
        held.next_try = (now + jittered(held.backoff)).min(gone);
        self.gauges.held.store(held.record.offset(), Ordering::Relaxed);
        self.held = Some(held);
        None
    }

    /// The reader met the log's end.
    pub(super) fn saw_end(&mut self) {
        self.at_end = true;
        self.end_unmeasured = true;
        self.service = Service::Served;
        let end = self.gauges.end.load(Ordering::Relaxed);
        self.gauges.seen.store(end, Ordering::Relaxed);
    }

    fn reads_on(&mut self) {
        self.at_end = false;
        self.end_unmeasured = false;
        self.service = Service::Served;
    }

    /// The watcher asked the broker for the end. Trailing offsets without a record would count as lag for ever, so the
    /// first answer after the end was met is taken for that end.
    pub(super) fn end_is(&mut self, end: i64) {
        self.gauges.end.store(end, Ordering::Relaxed);
        if self.end_unmeasured {
            self.end_unmeasured = false;
            self.gauges.seen.store(end, Ordering::Relaxed);
        }
    }

    /// After an outage: what is there by now counts as backlog.
    pub(super) fn aim(&mut self, target: i64) {
        self.target = target;
        self.at_end = false;
        self.end_unmeasured = false;
        self.gauges.end.store(target, Ordering::Relaxed);
    }

    /// Reading goes on elsewhere; a held record belongs to the log that is gone.
    pub(super) fn jump(&mut self, to: i64, target: i64) {
        self.take_held();
        self.next = to;
        self.service = Service::Served;
        self.aim(target);
        self.gauges.next.store(to, Ordering::Relaxed);
        self.gauges.seen.store(NONE, Ordering::Relaxed);
        self.gauges.last_ms.store(NONE, Ordering::Relaxed);
        self.gauges.generation.fetch_add(1, Ordering::Release);
    }

    /// Offsets still to go until the backlog is read; 0 when it is. A held partition is never through.
    pub(super) fn behind(&self) -> u64 {
        let left = if self.at_end { 0 } else { distance(self.next, self.target) };
        match self.service {
            Service::Retired => 0,
            Service::Served if self.held.is_none() => left,
            _ => left.max(1),
        }
    }
}

/// Half to all of `base`, so that many partitions (and nodes) don't retry in step.
fn jittered(base: Duration) -> Duration {
    base.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;

    fn partition(next: i64, target: i64) -> Partition {
        Partition::new(TopicPartition::new("t", 0), next, target)
    }

    fn record(offset: i64) -> RecordView<'static> {
        RecordView {
            topic: "t",
            partition: 0,
            offset,
            timestamp_ms: Some(1),
            key: None,
            payload: Some(b"x"),
            headers: SmallVec::new(),
        }
    }

    #[test]
    fn holes_in_offsets_do_not_stop_the_filling() {
        let mut p = partition(0, 10);
        p.passed(3, Some(1));
        assert_eq!(p.behind(), 6);
        p.passed(12, None);
        assert_eq!(p.behind(), 0);
    }

    #[test]
    fn the_end_counts_as_reached_though_the_last_offsets_hold_no_record() {
        let mut p = partition(0, 10);
        p.passed(6, None);
        p.saw_end();
        assert_eq!(p.behind(), 0);
        assert_eq!(p.gauges().status().lag, 0);
        p.passed(11, None);
        assert_eq!(p.behind(), 0, "above the target anyway");
    }

    #[test]
    fn a_held_partition_is_never_through() {
        let mut p = partition(0, 1);
        p.hold(&record(0), Instant::now());
        assert!(p.behind() > 0);
        assert_eq!(p.gauges().status().held, Some(0));
        let held = p.take_held().unwrap();
        p.passed(held.record.offset(), None);
        assert_eq!(p.behind(), 0);
        assert_eq!(p.gauges().status().held, None);
    }

    #[test]
    fn a_hold_is_retried_ever_more_slowly_and_ends_at_its_deadline() {
        let start = Instant::now();
        let deadline = Duration::from_mins(5);
        let mut p = partition(0, 1);
        p.hold(&record(0), start);
        let mut now = start;
        let mut tries = 0;
        let gone = loop {
            let held = p.take_held().unwrap();
            assert!(held.next_try > now && held.next_try <= start + deadline);
            now = held.next_try;
            tries += 1;
            if let Some(gone) = p.hold_on(held, now, deadline) {
                break gone;
            }
        };
        assert_eq!(gone.offset(), 0);
        assert_eq!(now, start + deadline, "not before, not long after");
        assert!((60..=200).contains(&tries), "{tries}");
        assert!(p.held().is_none());
    }

    #[test]
    fn a_jump_forgets_the_record_of_the_log_that_is_gone() {
        let mut p = partition(5, 9);
        p.hold(&record(5), Instant::now());
        p.service = Service::OutOfRange;
        p.jump(0, 2);
        assert!(p.held().is_none());
        assert_eq!((p.next(), p.behind()), (0, 2));
    }
}
