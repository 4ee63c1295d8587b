//! Logs: how they are written, and how often the same thing is said. What is logged is for who logs it to decide;
//! tokens and payloads never are.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No filter.
    #[error("log.filter: {0:?} is no filter, write for example \"info\"")]
    Filter(String),
    /// Something else writes logs in this process already.
    #[error("logging is set up already")]
    Twice,
}

/// Sends logs to stderr, as text or as one JSON object per line: stdout is for what commands print.
///
/// # Errors
/// When the filter is none, or logging was set up before.
pub fn init(log: &config::Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|_| TelemetryError::Filter(log.filter.clone()))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = if log.json {
        logs.json().flatten_event(true).with_current_span(false).finish().with(filter_fn(is_discreet)).try_init()
    } else {
        logs.with_ansi(std::io::stderr().is_terminal()).finish().with(filter_fn(is_discreet)).try_init()
    };
    done.map_err(|_| TelemetryError::Twice)
}

/// Whether a line may be written whatever the filter asks for: tungstenite's, below warnings, hold whole messages, and
/// in these tokens.
fn is_discreet(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::WARN || !line.target().starts_with("tungstenite")
}

/// Says the same thing once per interval, and then how often it was not said. Pure: the time is passed in.
#[derive(Debug)]
pub struct LogThrottle<K> {
    interval: Duration,
    /// When each was said last, and how often it was not since.
    said: HashMap<K, (Instant, u64)>,
}

impl<K: Hash + Eq> LogThrottle<K> {
    /// Most things that are told apart; what comes beyond is not said at all until others are old.
    const MAX_KEYS: usize = 1024;

    /// Says each thing once per interval.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, said: HashMap::new() }
    }

    /// Whether to say it now: `Some` with the times that it was not said since the last time, `None` to be silent.
    pub fn admit(&mut self, key: K, now: Instant) -> Option<u64> {
        let interval = self.interval;
        let due = |last: Instant| now.saturating_duration_since(last) >= interval;
        if let Some((last, suppressed)) = self.said.get_mut(&key) {
            if due(*last) {
                *last = now;
                return Some(std::mem::take(suppressed));
            }
            *suppressed += 1;
            return None;
        }
        if self.said.len() >= Self::MAX_KEYS {
            self.said.retain(|_, (last, _)| !due(*last));
        }
        if self.said.len() >= Self::MAX_KEYS {
            return None;
        }
        self.said.insert(key, (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn says_each_thing_once_per_interval_and_counts_the_rest() {
        let mut throttle = LogThrottle::new(INTERVAL);
        let start = Instant::now();
        assert_eq!(throttle.admit("a", start), Some(0));
        assert_eq!(throttle.admit("a", start), None);
        assert_eq!(throttle.admit("b", start), Some(0));
        assert_eq!(throttle.admit("a", start + Duration::from_millis(29_999)), None);
        assert_eq!(throttle.admit("a", start + INTERVAL), Some(2));
        assert_eq!(throttle.admit("a", start + INTERVAL), None);
        assert_eq!(throttle.admit("a", start + 2 * INTERVAL), Some(1));
        assert_eq!(throttle.admit("b", start + 2 * INTERVAL), Some(0));
    }

    #[test]
    fn keeps_a_bounded_number_of_things_and_forgets_old_ones() {
        let mut throttle = LogThrottle::new(INTERVAL);
        let start = Instant::now();
        let said = (0..5000).filter(|key| throttle.admit(*key, start).is_some()).count();
        assert_eq!(said, LogThrottle::<i32>::MAX_KEYS);
        assert_eq!(throttle.said.len(), said);
        assert_eq!(throttle.admit(9999, start), None);
        assert_eq!(throttle.admit(9999, start + INTERVAL), Some(0));
        assert_eq!(throttle.said.len(), 1);
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let log = config::Log { filter: "a=b=c".into(), json: false };
        assert!(matches!(init(&log), Err(TelemetryError::Filter(_))));
    }
}
