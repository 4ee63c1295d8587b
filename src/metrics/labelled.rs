//! Metrics with labels, looked up by borrowed texts: nothing is allocated for a label set that is known. For what
//! happens once per record, request or event; what happens once per delivery has handles of its own in
//! [`super::Metrics`].

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Label sets of one metric; what comes beyond is counted under [`OVERFLOW`], so that nothing a stranger chooses can
/// ever fill the memory.
const MAX_SETS: usize = 2048;
/// The value of every label of the set that takes what is too much.
const OVERFLOW: &str = "(too many)";

/// A metric and its label values.
type Set<M, const N: usize> = ([Box<str>; N], M);

/// One metric per set of `N` label values. A clone is the same metric.
#[derive(Clone)]
pub(super) struct Labelled<M, const N: usize> {
    names: [&'static str; N],
    // A list and not a map: there are few, and a list can be searched by borrowed texts.
    sets: Arc<RwLock<Vec<Set<M, N>>>>,
}

impl<M: Default, const N: usize> Labelled<M, N> {
    pub(super) fn new(names: [&'static str; N]) -> Self {
        Self { names, sets: Arc::default() }
    }

    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Does something with the metric of these label values, which is made when it is new.
    pub(super) fn with<R>(&self, values: [&str; N], act: impl FnOnce(&M) -> R) -> R {
        if let Some((_, metric)) = self.sets.read().iter().find(|(set, _)| same(set, &values)) {
            return act(metric);
        }
        let mut sets = self.sets.write();
        let values = if sets.len() < MAX_SETS { values } else { [OVERFLOW; N] };
        let at = sets.iter().position(|(set, _)| same(set, &values)).unwrap_or_else(|| {
            sets.push((values.map(Box::from), M::default()));
            sets.len() - 1
        });
        act(&sets[at].1)
    }
}

fn same<const N: usize>(set: &[Box<str>; N], values: &[&str; N]) -> bool {
    set.iter().zip(values).all(|(known, value)| **known == **value)
}

impl<M, const N: usize> fmt::Debug for Labelled<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labelled").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<M: TypedMetric + EncodeMetric, const N: usize> EncodeMetric for Labelled<M, N> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let sets = self.sets.read();
        let mut sorted: Vec<_> = sets.iter().collect();
        sorted.sort_by_key(|(values, _)| values);
        for (values, metric) in sorted {
            let labels: Vec<(&str, &str)> =
                self.names.iter().copied().zip(values.iter().map(|value| &**value)).collect();
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.sets.read().is_empty()
    }
}
