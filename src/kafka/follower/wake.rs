//! How the reading thread is woken: by librdkafka when a partition's queue has something, by the handle, by the watcher.
//!
//! librdkafka calls [`Waker::ready`] while it holds the queue's lock, so nothing of librdkafka may be called with the
//! waker's lock held, and nothing slow may happen under it.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Wishes of the handle.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) stop: AtomicBool,
    pub(super) retry: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    /// Slots whose queue has something, each once.
    ready: Vec<usize>,
    listed: Vec<bool>,
    woken: bool,
}

#[derive(Debug, Default)]
pub(super) struct Waker {
    inner: Mutex<Inner>,
    condvar: Condvar,
    signals: Signals,
}

impl Waker {
    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The slot's queue has something to read.
    pub(super) fn ready(&self, slot: usize) {
        let mut inner = self.inner.lock();
        if inner.listed.len() <= slot {
            inner.listed.resize(slot + 1, false);
        }
        if !inner.listed[slot] {
            inner.listed[slot] = true;
            inner.ready.push(slot);
            self.condvar.notify_one();
        }
    }

    /// Something other than a record wants attention.
    pub(super) fn wake(&self) {
        self.inner.lock().woken = true;
        self.condvar.notify_one();
    }

    /// Adds the ready slots to `into`, after waiting for `timeout` at most until there are any or until [`Self::wake`].
    pub(super) fn wait(&self, timeout: Duration, into: &mut impl Extend<usize>) {
        let deadline = Instant::now() + timeout;
        let mut inner = self.inner.lock();
        while inner.ready.is_empty() && !inner.woken {
            if self.condvar.wait_until(&mut inner, deadline).timed_out() {
                break;
            }
        }
        inner.woken = false;
        let Inner { ready, listed, .. } = &mut *inner;
        for &slot in ready.iter() {
            listed[slot] = false;
        }
        into.extend(ready.drain(..));
    }
}
