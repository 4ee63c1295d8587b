//! The record's way: decode → learn → route → window → shards, on the follower's thread, in one order for all shards.
//! A record that cannot be handled is counted, logged once per reason and interval, and never stops its partition; one
//! that cannot be decoded *yet* holds it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use smallvec::smallvec;
use tokio::runtime::Handle;
use tracing::{debug, error, warn};

use crate::codec::{DecodeError, Decoder, SchemaId};
use crate::dashboard::Dashboard;
use crate::event::{RecordView, TopicPartition};
use crate::history::{Owners, Presence};
use crate::hub::{Entry, Hub, Source, now_ms};
use crate::kafka::follower::{Discontinuity, RecordHandler, Verdict};
use crate::metrics::Metrics;
use crate::position::{Position, Slot, TopicCode};
use crate::route::projection::Projection;
use crate::route::{Class, Emission, EmitSpec, Room, Routed, Routes};
use crate::telemetry::LogThrottle;

/// How often a position that moved over records without emissions is told to the shards.
const COVER_EVERY: Duration = Duration::from_secs(1);

/// Asks the follower to offer held records again.
pub type Retry = Arc<dyn Fn() + Send + Sync>;

/// What the pipeline is made of.
pub struct Parts {
    /// Bytes to events.
    pub decoder: Arc<Decoder>,
    /// Events to emissions.
    pub routes: Arc<Routes>,
    /// Where emissions go.
    pub hub: Arc<Hub>,
    /// Who may follow which order.
    pub owners: Arc<Owners>,
    /// Who is connected.
    pub presence: Arc<Presence>,
    /// The day's figures.
    pub dashboard: Dashboard,
    /// How often they are emitted.
    pub dashboard_interval: Duration,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where schemas are fetched.
    pub runtime: Handle,
    /// The node's position before anything was read.
    pub position: Position,
    /// Records from this time on go into the window; older ones are read only for what they teach.
    pub window_since_ms: i64,
}

