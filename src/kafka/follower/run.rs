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
use tokio::sync::watch::Sender;

use crate::event::TopicPartition;
use crate::kafka::client::{ClientError, Context, explain, follower_config};
use crate::kafka::record;

use super::partition::{Partition, Service};
use super::watch::{Bell, Report, Watcher};
use super::{FollowerConfig, RecordHandler, Shared, SpawnError, State, Verdict};

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

pub(super) struct Slot {
    pub(super) partition: Partition,
    /// `None` while it is not assigned.
    pub(super) queue: Option<PartitionQueue<Context>>,
}

pub(super) struct Trouble {
    pub(super) why: Arc<str>,
    pub(super) since: Instant,
}

pub(super) struct Follower<H> {
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) handler: H,
    hold_deadline: Duration,
    pub(super) shared: Arc<Shared>,
    bell: Arc<Bell>,
    pub(super) slots: Vec<Slot>,
    pub(super) index: HashMap<TopicPartition, usize>,
    /// Slots that may have something to read, each once (`queued`).
    ready: VecDeque<usize>,
    pub(super) queued: Vec<bool>,
    pub(super) started: bool,
    /// The backlog was read.
    pub(super) filled: bool,
    pub(super) trouble: Option<Trouble>,
    last_sweep: Instant,
    last_figures: Instant,
    tell: Sender<State>,
}

/// Why the thread cannot go on.
pub(super) type Fatal = Arc<str>;

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

    pub(super) fn enqueue(&mut self, slot: usize) {
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
