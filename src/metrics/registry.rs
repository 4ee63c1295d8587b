//! Registering a metric and writing it down for the documentation are one step, so that neither can be forgotten.

use prometheus_client::encoding::{EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use super::PerClass;
use super::labelled::Labelled;
use super::process::Process;

/// One line of the documentation.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    kind: &'static str,
    labels: String,
    help: &'static str,
}

/// Collects the metrics.
pub(super) struct Builder {
    registry: Registry,
    rows: Vec<Row>,
}

/// All metrics, ready to be read.
pub(super) struct Registered {
    registry: Registry,
    rows: Vec<Row>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut builder = Self { registry: Registry::with_prefix("rtmn"), rows: Vec::new() };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        builder.add("build", "The bridge's version", &["version"], version);
        builder
    }

    fn add(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[&str],
        metric: impl EncodeMetric + Send + Sync + std::fmt::Debug + 'static,
    ) {
        let (suffix, kind) = match metric.metric_type() {
            MetricType::Counter => ("_total", "counter"),
            MetricType::Histogram => ("", "histogram"),
            MetricType::Info => ("_info", "info"),
            _ => ("", "gauge"),
        };
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        self.rows.push(Row { name: format!("rtmn_{name}{suffix}"), kind, labels, help });
        self.registry.register(name, help, metric);
    }

    pub(super) fn counter(&mut self, name: &str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.add(name, help, &[], counter.clone());
        counter
    }

    pub(super) fn gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        self.add(name, help, &[], gauge.clone());
        gauge
    }

    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Labelled<Counter, N> {
        self.labelled(name, help, labels)
    }

    pub(super) fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Labelled<Gauge, N> {
        self.labelled(name, help, labels)
    }

    /// One per delivery class, made beforehand: no search when it is moved.
    pub(super) fn per_class<M>(&mut self, name: &str, help: &'static str) -> PerClass<M>
    where
        M: Clone + Default + EncodeMetric + TypedMetric + Send + Sync + std::fmt::Debug + 'static,
    {
        let labelled = self.labelled::<M, 1>(name, help, ["class"]);
        PerClass(PerClass::<M>::NAMES.map(|class| labelled.with([class], M::clone)))
    }

    pub(super) fn process(&mut self) -> Process {
        Process {
            memory: self.gauge("process_resident_bytes", "Memory that the process holds"),
            files: self.gauge("process_open_files", "Open file descriptors, connections among them"),
        }
    }

    fn labelled<M, const N: usize>(
        &mut self,
        name: &str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Labelled<M, N>
    where
        M: Clone + Default + EncodeMetric + TypedMetric + Send + Sync + std::fmt::Debug + 'static,
    {
        let metric = Labelled::new(labels);
        self.add(name, help, metric.names(), metric.clone());
        metric
    }

    pub(super) fn build(self) -> Registered {
        Registered { registry: self.registry, rows: self.rows }
    }
}

impl Registered {
    pub(super) fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// All metrics as a Markdown table.
    pub(super) fn table(&self) -> String {
        let row = |Row { name, kind, labels, help }: &Row| format!("| `{name}` | {kind} | {labels} | {help} |\n");
        let rows: String = self.rows.iter().map(row).collect();
        format!("| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}")
    }
}