/// The handler that the follower calls.
pub struct Pipeline {
    parts: Parts,
    /// Filled in once the follower runs.
    retry: Arc<Mutex<Option<Retry>>>,
    /// Schemas that are being fetched.
    fetching: Arc<Mutex<HashSet<SchemaId>>>,
    batch: Vec<Arc<Entry>>,
    /// The node's position before the batch.
    published: Position,
    seq: u64,
    /// Partitions that moved without an emission since it was last told.
    silent: Vec<(TopicCode, i32, Slot, i64)>,
    silent_told: Instant,
    stats: Arc<EmitSpec>,
    gap: Arc<EmitSpec>,
    dashboard_room: Option<Room>,
    tick: i64,
    throttle: LogThrottle<(Arc<str>, &'static str)>,
}

impl Pipeline {
    /// A pipeline at the beginning of the node's order.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let spec = |event: &str, class| {
            Arc::new(EmitSpec { event: event.into(), class, keep: None, projection: Projection::Identity })
        };
        let interval = i64::try_from(parts.dashboard_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            published: parts.position.clone(),
            retry: Arc::default(),
            fetching: Arc::default(),
            batch: Vec::new(),
            seq: 0,
            silent: Vec::new(),
            silent_told: Instant::now(),
            stats: spec("dashboard.stats", Class::Latest),
            gap: spec("sync:gap", Class::Every),
            dashboard_room: Room::parse("admin:dashboard").ok(),
            tick: now_ms() / interval,
            throttle: LogThrottle::new(Duration::from_secs(30)),
            parts,
        }
    }

    /// Where to put the follower's retry, once it runs.
    #[must_use]
    pub fn retry_slot(&self) -> Arc<Mutex<Option<Retry>>> {
        Arc::clone(&self.retry)
    }

    fn slot(&mut self, topic: &str, partition: i32) -> Option<(TopicCode, Slot)> {
        let code = TopicCode::of(topic);
        self.parts.position.slot(code, partition).map(|slot| (code, slot))
    }

    fn refuse(&mut self, record: &RecordView<'_>, reason: &'static str, detail: &str) {
        self.parts.metrics.record_refused(reason);
        if let Some(suppressed) = self.throttle.admit((record.topic.into(), reason), Instant::now()) {
            warn!(
                event = "record.refused",
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                reason,
                detail,
                suppressed,
                "record skipped"
            );
        }
    }

    /// Fetches a schema beside everything else, then has the held records offered again.
    fn fetch(&self, schema: SchemaId) {
        if !self.fetching.lock().insert(schema) {
            return;
        }
        let (decoder, fetching, retry) =
            (Arc::clone(&self.parts.decoder), Arc::clone(&self.fetching), Arc::clone(&self.retry));
        self.parts.runtime.spawn(async move {
            let result = decoder.resolve(schema).await;
            fetching.lock().remove(&schema);
            match result {
                Ok(()) => {
                    let retry = retry.lock().clone();
                    if let Some(retry) = retry {
                        retry();
                    }
                }
                // The follower offers the record again with backoff, which asks again.
                Err(error) => debug!(event = "schema.unresolved", %error, "schema not there yet"),
            }
        });
    }

    fn learn(&mut self, routed: &Routed, now: i64) {
        if let Some(order) = &routed.order {
            self.parts.owners.learn(order);
        }
        if let Some(figure) = &routed.figure {
            self.parts.dashboard.fold(figure, now);
        }
    }

    fn append(&mut self, source: Source, timestamp_ms: Option<i64>, emissions: smallvec::SmallVec<[Emission; 3]>) {
        let entry = Entry::new(self.seq, source, timestamp_ms, now_ms(), emissions);
        self.seq += 1;
        entry.cover(&mut self.parts.position);
        self.batch.push(entry);
    }

    /// Moves over a record that emits nothing.
    fn pass(&mut self, topic: TopicCode, partition: i32, slot: Slot, next: i64) {
        self.silent.retain(|(_, _, known, _)| *known != slot);
        self.silent.push((topic, partition, slot, next));
    }

    fn tick(&mut self, now: i64) {
        let interval = i64::try_from(self.parts.dashboard_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let tick = now / interval;
        let Some(room) = self.dashboard_room.clone().filter(|_| tick > self.tick) else { return };
        self.tick = tick;
        let (users, merchants) = self.parts.presence.distinct();
        let payload = self.parts.dashboard.payload(now, users, merchants);
        self.parts.metrics.stats(self.parts.dashboard.orders(now), users, merchants);
        let emission = Emission {
            ordinal: 0,
            rooms: smallvec![room],
            latest_key: Box::default(),
            spec: Arc::clone(&self.stats),
            data: Bytes::from(payload),
        };
        self.append(Source::Tick { name: "stats", tick }, Some(now), smallvec![emission]);
        self.parts.hub.window().expire(now);
    }

    fn tell_silent(&mut self) {
        if self.silent.is_empty() || self.silent_told.elapsed() < COVER_EVERY {
            return;
        }
        self.silent_told = Instant::now();
        let mut moved = Vec::new();
        for (topic, partition, slot, next) in std::mem::take(&mut self.silent) {
            // An emission may have carried the partition further meanwhile.
            if next > self.parts.position.next(slot) {
                self.parts.position.advance(slot, next);
                moved.push((topic, partition, next));
            }
        }
        self.move_to(moved);
    }

    fn move_to(&mut self, moved: Vec<(TopicCode, i32, i64)>) {
        if !moved.is_empty() && self.parts.hub.assigned(self.seq, moved, &self.parts.position).is_err() {
            debug!(event = "pipeline.stopped", "the hub has stopped");
        }
        self.published = self.parts.position.clone();
    }

    fn publish(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        if self.parts.hub.publish(batch, &self.published).is_err() {
            debug!(event = "pipeline.stopped", "the hub has stopped");
        }
        self.published = self.parts.position.clone();
    }
}

