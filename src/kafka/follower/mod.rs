//! Every node follows every partition of the configured topics: explicit assignment, no group, nothing committed.
//!
//! Two threads: one reads and hands records to the [`RecordHandler`] (module `run`); the other asks the brokers about
//! topics, partitions and log bounds (module `watch`), so that a slow answer never delays a record. What they find is
//! visible as a [`State`] and as [`PartitionStatus`]es. A partition's order is never broken; a hole in its offsets is
//! normal (transactions, compaction), and what is not normal is told as a [`Discontinuity`].

mod assign;
mod partition;
mod run;
mod wake;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch as channel;

use crate::config;
use crate::event::{RecordView, TopicPartition};

use super::client::ClientError;
use partition::Gauges;
use wake::Waker;

/// What takes the records: the pipeline. All calls come from one thread, the follower's.
pub trait RecordHandler: Send + 'static {
    /// One record, in its partition's order.
    fn record(&mut self, record: &RecordView<'_>) -> Verdict;
    /// The deadline of a held record passed: it is skipped, a gap that must be told.
    fn gap(&mut self, topic_partition: &TopicPartition, offset: i64);
    /// Partitions now followed, each with the first offset that will be read. Called at the start and when some are
    /// added.
    fn assigned(&mut self, partitions: &[(TopicPartition, i64)]);
    /// The log is not what it was: `expected` was to be read next, `found` is read instead.
    fn discontinuity(&mut self, topic_partition: &TopicPartition, expected: i64, found: i64, reason: Discontinuity);
    /// After each batch, and at least every 100 ms when there is nothing to read.
    fn flush(&mut self);
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Handled, also if that means ignored and counted.
    Done,
    /// It cannot be decoded yet: the partition waits, and the record is offered again.
    Hold,
}

/// Why a partition is read on from another place than the one expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discontinuity {
    /// The log's beginning went past us: retention or `DeleteRecords`. Records between are lost to this node.
    Trimmed,
    /// The log lost its end (an unclean election): what was read there may be replaced by something else.
    Truncated,
    /// The topic was deleted and created again: the same offsets now name other records.
    Recreated,
}

impl fmt::Display for Discontinuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trimmed => "trimmed",
            Self::Truncated => "truncated",
            Self::Recreated => "re-created",
        })
    }
}

/// Where reading begins.
#[derive(Debug, Clone)]
pub struct StartPlan {
    /// Records from this time on (ms since the epoch); `None` reads from the beginning.
    pub default_since_ms: Option<i64>,
    /// Topics with a time of their own.
    pub per_topic_since_ms: HashMap<String, i64>,
    /// Whether the broker can look up offsets by time. The embedded one cannot: then everything is read.
    pub time_lookup: bool,
}

impl StartPlan {
    /// Everything that the log holds.
    #[must_use]
    pub fn beginning() -> Self {
        Self { default_since_ms: None, per_topic_since_ms: HashMap::new(), time_lookup: false }
    }

    /// When the topic is to be read from; `None`: from its beginning.
    fn since_ms(&self, topic: &str) -> Option<i64> {
        self.time_lookup.then(|| self.per_topic_since_ms.get(topic).copied().or(self.default_since_ms)).flatten()
    }
}

/// What the follower needs to know.
#[derive(Debug, Clone)]
pub struct FollowerConfig {
    /// Brokers, topics, properties, how often to look for new partitions.
    pub kafka: config::Kafka,
    /// How long a record may be held (`codec.hold_deadline`).
    pub hold_deadline: Duration,
    /// Where to begin.
    pub start: StartPlan,
}

/// How the follower is doing. Ready means [`State::Following`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is read yet.
    Starting {
        /// What it waits for, with the remedy.
        why: Arc<str>,
    },
    /// Reads what the log held when it started, or when the brokers came back.
    Filling {
        /// Offsets still to go, over all partitions; an upper bound, since offsets have holes.
        behind: u64,
    },
    /// Up to date; records are handed on as they come.
    Following,
    /// Something is unreachable or denied; it resumes by itself where it stood.
    Degraded {
        /// What is wrong.
        why: Arc<str>,
    },
    /// Shut down as asked.
    Stopped,
    /// The thread ended by itself: the process should exit with an error.
    Dead {
        /// The panic's message or the fatal error.
        why: Arc<str>,
    },
}

impl State {
    /// Whether clients get everything now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Following
    }

    /// Whether it will never change again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stopped | Self::Dead { .. })
    }
}

/// One partition, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Which.
    pub topic_partition: TopicPartition,
    /// The offset that is read next: everything below it was handled.
    pub next: i64,
    /// The end of what can be read, when last asked.
    pub end: i64,
    /// Offsets between `next` and `end`, 0 when the reader saw the end.
    pub lag: u64,
    /// The offset of the record that holds the partition, if one does.
    pub held: Option<i64>,
}

/// The follower could not be told to stop in time; its threads are left behind for the process's exit to end.
#[derive(Debug, thiserror::Error)]
#[error("the follower did not stop within {0:?}")]
pub struct StillRunning(Duration);

/// The follower's thread could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The client's settings are wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The operating system gave no thread.
    #[error("cannot start the follower's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running follower. Dropping it stops the follower too, without waiting.
#[derive(Debug)]
pub struct FollowerHandle {
    shared: Arc<Shared>,
    state: channel::Receiver<State>,
}

/// What the handle and the threads share.
#[derive(Debug, Default)]
struct Shared {
    waker: Waker,
    gauges: parking_lot::Mutex<Vec<Arc<Gauges>>>,
}

/// Starts following. Returns at once: that no broker is there, or no topic, shows in the state.
///
/// # Errors
/// [`SpawnError`] for wrong settings only.
pub fn spawn(config: &FollowerConfig, handler: impl RecordHandler) -> Result<FollowerHandle, SpawnError> {
    let (tell, state) = channel::channel(State::Starting { why: "connecting to the brokers".into() });
    let shared = Arc::new(Shared::default());
    run::start(config, handler, Arc::clone(&shared), tell)?;
    Ok(FollowerHandle { shared, state })
}

impl FollowerHandle {
    /// The state, to be watched. The channel ends only after a final state.
    #[must_use]
    pub fn state(&self) -> channel::Receiver<State> {
        self.state.clone()
    }

    /// All partitions that are followed, in the order in which they were found.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        self.shared.gauges.lock().iter().map(|gauges| gauges.status()).collect()
    }

    /// A schema may be there now: held records are offered again at once instead of at their next turn.
    pub fn retry_held(&self) {
        self.shared.waker.signals().retry.store(true, Ordering::Release);
        self.shared.waker.wake();
    }

    /// A closure that does the same, for whoever resolves schemas.
    #[must_use]
    pub fn retry_held_trigger(&self) -> Arc<dyn Fn() + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || {
            shared.waker.signals().retry.store(true, Ordering::Release);
            shared.waker.wake();
        })
    }

    /// Ends reading after the batch in hand (which is flushed). Nothing is handed to the handler after this returned
    /// `Ok`.
    ///
    /// # Errors
    /// [`StillRunning`] when the deadline passes first, for instance because the handler blocks.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), StillRunning> {
        self.stop();
        let mut state = self.state.clone();
        let ended = tokio::time::timeout(deadline, state.wait_for(State::is_final)).await;
        ended.map(|_| ()).map_err(|_| StillRunning(deadline))
    }

    fn stop(&self) {
        self.shared.waker.signals().stop.store(true, Ordering::Release);
        self.shared.waker.wake();
    }
}

impl Drop for FollowerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
