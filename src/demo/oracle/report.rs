//! What the judge found, as numbers and as one line of JSON.

use serde::Serialize;

/// The outcome of one run. `expected == delivered + conflated + lost`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Records produced.
    pub produced: usize,
    /// Clients that were judged.
    pub clients: usize,
    /// Events that had to arrive, over all clients.
    pub expected: usize,
    /// Of these, how many did.
    pub delivered: usize,
    /// States that a newer one overtook, which `latest` allows.
    pub conflated: usize,
    /// Events that had to arrive and did not.
    pub lost: usize,
    /// Events that reached a client they were not for, or that no record explains.
    pub misrouted: usize,
    /// Of the misrouted: how many are of the client's own rooms but differ in their payload.
    pub altered: usize,
    /// Events that came again.
    pub duplicates: usize,
    /// Events that came after a later one of their partition, or states after a newer one.
    pub out_of_order: usize,
    /// Events without a position.
    pub unpositioned: usize,
    /// `dashboard.stats` that staff received.
    pub stats: usize,
    /// Median from producing to receiving, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// The slowest, milliseconds.
    pub max_ms: f64,
    /// The first faults in words: clients and event names, never payloads.
    pub faults: Vec<String>,
}

impl Report {
    /// The most faults that are told in words.
    const WORDS: usize = 20;

    /// Whether nothing at all was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.misrouted + self.duplicates + self.out_of_order + self.unpositioned == 0
    }

    /// The report as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.faults.len() < Self::WORDS {
            self.faults.push(text());
        }
    }

    /// Fills in the percentiles.
    pub(super) fn latencies(&mut self, mut micros: Vec<i64>) {
        micros.sort_unstable();
        let at = |part: usize| micros.get((micros.len() * part / 100).min(micros.len().saturating_sub(1)));
        let ms = |micros: Option<&i64>| {
            #[expect(clippy::cast_precision_loss, reason = "a delay has far fewer than 52 bits of microseconds")]
            micros.map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        (self.p50_ms, self.p99_ms, self.max_ms) = (ms(at(50)), ms(at(99)), ms(micros.last()));
    }
}
