//! The marketplace's records on their way to Kafka: each at its time, in order, every one confirmed. What was produced,
//! and where it stands in the log, is handed to whoever asked; nothing is kept here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::codec::{EncodeError, SchemaError, Schemas};
use crate::kafka::producer::{OutRecord, Pending, ProduceError, Producer};
use crate::seed::SeedRecord;

/// A record that stands in the log.
#[derive(Debug, Clone)]
pub struct Produced {
    /// The record.
    pub record: SeedRecord,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it was handed to the producer, microseconds since the Unix epoch.
    pub produced_us: i64,
}

/// Whether records wait for their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Each at its time, counted from the first.
    Real,
    /// As fast as the brokers take them.
    Full,
}

/// Why no more records are sent.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The brokers did not take one.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// One could not be written as Avro.
    #[error("a record of the marketplace does not fit its schema: {0}")]
    Encode(#[from] EncodeError),
    /// The compiled-in schemas are broken.
    #[error(transparent)]
    Schemas(#[from] SchemaError),
}

/// Microseconds since the Unix epoch.
#[must_use]
pub fn micros(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Most records that wait for their confirmation.
const UNCONFIRMED: usize = 4_096;

/// Sends the records until they end or `stop` is cancelled, and returns once all of them are confirmed.
///
/// # Errors
/// [`TrafficError`] at the first record that the brokers do not take.
pub async fn send(
    producer: &Producer,
    records: impl Iterator<Item = SeedRecord> + Send,
    pace: Pace,
    stop: CancellationToken,
    confirmed: impl FnMut(Produced) + Send + 'static,
) -> Result<(), TrafficError> {
    let (waiting, inbox) = mpsc::channel(UNCONFIRMED);
    let collector = tokio::spawn(collect(inbox, confirmed));
    let sent = feed(producer, records, pace, &stop, waiting).await;
    // The collector ends when its inbox does; it panics only if `confirmed` does.
    let collected = collector.await.unwrap_or(Ok(()));
    sent.and(collected)
}

async fn feed(
    producer: &Producer,
    records: impl Iterator<Item = SeedRecord> + Send,
    pace: Pace,
    stop: &CancellationToken,
    waiting: mpsc::Sender<(SeedRecord, i64, Pending)>,
) -> Result<(), TrafficError> {
    let schemas = Schemas::builtin()?;
    let start = Instant::now();
    let mut first = None;
    for record in records {
        let first = *first.get_or_insert(record.at_ms);
        if pace == Pace::Real {
            let due = start + Duration::from_millis(u64::try_from(record.at_ms - first).unwrap_or(0));
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        let wire = record.wire(&schemas)?;
        let headers: Vec<(&str, &[u8])> = wire.headers.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let produced_us = micros(SystemTime::now());
        let out = OutRecord {
            topic: record.topic,
            key: Some(record.key.as_bytes()),
            payload: Some(&wire.value),
            headers: &headers,
            timestamp_ms: None,
            partition: None,
        };
        let pending = producer.enqueue(out).await?;
        if waiting.send((record, produced_us, pending)).await.is_err() {
            // The collector ended over a record that was refused: it tells.
            return Ok(());
        }
    }
    Ok(())
}

async fn collect(
    mut inbox: mpsc::Receiver<(SeedRecord, i64, Pending)>,
    mut confirmed: impl FnMut(Produced),
) -> Result<(), TrafficError> {
    while let Some((record, produced_us, pending)) = inbox.recv().await {
        let delivery = pending.confirmed().await?;
        confirmed(Produced { record, partition: delivery.partition, offset: delivery.offset, produced_us });
    }
    Ok(())
}
