//! The follower against real Kafka: where it starts, what it skips, and what becomes of it when brokers and topics go and
//! come back. Every test checks the whole sequence that the handler saw.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rtmn_bridge::config;
use rtmn_bridge::event::{RecordView, TopicPartition};
use rtmn_bridge::kafka::follower::{
    Discontinuity, FollowerConfig, FollowerHandle, PartitionStatus, RecordHandler, StartPlan, State, Verdict, spawn,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Kafka, Record};

mod logs;
mod outages;
mod start;
mod topics;

const PATIENCE: Duration = Duration::from_mins(1);
pub const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Record(TopicPartition, i64, String),
    Gap(TopicPartition, i64),
    Assigned(Vec<(TopicPartition, i64)>),
    Discontinuity(TopicPartition, i64, i64, Discontinuity),
}

struct Probe {
    seen: UnboundedSender<Seen>,
    /// Locked by a test that wants the follower to wait.
    gate: Arc<Mutex<()>>,
}

impl RecordHandler for Probe {
    fn record(&mut self, record: &RecordView<'_>) -> Verdict {
        drop(self.gate.lock());
        let value = String::from_utf8_lossy(record.payload.unwrap_or_default()).into_owned();
        let tp = TopicPartition::new(record.topic, record.partition);
        let _ = self.seen.send(Seen::Record(tp, record.offset, value));
        Verdict::Done
    }

    fn gap(&mut self, tp: &TopicPartition, offset: i64) {
        let _ = self.seen.send(Seen::Gap(tp.clone(), offset));
    }

    fn assigned(&mut self, partitions: &[(TopicPartition, i64)]) {
        let _ = self.seen.send(Seen::Assigned(partitions.to_vec()));
    }

    fn discontinuity(&mut self, tp: &TopicPartition, expected: i64, found: i64, reason: Discontinuity) {
        let _ = self.seen.send(Seen::Discontinuity(tp.clone(), expected, found, reason));
    }

    fn flush(&mut self) {}
}

struct Follow {
    handle: FollowerHandle,
    seen: UnboundedReceiver<Seen>,
    gate: Arc<Mutex<()>>,
}

impl Follow {
    fn with(kafka: &Kafka, topics: &[&str], start: StartPlan) -> Self {
        Self::asking_every(Duration::from_millis(300), kafka, topics, start)
    }

    fn asking_every(interval: Duration, kafka: &Kafka, topics: &[&str], start: StartPlan) -> Self {
        let kafka = config::Kafka {
            brokers: kafka.address().to_owned(),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            metadata_refresh: interval,
            ..config::Kafka::default()
        };
        let (sender, seen) = unbounded_channel();
        let gate = Arc::new(Mutex::new(()));
        let probe = Probe { seen: sender, gate: Arc::clone(&gate) };
        let handle = spawn(&FollowerConfig { kafka, hold_deadline: PATIENCE, start }, probe).unwrap();
        Self { handle, seen, gate }
    }

    fn from_beginning(kafka: &Kafka, topics: &[&str]) -> Self {
        Self::with(kafka, topics, StartPlan { time_lookup: true, ..StartPlan::beginning() })
    }

    async fn next(&mut self) -> Seen {
        let next = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        next.unwrap_or_else(|_| panic!("nothing came; {:?} {:?}", self.state(), self.handle.partitions())).unwrap()
    }

    async fn next_record(&mut self) -> (TopicPartition, i64, String) {
        match self.next().await {
            Seen::Record(tp, offset, value) => (tp, offset, value),
            other => panic!("not a record: {other:?}"),
        }
    }

    /// The next records' values, of whatever partition.
    async fn values(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        while values.len() < count {
            values.push(self.next_record().await.2);
        }
        values
    }

    async fn assigned(&mut self) -> Vec<(TopicPartition, i64)> {
        match self.next().await {
            Seen::Assigned(partitions) => partitions,
            other => panic!("before the assignment: {other:?}"),
        }
    }

    fn state(&self) -> State {
        self.handle.state().borrow().clone()
    }

    async fn until(&self, wanted: impl FnMut(&State) -> bool) -> State {
        let mut state = self.handle.state();
        let found = tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("still {:?} {:?}", self.state(), self.handle.partitions()))
    }

    async fn ready(&self) {
        self.until(State::is_ready).await;
    }

    /// Until the partitions look like that to the watcher.
    async fn partitions(&self, mut wanted: impl FnMut(&[PartitionStatus]) -> bool) {
        let look = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !wanted(&self.handle.partitions()) {
                tick.tick().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, look).await;
        assert!(seen.is_ok(), "{:?}", self.handle.partitions());
    }

    /// From now on the follower waits in the handler, until [`Closed::open`].
    fn close_gate(&self) -> Closed {
        let gate = Arc::clone(&self.gate);
        let (closed, is_closed) = std::sync::mpsc::channel();
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let keeper = std::thread::spawn(move || {
            let lock = gate.lock();
            closed.send(()).unwrap();
            let _ = opened.recv();
            drop(lock);
        });
        is_closed.recv().unwrap();
        Closed { open, keeper }
    }

    /// Ends it; nothing may have come that the test has not taken.
    async fn end(mut self) {
        self.handle.shutdown(PATIENCE).await.unwrap();
        if let Ok(more) = self.seen.try_recv() {
            panic!("not expected: {more:?}");
        }
    }
}

struct Closed {
    open: std::sync::mpsc::Sender<()>,
    keeper: std::thread::JoinHandle<()>,
}

impl Closed {
    fn open(self) {
        drop(self.open);
        self.keeper.join().unwrap();
    }
}

fn now_ms() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

fn numbered(topic: &str, partition: i32, range: std::ops::Range<usize>) -> Vec<Record> {
    range.map(|i| Record::to(topic).partition(partition).value(format!("{partition}:{i}"))).collect()
}
