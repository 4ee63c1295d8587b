//! stub
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};
#[derive(Debug)]
/// stub
pub struct LogThrottle<K> { every: Duration, seen: HashMap<K, (Instant, u64)> }
#[allow(missing_docs, clippy::all)]
impl<K: Hash + Eq> LogThrottle<K> {
    pub fn new(every: Duration) -> Self { Self { every, seen: HashMap::new() } }
    pub fn admit(&mut self, key: K, now: Instant) -> Option<u64> {
        match self.seen.get_mut(&key) {
            Some((at, n)) if now < *at + self.every => { *n += 1; None }
            Some((at, n)) => { *at = now; Some(std::mem::take(n)) }
            None => { self.seen.insert(key, (now, 0)); Some(0) }
        }
    }
}
/// stub
/// # Errors
/// stub
pub fn init(_: &crate::config::Log) -> anyhow::Result<()> { tracing_subscriber::fmt().with_writer(std::io::stderr).init(); Ok(()) }
