//! The servers that the other tests rely on do what those take for granted.

use std::time::Duration;

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{Kafka, Record, Redis, Registry};

/// The first `count` records of partition 0.
fn read(kafka: &Kafka, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = kafka.client().set("group.id", "none").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let next = || consumer.poll(Duration::from_secs(30)).expect("a record within 30 s").expect("no error").detach();
    std::iter::repeat_with(next).take(count).collect()
}

#[tokio::test]
async fn kafka_keeps_every_part_of_a_record() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("parts", 1).await;
    let full = Record::to(&topic).partition(0).key("k").value("v").header("ce_type", "x").timestamp(1_700_000_000_000);
    assert_eq!(kafka.produce(full).await, (0, 0));
    assert_eq!(kafka.produce(Record::to(&topic).key("k")).await, (0, 1));

    let records = read(kafka, &topic, 2);
    assert_eq!(records[0].key(), Some(&b"k"[..]));
    assert_eq!(records[0].payload(), Some(&b"v"[..]));
    assert_eq!(records[0].timestamp().to_millis(), Some(1_700_000_000_000));
    let header = records[0].headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("ce_type", Some(&b"x"[..])));
    assert_eq!(records[1].payload(), None, "no value is a tombstone");
}

#[tokio::test]
async fn kafka_takes_records_larger_than_the_bridge_does() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("large", 1).await;
    kafka.produce(Record::to(&topic).value(vec![b'x'; 10_000_000])).await;
    assert_eq!(read(kafka, &topic, 1)[0].payload().map(<[u8]>::len), Some(10_000_000));
}

#[tokio::test]
async fn topics_of_two_tests_never_meet_and_can_grow_and_go() {
    let kafka = Kafka::shared().await;
    let [orders, wallet] = kafka.topics(["orders", "wallet"], 2).await;
    assert_ne!(orders, wallet);
    assert_ne!(kafka.topic("orders", 1).await, orders);
    kafka.add_partitions(&orders, 3).await;
    assert_eq!(kafka.produce(Record::to(&orders).partition(2).value("v")).await, (2, 0));
    kafka.delete_topic(&orders).await;
    kafka.create_topic(&orders, 1, &[("retention.ms", "1000")]).await;
    assert_eq!(kafka.produce(Record::to(&orders).value("v")).await, (0, 0));
}

#[tokio::test]
async fn a_killed_broker_comes_back_at_its_address_with_its_records() {
    let kafka = Kafka::own(&["message.max.bytes=2000000"]).await;
    let topic = kafka.topic("kept", 1).await;
    kafka.produce_all((0..100).map(|n| Record::to(&topic).value(n.to_string()))).await;

    kafka.kill().await;
    TcpStream::connect(kafka.address()).await.expect_err("it is gone");
    kafka.restart().await;
    kafka.pause().await;
    TcpStream::connect(kafka.address()).await.expect("a paused one still accepts");
    kafka.resume().await;
    kafka.stop().await;
    kafka.restart().await;

    assert_eq!(kafka.produce(Record::to(&topic).value("100")).await, (0, 100));
    let records = read(&kafka, &topic, 101);
    let values = records.iter().map(|record| std::str::from_utf8(record.payload().unwrap()).unwrap().to_owned());
    assert!(values.eq((0..=100).map(|n| n.to_string())));
}

#[tokio::test]
async fn the_registry_gives_a_schema_back_by_its_id() {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#;
    let own = Registry::own().await;
    own.register("first-value", schema).await;
    own.kill().await;
    reqwest::get(own.url()).await.expect_err("it is gone");
    let registry = Registry::shared().await;
    let id = registry.register("smoke-value", schema).await;
    let answer: serde_json::Value =
        reqwest::get(format!("{}/schemas/ids/{id}", registry.url())).await.unwrap().json().await.unwrap();
    let given: serde_json::Value = serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap();
    assert_eq!(given, serde_json::from_str::<serde_json::Value>(schema).unwrap());
}

/// Sends one inline command; returns the last line of an answer of `lines` lines.
async fn redis(address: &str, command: &str, lines: usize) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        tokio::time::timeout(Duration::from_secs(10), stream.read_line(&mut line)).await.unwrap().unwrap();
    }
    line.trim().to_owned()
}

#[tokio::test]
async fn a_killed_redis_still_has_what_it_acknowledged() {
    assert_eq!(redis(Redis::shared().await.address(), "PING", 1).await, "+PONG");
    let own = Redis::own().await;
    assert_eq!(redis(own.address(), "SET a 1", 1).await, "+OK");
    own.kill().await;
    own.restart().await;
    assert_eq!(redis(own.address(), "GET a", 2).await, "1");
    assert_eq!(own.url(), format!("redis://{}", own.address()));
}
