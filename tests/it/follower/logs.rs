//! Logs that are not a plain row of records: transactions, compaction, trimming, topics that were created again.

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::*;

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