impl RecordHandler for Pipeline {
    fn record(&mut self, record: &RecordView<'_>) -> Verdict {
        self.parts.metrics.record_read(record.topic);
        let Some((topic, slot)) = self.slot(record.topic, record.partition) else {
            self.refuse(record, "too_many_partitions", "beyond what a position can speak of");
            return Verdict::Done;
        };
        let next = record.offset + 1;
        let event = match self.parts.decoder.decode(record) {
            Ok(event) => event,
            Err(DecodeError::NotYet { schema }) => {
                self.fetch(schema);
                return Verdict::Hold;
            }
            Err(DecodeError::Refused(refusal)) => {
                self.refuse(record, refusal.as_str(), &refusal.to_string());
                self.pass(topic, record.partition, slot, next);
                return Verdict::Done;
            }
        };
        match self.parts.routes.route(&event) {
            Ok(Some(routed)) => {
                event.unknown.iter().for_each(|field| self.parts.metrics.unknown_value(&event.kind, field));
                self.learn(&routed, now_ms());
                let recent = record.timestamp_ms.is_none_or(|at| at >= self.parts.window_since_ms);
                if routed.emissions.is_empty() || !recent {
                    self.pass(topic, record.partition, slot, next);
                } else {
                    routed.emissions.iter().for_each(|emission| self.parts.metrics.emitted(&emission.spec.event));
                    let source = Source::Record { topic, partition: record.partition, offset: record.offset, slot };
                    self.append(source, record.timestamp_ms, routed.emissions);
                }
            }
            Ok(None) => {
                self.refuse(record, "unknown_type", &event.kind);
                self.pass(topic, record.partition, slot, next);
            }
            Err(error) => {
                self.refuse(record, error.as_str(), &error.to_string());
                self.pass(topic, record.partition, slot, next);
            }
        }
        Verdict::Done
    }

    fn gap(&mut self, topic_partition: &TopicPartition, offset: i64) {
        self.parts.metrics.gap();
        error!(event = "record.undecoded", %topic_partition, offset, "record skipped: its schema did not come in time");
        let (topic, partition) = (Arc::clone(topic_partition.topic()), topic_partition.partition());
        let Some((code, slot)) = self.slot(&topic, partition) else { return };
        let told = json!({ "reason": "undecoded", "topic": &*topic, "partition": partition, "from": offset, "to": offset + 1 });
        let emission = Emission {
            ordinal: 0,
            rooms: smallvec![Room::everyone()],
            latest_key: Box::default(),
            spec: Arc::clone(&self.gap),
            data: Bytes::from(told.to_string()),
        };
        self.append(Source::Record { topic: code, partition, offset, slot }, None, smallvec![emission]);
    }

    fn assigned(&mut self, partitions: &[(TopicPartition, i64)]) {
        self.publish();
        let mut added = Vec::with_capacity(partitions.len());
        for (topic_partition, offset) in partitions {
            let partition = topic_partition.partition();
            if let Some((code, slot)) = self.slot(topic_partition.topic(), partition) {
                self.parts.position.advance(slot, *offset);
                added.push((code, partition, *offset));
            }
        }
        self.move_to(added);
    }

    fn discontinuity(&mut self, topic_partition: &TopicPartition, expected: i64, found: i64, reason: Discontinuity) {
        error!(event = "log.discontinuity", %topic_partition, expected, found, %reason, "the log is not what it was");
        self.parts.metrics.discontinuity(&reason.to_string());
        self.publish();
        let partition = topic_partition.partition();
        if let Some((code, slot)) = self.slot(topic_partition.topic(), partition) {
            // What was passed before counts no longer: the log may go on below it.
            self.silent.retain(|(_, _, known, _)| *known != slot);
            self.parts.position.advance(slot, found);
            self.move_to(vec![(code, partition, found)]);
        }
    }

    fn flush(&mut self) {
        self.tick(now_ms());
        self.publish();
        self.tell_silent();
    }
}
