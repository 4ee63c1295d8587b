//! Records for real Kafka: key, value, headers, partition and timestamp as a test wants them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use super::Kafka;

/// A record to produce. `Record::to(topic).key(…).value(…)`; what is not set is absent (no value: a tombstone).
#[derive(Debug, Clone, Default)]
pub struct Record {
    topic: String,
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    timestamp: Option<i64>,
}

impl Record {
    /// An empty record for this topic.
    pub fn to(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// The partition; by the key's hash when not set.
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// The key.
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The value.
    pub fn value(self, value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..self }
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The timestamp, in milliseconds since 1970; now when not set.
    pub fn timestamp(self, millis: i64) -> Self {
        Self { timestamp: Some(millis), ..self }
    }
}

/// See [`Kafka::producer`].
pub fn producer(mut config: ClientConfig) -> FutureProducer {
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.max.bytes", "20000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("message.timeout.ms", "120000")
        .create()
        .expect("a producer")
}

impl Kafka {
    /// Produces one record; returns its partition and offset once the broker has it.
    pub async fn produce(&self, record: Record) -> (i32, i64) {
        self.produce_all([record]).await[0]
    }

    /// Produces records, those of a partition in this order; returns each one's partition and offset once the broker
    /// has them all.
    pub async fn produce_all(&self, records: impl IntoIterator<Item = Record>) -> Vec<(i32, i64)> {
        let mut deliveries = Vec::new();
        for record in records {
            deliveries.push(enqueue(self.producer(), &record).await);
        }
        let mut places = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let delivery = delivery.await.expect("the producer lives");
            let delivery = delivery.unwrap_or_else(|(e, _)| panic!("the record was not delivered: {e}"));
            places.push((delivery.partition, delivery.offset));
        }
        places
    }
}

/// Hands a record to librdkafka; waits while its queue is full.
async fn enqueue(producer: &FutureProducer, record: &Record) -> rdkafka::producer::DeliveryFuture {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_slice()) })
    });
    let mut sending = FutureRecord::<[u8], [u8]>::to(&record.topic);
    sending.partition = record.partition;
    sending.key = record.key.as_deref();
    sending.payload = record.value.as_deref();
    sending.timestamp = record.timestamp;
    sending.headers = (!record.headers.is_empty()).then_some(headers);
    loop {
        match producer.send_result(sending) {
            Ok(delivery) => return delivery,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                sending = again;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err((e, _)) => panic!("record for {}: {e}", record.topic),
        }
    }
}
