//! The follower against the embedded broker: order, holding, outages, and that nobody waits for a lone record.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::producer::{OutRecord, Producer};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Record { tp: TopicPartition, offset: i64, value: String, headers: usize },
    Gap(TopicPartition, i64),
    Assigned(Vec<(TopicPartition, i64)>),
    Discontinuity(TopicPartition, i64, i64, Discontinuity),
}

type Judge = Box<dyn FnMut(&RecordView<'_>) -> Verdict + Send>;

/// Passes everything on to the test; the judge decides.
struct Probe {
    seen: Sender<Seen>,
    judge: Judge,
}

impl RecordHandler for Probe {
    fn record(&mut self, record: &RecordView<'_>) -> Verdict {
        let verdict = (self.judge)(record);
        if verdict == Verdict::Done {
            let value = String::from_utf8_lossy(record.payload.unwrap_or_default()).into_owned();
            let tp = TopicPartition::new(record.topic, record.partition);
            let _ = self.seen.send(Seen::Record { tp, offset: record.offset, value, headers: record.headers.len() });
        }
        verdict
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

struct Bench {
    runtime: Runtime,
    broker: EmbeddedBroker,
    kafka: config::Kafka,
    producer: Producer,
}

impl Bench {
    fn new(topics: &[(&str, i32)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = EmbeddedBroker::start(topics).unwrap();
        let kafka = broker.configure(config::Kafka {
            topics: topics.iter().map(|(name, _)| (*name).to_owned()).collect(),
            metadata_refresh: Duration::from_millis(200),
            ..config::Kafka::default()
        });
        let producer = Producer::new(&kafka).unwrap();
        Self { runtime, broker, kafka, producer }
    }

    fn produce(&self, topic: &str, partition: i32, value: &str) -> i64 {
        let record =
            OutRecord { topic, partition: Some(partition), payload: Some(value.as_bytes()), ..OutRecord::default() };
        self.runtime.block_on(self.producer.send(record)).unwrap().offset
    }

    fn follow(&self, hold_deadline: Duration, judge: Judge) -> (FollowerHandle, Receiver<Seen>) {
        let (seen, inbox) = channel();
        let config = FollowerConfig { kafka: self.kafka.clone(), hold_deadline, start: StartPlan::beginning() };
        (spawn(&config, Probe { seen, judge }).unwrap(), inbox)
    }

    fn await_state(&self, follower: &FollowerHandle, wanted: impl FnMut(&State) -> bool) -> State {
        let mut state = follower.state();
        let waiting = async { tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await };
        let result = self.runtime.block_on(waiting);
        let found = result.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("still {:?}", *follower.state().borrow()))
    }
}

fn all() -> Judge {
    Box::new(|_| Verdict::Done)
}

fn next(inbox: &Receiver<Seen>) -> Seen {
    inbox.recv_timeout(PATIENCE).unwrap()
}

/// The next record's topic-partition, offset and value.
fn next_record(inbox: &Receiver<Seen>) -> (String, i64, String) {
    loop {
        if let Seen::Record { tp, offset, value, .. } = next(inbox) {
            return (tp.to_string(), offset, value);
        }
    }
}

#[test]
fn follows_every_partition_from_its_beginning_in_order() {
    let bench = Bench::new(&[("a", 3), ("b", 2)]);
    let mut expected: HashMap<String, Vec<(i64, String)>> = HashMap::new();
    for i in 0..50 {
        let (topic, partition) = if i % 2 == 0 { ("a", i % 3) } else { ("b", (i / 2) % 2) };
        let value = format!("v{i}");
        let offset = bench.produce(topic, partition, &value);
        expected.entry(format!("{topic}-{partition}")).or_default().push((offset, value));
    }
    let (follower, inbox) = bench.follow(PATIENCE, all());
    let Seen::Assigned(assigned) = next(&inbox) else { panic!("records before the assignment") };
    assert_eq!(assigned.len(), 5);
    assert!(assigned.iter().all(|(_, start)| *start == 0), "{assigned:?}");
    let mut found: HashMap<String, Vec<(i64, String)>> = HashMap::new();
    for _ in 0..50 {
        let (tp, offset, value) = next_record(&inbox);
        found.entry(tp).or_default().push((offset, value));
    }
    assert_eq!(found, expected);
    bench.await_state(&follower, State::is_ready);
    assert!(follower.partitions().iter().all(|p| p.lag == 0 && p.held.is_none()), "{:?}", follower.partitions());
    bench.runtime.block_on(follower.shutdown(PATIENCE)).unwrap();
    assert!(inbox.try_recv().is_err(), "nothing twice, and nothing after the shutdown");
}

#[test]
fn a_lone_record_is_not_delayed() {
    let bench = Bench::new(&[("a", 2)]);
    let (follower, inbox) = bench.follow(PATIENCE, all());
    bench.await_state(&follower, State::is_ready);
    assert!(matches!(next(&inbox), Seen::Assigned(_)));
    let mut waits: Vec<Duration> = (0..9)
        .map(|i| {
            bench.produce("a", i % 2, "x");
            let confirmed = Instant::now();
            next_record(&inbox);
            confirmed.elapsed()
        })
        .collect();
    waits.sort();
    // The broker answers a fetch within 10 ms; neither the idle time (100 ms) nor the sweep (1 s) may show.
    assert!(waits[4] < Duration::from_millis(60), "{waits:?}");
}

#[test]
fn a_held_record_holds_its_partition_only_and_comes_first_when_it_can_be_decoded() {
    let bench = Bench::new(&[("a", 2)]);
    let open = Arc::new(parking_lot::Mutex::new(false));
    let gate = Arc::clone(&open);
    let judge: Judge =
        Box::new(
            move |record| {
                if record.payload == Some(b"early") && !*gate.lock() { Verdict::Hold } else { Verdict::Done }
            },
        );
    for value in ["before", "early", "after"] {
        bench.produce("a", 0, value);
    }
    let (follower, inbox) = bench.follow(PATIENCE, judge);
    assert_eq!(next_record(&inbox).2, "before");
    bench.produce("a", 1, "other");
    assert_eq!(next_record(&inbox), ("a-1".into(), 0, "other".into()));
    let held = || follower.partitions().iter().find_map(|p| p.held);
    assert_eq!(held(), Some(1));
    assert!(matches!(*follower.state().borrow(), State::Filling { .. }), "a window with a hole is not ready");
    *open.lock() = true;
    let asked = Instant::now();
    follower.retry_held();
    assert_eq!(next_record(&inbox), ("a-0".into(), 1, "early".into()));
    assert!(asked.elapsed() < Duration::from_millis(150), "{:?}: waited for its turn", asked.elapsed());
    assert_eq!(next_record(&inbox), ("a-0".into(), 2, "after".into()));
    bench.await_state(&follower, State::is_ready);
    assert_eq!(held(), None);
}

#[test]
fn a_held_record_is_retried_unasked() {
    let bench = Bench::new(&[("a", 1)]);
    let mut tries = 0;
    let judge: Judge = Box::new(move |_| {
        tries += 1;
        if tries < 3 { Verdict::Hold } else { Verdict::Done }
    });
    bench.produce("a", 0, "x");
    let (_follower, inbox) = bench.follow(PATIENCE, judge);
    assert_eq!(next_record(&inbox).1, 0);
}

#[test]
fn a_hold_past_its_deadline_is_a_gap_and_the_partition_goes_on() {
    let bench = Bench::new(&[("a", 1)]);
    let judge: Judge = Box::new(|record| if record.payload == Some(b"never") { Verdict::Hold } else { Verdict::Done });
    bench.produce("a", 0, "never");
    bench.produce("a", 0, "after");
    let began = Instant::now();
    let (follower, inbox) = bench.follow(Duration::from_millis(500), judge);
    assert!(matches!(next(&inbox), Seen::Assigned(_)));
    assert_eq!(next(&inbox), Seen::Gap(TopicPartition::new("a", 0), 0));
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(next_record(&inbox), ("a-0".into(), 1, "after".into()));
    bench.await_state(&follower, State::is_ready);
}

#[test]
fn an_outage_shows_and_reading_resumes_where_it_stood() {
    let bench = Bench::new(&[("a", 2)]);
    let (follower, inbox) = bench.follow(PATIENCE, all());
    let first: Vec<i64> = (0..5).map(|i| bench.produce("a", 0, &format!("{i}"))).collect();
    assert_eq!(first.iter().map(|_| next_record(&inbox).1).collect::<Vec<_>>(), first);
    bench.await_state(&follower, State::is_ready);
    bench.broker.set_reachable(false).unwrap();
    let State::Degraded { why } = bench.await_state(&follower, |s| !s.is_ready()) else { panic!("not degraded") };
    assert!(why.contains("broker"), "{why}");
    bench.broker.set_reachable(true).unwrap();
    for i in 5..8 {
        assert_eq!(bench.produce("a", 0, &format!("{i}")), i);
        assert_eq!(next_record(&inbox), ("a-0".into(), i, format!("{i}")));
    }
    bench.await_state(&follower, State::is_ready);
    assert!(!inbox.try_iter().any(|seen| matches!(seen, Seen::Record { .. } | Seen::Discontinuity(..))));
}

#[test]
fn starts_without_a_broker_and_says_what_it_waits_for() {
    let bench = Bench::new(&[("a", 1)]);
    bench.broker.set_reachable(false).unwrap();
    let (follower, inbox) = bench.follow(PATIENCE, all());
    bench.await_state(&follower, |s| matches!(s, State::Starting { why } if why.contains("broker")));
    bench.broker.set_reachable(true).unwrap();
    bench.produce("a", 0, "x");
    assert_eq!(next_record(&inbox).1, 0);
    bench.await_state(&follower, State::is_ready);
}

#[test]
fn a_panic_in_the_handler_is_a_visible_death() {
    let bench = Bench::new(&[("a", 1)]);
    let (follower, _inbox) = bench.follow(PATIENCE, Box::new(|_| panic!("broken handler")));
    bench.produce("a", 0, "x");
    let State::Dead { why } = bench.await_state(&follower, State::is_final) else { panic!("not dead") };
    assert!(why.contains("broken handler"), "{why}");
    bench.runtime.block_on(follower.shutdown(PATIENCE)).unwrap();
}

#[test]
fn a_shutdown_that_the_handler_blocks_ends_at_its_deadline() {
    let bench = Bench::new(&[("a", 1)]);
    let door = Arc::new(Mutex::new(()));
    let closed = door.lock();
    let (entered, inside) = channel();
    let behind = Arc::clone(&door);
    let judge: Judge = Box::new(move |_| {
        let _ = entered.send(());
        drop(behind.lock());
        Verdict::Done
    });
    let (follower, _inbox) = bench.follow(PATIENCE, judge);
    bench.produce("a", 0, "x");
    inside.recv_timeout(PATIENCE).unwrap();
    let result = bench.runtime.block_on(follower.shutdown(Duration::from_millis(100)));
    assert!(result.is_err());
    drop(closed);
}

#[test]
fn many_records_arrive_once_each_whatever_the_batches() {
    let bench = Bench::new(&[("a", 3)]);
    let (follower, inbox) = bench.follow(PATIENCE, all());
    let value = "x".repeat(300);
    bench.runtime.block_on(async {
        let mut pending = Vec::new();
        for i in 0..6000 {
            let record = OutRecord {
                topic: "a",
                partition: Some(i % 3),
                payload: Some(value.as_bytes()),
                headers: &[("ce_type", b"t"), ("ce_id", b"1")],
                ..OutRecord::default()
            };
            pending.push(bench.producer.enqueue(record).await.unwrap());
        }
        for confirmation in pending {
            confirmation.confirmed().await.unwrap();
        }
    });
    let mut expected = HashMap::new();
    let mut records = 0;
    while records < 6000 {
        let Seen::Record { tp, offset, headers, .. } = next(&inbox) else { continue };
        assert_eq!(headers, 2);
        assert_eq!(offset, *expected.entry(tp.clone()).or_insert(0), "{tp}");
        *expected.entry(tp).or_default() += 1;
        records += 1;
    }
    bench.await_state(&follower, State::is_ready);
    assert!(expected.values().all(|&count| count == 2000));
}
