//! The follower against real Kafka: where it starts, what it skips, and what becomes of it when brokers and topics go and
//! come back. Every test checks the whole sequence that the handler saw.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::admin::AdminOptions;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use rtmn_bridge::config;
use rtmn_bridge::event::{RecordView, TopicPartition};
use rtmn_bridge::kafka::follower::{
    Discontinuity, FollowerConfig, FollowerHandle, PartitionStatus, RecordHandler, StartPlan, State, Verdict, spawn,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Kafka, Record};

const PATIENCE: Duration = Duration::from_mins(1);
const HOUR_MS: i64 = 3_600_000;

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
        let waited = tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await.map(|found| found.unwrap().clone());
        waited.unwrap_or_else(|_| panic!("still {:?} {:?}", self.state(), self.handle.partitions()))
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
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "{:?}", self.handle.partitions());
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

/// A producer for transactions on one topic's partition 0, ready for its first one.
async fn transactional(kafka: &Kafka, id: &str) -> FutureProducer {
    let producer: FutureProducer = kafka.client().set("transactional.id", id).create().unwrap();
    let blocking = producer.clone();
    tokio::task::spawn_blocking(move || blocking.init_transactions(PATIENCE)).await.unwrap().unwrap();
    producer
}

async fn transaction(producer: &FutureProducer, topic: &str, values: &[&str], commit: bool) {
    producer.begin_transaction().unwrap();
    for value in values {
        let record = FutureRecord::<str, str>::to(topic).payload(*value).partition(0);
        producer.send(record, PATIENCE).await.unwrap();
    }
    let producer = producer.clone();
    let end = move || if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
    tokio::task::spawn_blocking(end).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_at_the_time_asked_for_and_at_the_sampled_end_where_nothing_is_that_new() {
    let kafka = Kafka::shared().await;
    let [orders, wallet] = kafka.topics(["orders", "wallet"], 3).await;
    let now = now_ms();
    let old = |topic: &str, p| Record::to(topic).partition(p).value("old").timestamp(now - 2 * HOUR_MS);
    kafka.produce_all((0..5).map(|_| old(&orders, 0))).await;
    kafka.produce_all((0..3).map(|i| Record::to(&orders).partition(0).value(format!("new{i}")).timestamp(now))).await;
    kafka.produce_all((0..4).map(|_| old(&orders, 1))).await;
    kafka.produce_all((0..2).map(|_| old(&wallet, 0))).await;
    let start = StartPlan {
        default_since_ms: Some(now - HOUR_MS),
        per_topic_since_ms: HashMap::from([(wallet.clone(), now - 3 * HOUR_MS)]),
        time_lookup: true,
    };
    let mut follow = Follow::with(kafka, &[&orders, &wallet], start);
    let starts: BTreeMap<String, i64> =
        follow.assigned().await.into_iter().map(|(tp, start)| (tp.to_string(), start)).collect();
    let expected =
        [(&orders, 0, 5), (&orders, 1, 4), (&orders, 2, 0), (&wallet, 0, 0), (&wallet, 1, 0), (&wallet, 2, 0)];
    assert_eq!(starts, expected.map(|(topic, p, offset)| (format!("{topic}-{p}"), offset)).into());
    let mut values = follow.values(5).await;
    values.sort();
    assert_eq!(values, ["new0", "new1", "new2", "old", "old"]);
    follow.ready().await;
    kafka.produce(Record::to(&orders).partition(1).value("live")).await;
    assert_eq!(follow.next_record().await, (TopicPartition::new(orders.as_str(), 1), 4, "live".into()));
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_producing_are_read_from_their_beginning() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("grows", 3).await;
    let mut follow = Follow::from_beginning(kafka, &[&topic]);
    assert_eq!(follow.assigned().await.len(), 3);
    kafka.produce_all((0..3).flat_map(|p| numbered(&topic, p, 0..20))).await;
    kafka.add_partitions(&topic, 6).await;
    // A new producer knows of the new partitions, most likely before the follower does.
    let producer: FutureProducer = kafka.client().create().unwrap();
    for i in 20..120 {
        for p in 0..6 {
            let value = format!("{p}:{i}");
            let record = FutureRecord::<str, str>::to(&topic).payload(&value).partition(p);
            producer.send(record, PATIENCE).await.unwrap();
        }
    }
    let mut found: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
    let mut records = 0;
    while records < 660 {
        match follow.next().await {
            Seen::Record(tp, offset, value) => {
                found.entry(tp.partition()).or_default().push((offset, value));
                records += 1;
            }
            Seen::Assigned(new) => {
                assert!(new.iter().all(|(tp, start)| tp.partition() >= 3 && *start == 0), "{new:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    for (partition, records) in found {
        let first = if partition < 3 { 0 } else { 20 };
        let expected: Vec<(i64, String)> = (0..).zip((first..120).map(|i| format!("{partition}:{i}"))).collect();
        assert_eq!(records, expected);
    }
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_under_load_costs_no_record_and_repeats_none() {
    let kafka = Arc::new(Kafka::own(&[]).await);
    let topic = kafka.topic("load", 3).await;
    let mut follow = Follow::from_beginning(&kafka, &[&topic]);
    follow.assigned().await;
    let total: usize = 15_000;
    let producing = {
        let (kafka, topic) = (Arc::clone(&kafka), topic.clone());
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(40));
            for chunk in 0..total / 150 {
                pace.tick().await;
                let range = chunk * 50..(chunk + 1) * 50;
                kafka.produce_all((0..3).flat_map(|p| numbered(&topic, p, range.clone()))).await;
            }
        })
    };
    let mut found: BTreeMap<i32, Vec<(i64, String)>> = BTreeMap::new();
    let mut records = 0;
    let mut disturbed = false;
    while records < total {
        let (tp, offset, value) = follow.next_record().await;
        found.entry(tp.partition()).or_default().push((offset, value));
        records += 1;
        if records > total / 4 && !disturbed {
            disturbed = true;
            kafka.kill().await;
            let state = follow.until(|state| matches!(state, State::Degraded { .. })).await;
            assert!(matches!(&state, State::Degraded { why } if why.contains("broker")), "{state:?}");
            kafka.restart().await;
        }
    }
    producing.await.unwrap();
    for (partition, records) in found {
        let expected: Vec<(i64, String)> = (0..).zip((0..total / 3).map(|i| format!("{partition}:{i}"))).collect();
        assert_eq!(records, expected);
    }
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_unseen_and_do_not_keep_it_from_being_ready() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("transactions", 1).await;
    let producer = transactional(kafka, &topic).await;
    transaction(&producer, &topic, &["a", "b"], true).await;
    transaction(&producer, &topic, &["x", "y"], false).await;
    transaction(&producer, &topic, &["c"], true).await;
    // The log's end holds nothing but what was aborted, and a control record.
    transaction(&producer, &topic, &["z", "z", "z"], false).await;
    let mut follow = Follow::from_beginning(kafka, &[&topic]);
    follow.assigned().await;
    assert_eq!(follow.values(3).await, ["a", "b", "c"]);
    follow.ready().await;
    follow.partitions(|all| all[0].lag == 0 && all[0].end > all[0].next).await;
    transaction(&producer, &topic, &["d"], true).await;
    assert_eq!(follow.values(1).await, ["d"]);
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_waited_for_and_not_skipped() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("open", 1).await;
    let producer = transactional(kafka, &topic).await;
    producer.begin_transaction().unwrap();
    producer.send(FutureRecord::<str, str>::to(&topic).payload("inside").partition(0), PATIENCE).await.unwrap();
    kafka.produce(Record::to(&topic).partition(0).value("behind")).await;
    // No record is that new: it starts at the end, and that is where the open transaction begins.
    let start = StartPlan { default_since_ms: Some(now_ms() + HOUR_MS), time_lookup: true, ..StartPlan::beginning() };
    let mut follow = Follow::with(kafka, &[&topic], start);
    assert_eq!(follow.assigned().await, [(TopicPartition::new(topic.as_str(), 0), 0)]);
    follow.ready().await;
    tokio::task::spawn_blocking(move || producer.commit_transaction(PATIENCE)).await.unwrap().unwrap();
    assert_eq!(follow.values(2).await, ["inside", "behind"]);
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_of_a_compacted_log_are_no_discontinuity() {
    let kafka = Kafka::shared().await;
    let topic = crate::support::servers::unique("compacted");
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01")];
    kafka.create_topic(&topic, 1, &settings).await;
    let keyed = |i: usize| Record::to(&topic).partition(0).key(format!("{}", i % 3)).value(format!("{i}"));
    kafka.produce_all((0..30).map(keyed)).await;
    let compacted = async {
        // Until the cleaner has been there: each further record closes the segment before it.
        for produced in 31.. {
            kafka.produce(keyed(produced)).await;
            let mut follow = Follow::from_beginning(kafka, &[&topic]);
            follow.ready().await;
            follow.handle.retry_held();
            let mut offsets = Vec::new();
            while let Ok(seen) = follow.seen.try_recv() {
                match seen {
                    Seen::Record(_, offset, _) => offsets.push(offset),
                    Seen::Assigned(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            follow.end().await;
            assert_eq!(offsets.last().copied(), i64::try_from(produced - 1).ok(), "the end is there in any case");
            assert!(offsets.is_sorted());
            if offsets.len() < 30 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, compacted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_before_they_were_read_are_told_as_trimmed() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("trimmed", 1).await;
    let tp = TopicPartition::new(topic.as_str(), 0);
    let mut follow = Follow::from_beginning(kafka, &[&topic]);
    follow.assigned().await;
    follow.ready().await;
    let closed = follow.close_gate();
    // More than the follower fetches ahead.
    let large = vec![b'x'; 100_000];
    kafka.produce_all((0..150).map(|_| Record::to(&topic).partition(0).value(large.clone()))).await;
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&topic, 0, Offset::Offset(150)).unwrap();
    kafka.admin().delete_records(&until, &AdminOptions::new()).await.unwrap();
    kafka.produce(Record::to(&topic).partition(0).value("after")).await;
    closed.open();
    let mut expected = 0;
    loop {
        match follow.next().await {
            Seen::Record(_, offset, _) => {
                assert_eq!(offset, expected, "what was fetched ahead");
                expected += 1;
            }
            Seen::Discontinuity(at, from, to, reason) => {
                assert_eq!((at, from, to, reason), (tp.clone(), expected, 150, Discontinuity::Trimmed));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(expected < 150);
    assert_eq!(follow.next_record().await, (tp, 150, "after".into()));
    follow.ready().await;
    follow.end().await;
}

/// Deleting takes a moment on the broker.
async fn create_again(kafka: &Kafka, topic: &str) {
    use rdkafka::admin::{NewTopic, TopicReplication};
    let create = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
            let results = kafka.admin().create_topics([&new], &AdminOptions::new()).await.unwrap();
            if results.iter().all(Result::is_ok) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, create).await.unwrap();
}

/// `before` records and one more; then the topic is deleted and created again, with `after` records.
async fn recreate(before: usize, after: usize) {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("recreated", 1).await;
    let tp = TopicPartition::new(topic.as_str(), 0);
    // Long enough that the watcher does not happen to look while the new log is still the shorter one.
    let interval = Duration::from_secs(3);
    let start = StartPlan { time_lookup: true, ..StartPlan::beginning() };
    let mut follow = Follow::asking_every(interval, kafka, &[&topic], start);
    follow.assigned().await;
    for record in numbered(&topic, 0, 0..before) {
        kafka.produce(record).await;
    }
    assert_eq!(follow.values(before).await.len(), before);
    // Two rounds of the watcher's questions, the second of which began after all of this was read.
    let end = i64::try_from(before).unwrap();
    follow.partitions(|all| all[0].end == end).await;
    kafka.produce(Record::to(&topic).partition(0).value("last")).await;
    follow.values(1).await;
    follow.partitions(|all| all[0].end == end + 1).await;
    // Nothing is read while it happens, so that only the log itself can tell.
    let closed = follow.close_gate();
    kafka.produce(Record::to(&topic).partition(0).value("waits")).await;
    kafka.delete_topic(&topic).await;
    create_again(kafka, &topic).await;
    // A producer of its own: the shared one still has the deleted topic in mind.
    let producer: FutureProducer = kafka.client().create().unwrap();
    let again: Vec<String> = (0..after).map(|i| format!("again{i}")).collect();
    let sent: Vec<_> = again
        .iter()
        .map(|value| producer.send_result(FutureRecord::<str, str>::to(&topic).payload(value).partition(0)).unwrap())
        .collect();
    for delivery in sent {
        delivery.await.unwrap().unwrap();
    }
    closed.open();
    loop {
        match follow.next().await {
            // Of the new log, before it was noticed.
            Seen::Record(_, offset, _) => assert!(offset > end),
            Seen::Discontinuity(at, _, to, reason) => {
                assert_eq!((at, to, reason), (tp.clone(), 0, Discontinuity::Recreated));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(follow.values(after).await, again);
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_is_read_from_its_beginning() {
    recreate(10, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_is_noticed_also_when_its_new_log_is_the_longer_one() {
    recreate(10, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_missing_at_the_start_is_named_with_the_remedy_and_followed_once_it_is_there() {
    let kafka = Kafka::shared().await;
    let there = kafka.topic("there", 1).await;
    let missing = format!("{there}.missing");
    let mut follow = Follow::from_beginning(kafka, &[&there, &missing]);
    let state = follow.until(|s| matches!(s, State::Starting { why } if why.contains("does not exist"))).await;
    let State::Starting { why } = state else { unreachable!() };
    assert!(why.contains(&missing) && why.contains("rtmn-bridge topics create"), "{why}");
    kafka.create_topic(&missing, 2, &[]).await;
    assert_eq!(follow.assigned().await.len(), 3);
    kafka.produce(Record::to(&missing).partition(1).value("x")).await;
    assert_eq!(follow.values(1).await, ["x"]);
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_down_at_the_start_is_awaited() {
    let kafka = Kafka::own(&[]).await;
    let topic = kafka.topic("later", 2).await;
    kafka.produce_all(numbered(&topic, 0, 0..3)).await;
    kafka.stop().await;
    let mut follow = Follow::from_beginning(&kafka, &[&topic]);
    follow.until(|s| matches!(s, State::Starting { why } if why.contains("broker can be reached"))).await;
    kafka.restart().await;
    assert_eq!(follow.assigned().await.len(), 2);
    assert_eq!(follow.values(3).await, ["0:0", "0:1", "0:2"]);
    follow.ready().await;
    follow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_noticed_and_reading_goes_on_when_it_does() {
    let kafka = Kafka::own(&[]).await;
    let topic = kafka.topic("hangs", 1).await;
    let mut follow = Follow::from_beginning(&kafka, &[&topic]);
    follow.assigned().await;
    kafka.produce_all(numbered(&topic, 0, 0..3)).await;
    follow.values(3).await;
    follow.ready().await;
    kafka.pause().await;
    follow.until(|state| matches!(state, State::Degraded { .. })).await;
    kafka.resume().await;
    follow.ready().await;
    kafka.produce_all(numbered(&topic, 0, 3..6)).await;
    assert_eq!(follow.values(3).await, ["0:3", "0:4", "0:5"]);
    follow.end().await;
}

mod topics {
    use std::collections::BTreeMap;

    use rtmn_bridge::kafka::admin::{Admin, Layout, Outcome, plan};
    use rtmn_bridge::kafka::{CONTROL_TOPIC, REPLAY_TOPIC};

    use super::{Kafka, config};

    #[tokio::test(flavor = "multi_thread")]
    async fn creating_is_idempotent_and_shows_what_differs() {
        let kafka = Kafka::own(&[]).await;
        kafka.create_topic("rtmn.orders", 1, &[("retention.ms", "1000"), ("cleanup.policy", "compact")]).await;
        let settings = config::Kafka { brokers: kafka.address().to_owned(), ..config::Kafka::default() };
        let admin = Admin::new(&settings).unwrap();
        let plan = plan(&settings, Layout { partitions: 3, replication: 1 });
        let first: BTreeMap<String, Outcome> = admin.create(&plan).await.unwrap().into_iter().collect();
        assert_eq!(first.len(), 7);
        assert_eq!((&first[CONTROL_TOPIC], &first[REPLAY_TOPIC]), (&Outcome::Created, &Outcome::Created));
        let Outcome::Exists(differences) = &first["rtmn.orders"] else { panic!("{first:?}") };
        let what: Vec<&str> = differences.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!(what, ["partitions", "cleanup.policy", "retention.ms"]);
        let again: BTreeMap<String, Outcome> = admin.create(&plan).await.unwrap().into_iter().collect();
        assert_eq!(again.values().filter(|outcome| **outcome == Outcome::Exists(Vec::new())).count(), 6, "{again:?}");
        assert_eq!(again["rtmn.orders"], first["rtmn.orders"]);
    }
}
