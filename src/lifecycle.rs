//! Signals, and an end within a deadline: SIGTERM or Ctrl-C starts the drain, a second one ends at once.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from their defaults.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal; returns its name. Cancel safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended by itself.
    Clean,
    /// The deadline passed; what still hung is abandoned.
    Deadline,
    /// A second signal came.
    Impatient,
}

/// Runs a drain, for at most `deadline` and until the next signal.
pub async fn within(deadline: Duration, signals: &mut Signals, drain: impl Future<Output = ()>) -> Drained {
    tokio::select! {
        () = drain => Drained::Clean,
        () = tokio::time::sleep(deadline) => Drained::Deadline,
        _ = signals.next() => Drained::Impatient,
    }
}
