//! The rate of one client's events: a token bucket. Pure: the time is passed in, and nobody waits here.

use std::time::{Duration, Instant};

/// Allows a burst, then a sustained rate. Two words of state: the time at which the bucket will be full again.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Between two events at the sustained rate.
    interval: Duration,
    /// How far ahead of the clock `full_at` may be when an event is still let through.
    depth: Duration,
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket: `burst` events at once, then `rate` a second. Zeroes count as one.
    #[must_use]
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, depth: interval.saturating_mul(burst.max(1) - 1), full_at: now }
    }

    /// Takes one event's token; `false` when there is none, which costs nothing. A clock that stands still or goes
    /// back refills nothing.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.full_at.saturating_duration_since(now) > self.depth {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(bucket: &mut TokenBucket, now: Instant, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(bucket.take(now))).sum()
    }

    #[test]
    fn lets_a_burst_through_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(20, 100, start);
        assert_eq!(taken(&mut bucket, start, 1000), 100);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(49), 10), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(50), 10), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1050), 1000), 20);
    }

    #[test]
    fn is_never_fuller_than_the_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 5, start);
        assert_eq!(taken(&mut bucket, start + Duration::from_hours(24), 1000), 5);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_breaks_nothing() {
        let before = Instant::now();
        let start = before + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(1, 2, start);
        assert_eq!(taken(&mut bucket, start, 10), 2);
        assert_eq!(taken(&mut bucket, before + Duration::from_secs(5), 10), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(1), 10), 1);
    }

    #[test]
    fn zeroes_count_as_one() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(0, 0, start);
        assert_eq!(taken(&mut bucket, start, 10), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(1), 10), 1);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate_times_time(
            rate in 1_u32..200, burst in 1_u32..50, steps in prop::collection::vec((0_u64..500, 0_u32..60), 1..60),
        ) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(rate, burst, start);
            let (mut now, mut count) = (start, 0_u64);
            for (millis, tries) in steps {
                now += Duration::from_millis(millis);
                count += u64::from(taken(&mut bucket, now, tries));
                let most = f64::from(burst) + f64::from(rate) * (now - start).as_secs_f64();
                // The interval is whole nanoseconds, rounded down: hence the small allowance.
                #[expect(clippy::cast_precision_loss, reason = "small counts")]
                let count = count as f64;
                prop_assert!(count <= most * 1.000_01 + 1e-6, "{count} of at most {most}");
            }
        }
    }
}
