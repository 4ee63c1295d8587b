//! The reading thread: waits until a partition has something, hands on what is ready, flushes, and says how it goes.
//!
//! Each partition has a queue of its own, so that its errors and its end are known to be its own, and so that holding it
//! means no more than not reading its queue. Nothing here waits for a broker's answer; the watcher does.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch::Sender;

use crate::event::TopicPartition;
use crate::kafka::client::{ClientError, Context, explain, follower_config};
use crate::kafka::record;

use super::partition::{Partition, Service};
use super::watch::{Bell, Finding, Report, Snapshot, Watcher, does_not_exist};
use super::{Discontinuity, FollowerConfig, RecordHandler, Shared, SpawnError, State, Verdict};

/// Longest time between two flushes.
const IDLE: Duration = Duration::from_millis(100);
/// Bounds of one batch.
const BATCH_RECORDS: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;
/// Records of one partition before another one has its turn.
const TURN: usize = 128;
/// Logs and errors handled per round.
const EVENTS: usize = 32;
/// How often all queues are looked at, told to or not.
const SWEEP: Duration = Duration::from_secs(1);
/// How often a changed figure alone is published.
const FIGURES: Duration = Duration::from_millis(250);

/// Starts both threads.
pub(super) fn start(
    config: &FollowerConfig,
    handler: impl RecordHandler,
    shared: Arc<Shared>,
    tell: Sender<State>,
) -> Result<(), SpawnError> {
    let client = follower_config(&config.kafka)?;
    let consumer: BaseConsumer<Context> = client.create_with_context(Context::default()).map_err(ClientError::from)?;
    let consumer = Arc::new(consumer);
    let bell = Arc::new(Bell::default());
    let (send, reports) = sync_channel(1);
    let watcher = Watcher::new(Arc::clone(&consumer), config, Arc::clone(&shared));
    let watcher_bell = Arc::clone(&bell);
    let waker = Arc::clone(&shared);
    thread::Builder::new().name("rtmn-logwatch".into()).spawn(move || {
        // If it panics, the channel's end tells the reading thread.
        let _ = catch_unwind(AssertUnwindSafe(move || watcher.run(&watcher_bell, &send)));
        waker.waker.wake();
    })?;
    let mut follower = Follower {
        consumer,
        handler,
        hold_deadline: config.hold_deadline,
        shared,
        bell: Arc::clone(&bell),
        slots: Vec::new(),
        index: HashMap::new(),
        ready: VecDeque::new(),
        queued: Vec::new(),
        started: false,
        filled: false,
        trouble: None,
        last_sweep: Instant::now(),
        last_figures: Instant::now(),
        tell,
    };
    thread::Builder::new().name("rtmn-follower".into()).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| follower.run(&reports)));
        bell.stop();
        drop(reports);
        let last = match ended {
            Ok(Ok(())) => State::Stopped,
            Ok(Err(why)) => State::Dead { why },
            Err(panic) => State::Dead { why: panic_text(&*panic).into() },
        };
        if let State::Dead { why } = &last {
            tracing::error!(%why, "the follower ended");
        }
        // Told before the client is closed, which may take a moment.
        follower.tell.send_replace(last);
    })?;
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}

struct Slot {
    partition: Partition,
    /// `None` while it is not assigned.
    queue: Option<PartitionQueue<Context>>,
}

struct Trouble {
    why: Arc<str>,
    since: Instant,
}

struct Follower<H> {
    consumer: Arc<BaseConsumer<Context>>,
    handler: H,
    hold_deadline: Duration,
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    slots: Vec<Slot>,
    index: HashMap<TopicPartition, usize>,
    /// Slots that may have something to read, each once (`queued`).
    ready: VecDeque<usize>,
    queued: Vec<bool>,
    started: bool,
    /// The backlog was read.
    filled: bool,
    trouble: Option<Trouble>,
    last_sweep: Instant,
    last_figures: Instant,
    tell: Sender<State>,
}

/// Why the thread cannot go on.
type Fatal = Arc<str>;

