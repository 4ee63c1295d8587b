//! The hub: routed records in, frames out to exactly the sockets in their rooms. [`Hub`] is the handle that the
//! pipeline and the gateway hold; the work is done by the shards, one task each.
//!
//! It must never wait for a socket, and never let two sockets share a lock.

pub mod entry;
pub mod frame;
pub mod outbox;
pub mod shard;
#[cfg(test)]
mod sim;
pub mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use entry::{Entry, Source};
pub use frame::Frame;
pub use outbox::{Bounds, CloseReason, Outbox};
pub use shard::Input;
pub use window::Window;

use crate::config;
use crate::metrics::Metrics;
use crate::position::{Position, TopicCode};
use crate::route::RoomKind;
use shard::Shard;

/// Inputs that may wait for a shard. When it is full, the pipeline waits (Kafka keeps the records) and so do clients
/// that join.
const SHARD_QUEUE: usize = 1024;

/// A socket's number on this node; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(u64);

/// How many memberships and rooms there are, for metrics and the summary.
#[derive(Debug, Default)]
pub struct Census {
    memberships: [AtomicUsize; 6],
    /// Rooms with at least one socket, summed over the shards.
    pub rooms: AtomicUsize,
    /// Bytes that wait for sockets, as last measured.
    pub queued: AtomicUsize,
}

impl Census {
    fn index(kind: RoomKind) -> usize {
        match kind {
            RoomKind::User => 0,
            RoomKind::Merchant => 1,
            RoomKind::Order => 2,
            RoomKind::FlashSale => 3,
            RoomKind::Admin => 4,
            RoomKind::Everyone => 5,
        }
    }

    fn joined(&self, kind: RoomKind) {
        self.memberships[Self::index(kind)].fetch_add(1, Ordering::Relaxed);
    }

    fn left(&self, kind: RoomKind) {
        self.memberships[Self::index(kind)].fetch_sub(1, Ordering::Relaxed);
    }

    /// Memberships in rooms of that kind.
    #[must_use]
    pub fn memberships(&self, kind: RoomKind) -> usize {
        self.memberships[Self::index(kind)].load(Ordering::Relaxed)
    }
}

/// The handle to the shards. Cheap to share.
#[derive(Debug)]
pub struct Hub {
    shards: Vec<mpsc::Sender<Input>>,
    window: Arc<Window>,
    census: Arc<Census>,
    next_socket: AtomicU64,
    died: CancellationToken,
}

/// The shards are gone: the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub has stopped")]
pub struct Stopped;

impl Hub {
    /// Starts the shards on `tasks`. They end when the hub is dropped.
    pub fn start(config: &config::Hub, position: &Position, metrics: &Arc<Metrics>, tasks: &TaskTracker) -> Arc<Self> {
        let count = match config.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let window = Arc::new(Window::new(config.window_bytes, config.window_age));
        let census = Arc::new(Census::default());
        let died = CancellationToken::new();
        let shards = (0..count)
            .map(|_| {
                let (inputs, receiver) = mpsc::channel(SHARD_QUEUE);
                let shard = Shard::new(position.clone(), Arc::clone(&window), Arc::clone(metrics), Arc::clone(&census));
                // Dropped by a panic, disarmed by an end as it should be.
                let alarm = died.clone().drop_guard();
                tasks.spawn(async move {
                    shard.run(receiver).await;
                    alarm.disarm();
                });
                inputs
            })
            .collect();
        Arc::new(Self { shards, window, census, next_socket: AtomicU64::new(0), died })
    }

    /// A number for a new socket.
    #[must_use]
    pub fn new_socket(&self) -> SocketId {
        SocketId(self.next_socket.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells the socket's shard. Waits while its queue is full.
    ///
    /// # Errors
    /// [`Stopped`] when the shards have ended.
    pub async fn tell(&self, socket: SocketId, input: Input) -> Result<(), Stopped> {
        let index = usize::try_from(socket.0 % self.shards.len() as u64).unwrap_or(0);
        self.shards[index].send(input).await.map_err(|_| Stopped)
    }

    /// Publishes entries, which continue the node's order: into the window first, then to every shard. Called from the
    /// pipeline's thread; blocks while a shard's queue is full.
    ///
    /// # Errors
    /// [`Stopped`] when the shards have ended.
    pub fn publish(&self, entries: Vec<Arc<Entry>>, before: &Position) -> Result<(), Stopped> {
        self.window.append(&entries, before, now_ms());
        let entries: Arc<[Arc<Entry>]> = entries.into();
        self.shards
            .iter()
            .try_for_each(|shard| shard.blocking_send(Input::Entries(Arc::clone(&entries))))
            .map_err(|_| Stopped)
    }

    /// Tells every shard which partitions are followed from here on.
    ///
    /// # Errors
    /// [`Stopped`] when the shards have ended.
    pub fn assigned(&self, seq: u64, partitions: Vec<(TopicCode, i32, i64)>, after: &Position) -> Result<(), Stopped> {
        self.window.remember(seq, after);
        let partitions: Arc<[_]> = partitions.into();
        self.shards
            .iter()
            .try_for_each(|shard| shard.blocking_send(Input::Assigned(Arc::clone(&partitions))))
            .map_err(|_| Stopped)
    }

    /// Asks the shards to measure what waits for their sockets; one that is busy is asked next time.
    pub fn measure(&self) {
        for shard in &self.shards {
            drop(shard.try_send(Input::Measure));
        }
    }

    /// Completes when a shard has died: its sockets hear nothing more, the process must end. Cancel safe.
    pub async fn died(&self) {
        self.died.cancelled().await;
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// How many rooms and memberships there are.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.census
    }
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
