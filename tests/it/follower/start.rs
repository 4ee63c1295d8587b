//! Where reading starts: at a time, at the beginning of what is new, once brokers and topics are there.

use std::collections::{BTreeMap, HashMap};

use rdkafka::producer::{FutureProducer, FutureRecord};

use super::*;

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