impl<H: RecordHandler> Follower<H> {
    fn run(&mut self, reports: &Receiver<Report>) -> Result<(), Fatal> {
        let mut woken = Vec::new();
        loop {
            let timeout = if self.ready.is_empty() { self.idle_time() } else { Duration::ZERO };
            self.shared.waker.wait(timeout, &mut woken);
            for slot in woken.drain(..) {
                self.enqueue(slot);
            }
            if self.shared.waker.signals().stop.load(Ordering::Acquire) {
                self.handler.flush();
                return Ok(());
            }
            self.serve_events()?;
            loop {
                match reports.try_recv() {
                    Ok(report) => self.take(report)?,
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                        return Err("the thread that watches the log ended".into());
                    }
                }
            }
            self.retry_held();
            self.read_batch()?;
            self.handler.flush();
            self.publish();
            if self.last_sweep.elapsed() >= SWEEP {
                self.last_sweep = Instant::now();
                (0..self.slots.len()).for_each(|slot| self.enqueue(slot));
            }
        }
    }

    /// Until the next held record's turn, or the next flush.
    fn idle_time(&self) -> Duration {
        let now = Instant::now();
        let tries = self.slots.iter().filter_map(|slot| slot.partition.held());
        tries.map(|held| held.next_try.saturating_duration_since(now)).min().map_or(IDLE, |next| next.min(IDLE))
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(queued) = self.queued.get_mut(slot)
            && !*queued
        {
            *queued = true;
            self.ready.push_back(slot);
        }
    }

    /// librdkafka's logs and errors: the context hears them.
    fn serve_events(&mut self) -> Result<(), Fatal> {
        for _ in 0..EVENTS {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => return Err(explain(code).into()),
                // Records come by their partition's queue; the others are told through the context.
                Some(_) => {}
            }
        }
        if let Some(why) = self.consumer.context().health().take_trouble() {
            self.in_trouble(why);
        }
        Ok(())
    }

    fn in_trouble(&mut self, why: Arc<str>) {
        if self.trouble.is_none() {
            tracing::warn!(%why, "kafka: not ready");
        }
        self.trouble = Some(Trouble { why, since: Instant::now() });
        self.bell.ask_now();
    }

    fn read_batch(&mut self) -> Result<(), Fatal> {
        let (mut records, mut bytes) = (0, 0);
        while records < BATCH_RECORDS && bytes < BATCH_BYTES {
            let Some(slot) = self.ready.pop_front() else { break };
            self.queued[slot] = false;
            if self.read_turn(slot, &mut records, &mut bytes)? {
                self.enqueue(slot);
            }
        }
        Ok(())
    }

    /// Reads some records of one partition; true if there may be more.
    fn read_turn(&mut self, slot: usize, records: &mut usize, bytes: &mut usize) -> Result<bool, Fatal> {
        let Slot { partition, queue: Some(queue) } = &mut self.slots[slot] else { return Ok(false) };
        for _ in 0..TURN {
            if partition.held().is_some() || partition.service == Service::OutOfRange {
                return Ok(false);
            }
            match queue.poll(Duration::ZERO) {
                None => return Ok(false),
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if !partition.expects(offset) {
                        continue;
                    }
                    *records += 1;
                    *bytes += message.payload_len() + message.key_len();
                    let topic = Arc::clone(partition.id.topic());
                    let view = record::view(&message, &topic);
                    match self.handler.record(&view) {
                        Verdict::Done => partition.passed(offset, view.timestamp_ms),
                        Verdict::Hold => {
                            tracing::warn!(partition = %partition.id, offset, "a record holds its partition");
                            partition.hold(&view, Instant::now());
                        }
                    }
                    if *bytes >= BATCH_BYTES {
                        return Ok(true);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => partition.saw_end(),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => return Err(explain(code).into()),
                Some(Err(error)) => {
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
                        partition.service = Service::OutOfRange;
                    } else {
                        let why = error.rdkafka_error_code().map_or_else(|| error.to_string(), explain);
                        let why = format!("{}: {why}", partition.id);
                        tracing::warn!(%why, "kafka: partition not served");
                        partition.service = Service::Refused(why.into());
                    }
                    self.bell.ask_now();
                }
            }
        }
        Ok(true)
    }

    fn retry_held(&mut self) {
        let nudged = self.shared.waker.signals().retry.swap(false, Ordering::AcqRel);
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            let partition = &mut self.slots[slot].partition;
            if !partition.held().is_some_and(|held| nudged || held.next_try <= now) {
                continue;
            }
            let Some(held) = partition.take_held() else { continue };
            let tp = partition.id.clone();
            let view = held.record.view(tp.topic(), tp.partition());
            match self.handler.record(&view) {
                Verdict::Done => partition.passed(view.offset, view.timestamp_ms),
                Verdict::Hold => {
                    drop(view);
                    let Some(gone) = partition.hold_on(held, now, self.hold_deadline) else { continue };
                    tracing::error!(partition = %tp, offset = gone.offset(), "a held record's deadline passed: skipped");
                    self.handler.gap(&tp, gone.offset());
                    partition.passed(gone.offset(), None);
                }
            }
            self.enqueue(slot);
        }
    }

    fn take(&mut self, report: Report) -> Result<(), Fatal> {
        let snapshot = match report.outcome {
            Ok(snapshot) => snapshot,
            Err(why) => {
                if self.trouble.is_none() && self.started {
                    tracing::warn!(%why, "kafka: not ready");
                }
                self.trouble = Some(Trouble { why, since: Instant::now() });
                return Ok(());
            }
        };
        let recovered = self.trouble.as_ref().is_some_and(|trouble| trouble.since < report.began);
        if !snapshot.missing.is_empty() {
            let why = does_not_exist(&snapshot.missing).into();
            self.trouble = Some(Trouble { why, since: Instant::now() });
        } else if recovered {
            self.trouble = None;
            if self.started {
                tracing::info!("kafka: the brokers answer again");
                self.filled = false;
            }
        }
        let again = recovered && self.started && self.trouble.is_none();
        self.compare(&snapshot, again)?;
        self.add_new(&snapshot)?;
        self.started = true;
        Ok(())
    }

    /// Partitions that are followed already. `again`: after an outage.
    fn compare(&mut self, snapshot: &Snapshot, again: bool) -> Result<(), Fatal> {
        for slot in 0..self.slots.len() {
            let partition = &mut self.slots[slot].partition;
            let tp = partition.id.clone();
            let Some(found) = snapshot.partitions.get(&tp) else {
                if !snapshot.missing.iter().any(|topic| **topic == **tp.topic())
                    && partition.service != Service::Retired
                {
                    tracing::warn!(partition = %tp, "the partition does not exist any more");
                    partition.service = Service::Retired;
                    self.unassign(slot);
                }
                continue;
            };
            partition.end_is(found.end);
            if let Some((to, reason)) = leap(partition, found) {
                let expected = partition.next();
                tracing::error!(partition = %tp, expected, found = to, %reason, "the log is discontinuous");
                partition.jump(to, found.end);
                self.handler.discontinuity(&tp, expected, to, reason);
                self.assign(slot)?;
            } else if partition.service != Service::Served || (again && found.end > partition.next()) {
                // From the same place: serves what was refused, and makes the end be told anew.
                if partition.service == Service::OutOfRange {
                    partition.service = Service::Served;
                }
                let next = partition.held().map_or(partition.next(), |held| held.record.offset() + 1);
                if again {
                    partition.aim(found.end);
                }
                self.assign_at(slot, next)?;
            }
        }
        Ok(())
    }

    fn add_new(&mut self, snapshot: &Snapshot) -> Result<(), Fatal> {
        let mut new: Vec<(TopicPartition, Finding, i64)> = (snapshot.partitions.iter())
            .filter(|(tp, _)| !self.index.contains_key(*tp))
            .filter_map(|(tp, found)| found.start.map(|start| (tp.clone(), *found, start)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let starts: Vec<(TopicPartition, i64)> = new.iter().map(|(tp, _, start)| (tp.clone(), *start)).collect();
        tracing::info!(partitions = starts.len(), "kafka: following");
        self.handler.assigned(&starts);
        for (tp, found, start) in new {
            let partition = Partition::new(tp.clone(), start, found.end);
            self.shared.gauges.lock().push(Arc::clone(partition.gauges()));
            let slot = self.slots.len();
            self.slots.push(Slot { partition, queue: None });
            self.queued.push(false);
            self.index.insert(tp, slot);
            self.assign(slot)?;
        }
        Ok(())
    }

    fn assign(&mut self, slot: usize) -> Result<(), Fatal> {
        let next = self.slots[slot].partition.next();
        self.assign_at(slot, next)
    }

    /// (Re)starts reading a partition at `offset`. What its queue still holds from before is outdated for librdkafka and
    /// never comes out.
    fn assign_at(&mut self, slot: usize, offset: i64) -> Result<(), Fatal> {
        self.unassign(slot);
        let tp = self.slots[slot].partition.id.clone();
        // The queue is split off before the assignment, or the first records would come by the common one.
        let mut queue = self
            .consumer
            .split_partition_queue(tp.topic(), tp.partition())
            .ok_or_else(|| Fatal::from(format!("librdkafka has no queue for {tp}")))?;
        let shared = Arc::clone(&self.shared);
        queue.set_nonempty_callback(move || shared.waker.ready(slot));
        let list = one(&tp, Offset::Offset(offset))?;
        self.consumer.incremental_assign(&list).map_err(|e| Fatal::from(format!("cannot assign {tp}: {e}")))?;
        self.slots[slot].queue = Some(queue);
        self.enqueue(slot);
        Ok(())
    }

    fn unassign(&mut self, slot: usize) {
        if self.slots[slot].queue.take().is_some()
            && let Ok(list) = one(&self.slots[slot].partition.id, Offset::Invalid)
            && let Err(error) = self.consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, partition = %self.slots[slot].partition.id, "cannot unassign");
        }
    }

    fn publish(&mut self) {
        let state = self.state();
        let figures_due = self.last_figures.elapsed() >= FIGURES;
        let told = self.tell.send_if_modified(|last| {
            let only_figures =
                matches!((&*last, &state), (State::Filling { .. }, State::Filling { .. })) && !figures_due;
            if *last == state || only_figures {
                return false;
            }
            *last = state;
            true
        });
        if told {
            self.last_figures = Instant::now();
        }
    }

    fn state(&mut self) -> State {
        let why = self.trouble.as_ref().map(|trouble| Arc::clone(&trouble.why));
        if !self.started {
            return State::Starting { why: why.unwrap_or_else(|| "asking the brokers for the topics".into()) };
        }
        let refused = || {
            self.slots.iter().find_map(|slot| match &slot.partition.service {
                Service::Refused(why) => Some(Arc::clone(why)),
                _ => None,
            })
        };
        if let Some(why) = why.or_else(refused) {
            return State::Degraded { why };
        }
        if !self.filled {
            let behind = self.slots.iter().map(|slot| slot.partition.behind()).sum();
            if behind > 0 {
                return State::Filling { behind };
            }
            self.filled = true;
        }
        State::Following
    }
}

/// Where reading goes on if the log is not what it was.
fn leap(partition: &Partition, found: &Finding) -> Option<(i64, Discontinuity)> {
    if partition.service == Service::Retired {
        return Some((found.low, Discontinuity::Recreated));
    }
    // What was found out before an earlier jump does not count.
    let fresh = partition.gauges().standing().generation == found.generation;
    if let Some(jump) = found.jump.filter(|_| fresh) {
        return Some((jump.to, jump.reason));
    }
    (partition.service == Service::OutOfRange && found.low > partition.next())
        .then_some((found.low, Discontinuity::Trimmed))
}

fn one(tp: &TopicPartition, offset: Offset) -> Result<TopicPartitionList, Fatal> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(tp.topic(), tp.partition(), offset)
        .map_err(|e| Fatal::from(format!("cannot address {tp} at {offset:?}: {e}")))?;
    Ok(list)
}
