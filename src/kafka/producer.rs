//! A small producer for `seed` and `demo`: idempotent, every record confirmed, never more than a bound on the way.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;

use super::client::{ClientError, Context, base_config};

/// Most records that wait for their confirmation at once.
const IN_FLIGHT: usize = 10_000;
/// A record is confirmed or given up within this time.
const DELIVERY: Duration = Duration::from_secs(30);

/// A record to be produced.
#[derive(Debug, Clone, Default)]
pub struct OutRecord<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Key; decides the partition (as the Java client would) unless `partition` is set.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Timestamp in ms since the epoch; now if `None`.
    pub timestamp_ms: Option<i64>,
    /// Partition, to override the key's.
    pub partition: Option<i32>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in ms since the epoch; `None` if the broker has none.
    pub timestamp_ms: Option<i64>,
}

/// A record was not produced.
#[derive(Debug, thiserror::Error)]
#[error("cannot produce to `{topic}`: {why}")]
pub struct ProduceError {
    topic: String,
    why: String,
}

/// A confirmation on its way.
#[must_use = "the record is only known to be there when it is confirmed"]
pub struct Pending {
    topic: String,
    future: rdkafka::producer::future_producer::DeliveryFuture,
    _permit: OwnedSemaphorePermit,
}

/// The producer; clones share one client.
#[derive(Clone)]
pub struct Producer {
    inner: FutureProducer<Context>,
    in_flight: Arc<Semaphore>,
}

impl Producer {
    /// Connects in the background: that no broker is there shows in the first record's result.
    ///
    /// # Errors
    /// [`ClientError`] for wrong settings.
    pub fn new(kafka: &config::Kafka) -> Result<Self, ClientError> {
        let mut client = base_config(kafka, "producer")?;
        client
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        for (name, value) in [("linger.ms", "2"), ("queue.buffering.max.kbytes", "65536"), ("compression.type", "lz4")]
        {
            if client.get(name).is_none() {
                client.set(name, value);
            }
        }
        let inner = client.create_with_context(Context::default())?;
        Ok(Self { inner, in_flight: Arc::new(Semaphore::new(IN_FLIGHT)) })
    }

    /// Hands a record over, after waiting for room if too many are on the way. Records of one partition keep the order of
    /// these calls. The confirmation is awaited with [`Pending::confirmed`].
    ///
    /// # Errors
    /// [`ProduceError`] if librdkafka does not take it (too large, no such partition).
    pub async fn enqueue(&self, record: OutRecord<'_>) -> Result<Pending, ProduceError> {
        let failed = |why: String| ProduceError { topic: record.topic.to_owned(), why };
        let permit =
            Arc::clone(&self.in_flight).acquire_owned().await.map_err(|_| failed("the producer is closed".into()))?;
        let mut out = FutureRecord::<[u8], [u8]> {
            topic: record.topic,
            partition: record.partition,
            payload: record.payload,
            key: record.key,
            timestamp: record.timestamp_ms,
            headers: (!record.headers.is_empty()).then(|| headers(record.headers)),
        };
        let deadline = tokio::time::Instant::now() + DELIVERY;
        loop {
            match self.inner.send_result(out) {
                Ok(future) => return Ok(Pending { topic: record.topic.to_owned(), future, _permit: permit }),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if tokio::time::Instant::now() < deadline =>
                {
                    out = back;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err((error, _)) => return Err(failed(error.to_string())),
            }
        }
    }

    /// Produces one record and waits for its confirmation.
    ///
    /// # Errors
    /// [`ProduceError`] if it was not confirmed within 30 s.
    pub async fn send(&self, record: OutRecord<'_>) -> Result<Delivery, ProduceError> {
        self.enqueue(record).await?.confirmed().await
    }

    /// Waits until everything handed over is confirmed or given up; blocks the calling thread.
    ///
    /// # Errors
    /// [`ProduceError`] when something is still on the way at the deadline.
    pub fn flush(&self, deadline: Duration) -> Result<(), ProduceError> {
        self.inner.flush(deadline).map_err(|e| ProduceError { topic: "*".into(), why: e.to_string() })
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("room", &self.in_flight.available_permits()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Pending {
    /// Where the record stands now.
    ///
    /// # Errors
    /// [`ProduceError`] if the brokers did not take it.
    pub async fn confirmed(self) -> Result<Delivery, ProduceError> {
        let failed = |why: String| ProduceError { topic: self.topic.clone(), why };
        match self.future.await {
            Ok(Ok(delivery)) => Ok(Delivery {
                partition: delivery.partition,
                offset: delivery.offset,
                timestamp_ms: match delivery.timestamp {
                    Timestamp::NotAvailable => None,
                    Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                },
            }),
            Ok(Err((error, _))) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the producer was closed".into())),
        }
    }
}

fn headers(from: &[(&str, &[u8])]) -> OwnedHeaders {
    from.iter().fold(OwnedHeaders::new_with_capacity(from.len()), |headers, &(key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
