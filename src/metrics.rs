//! Every metric of the bridge, in one place: what it is called, what it means, and the one method that moves it.
//! `docs/metrics.md` is written from here, and a test keeps the two equal.
//!
//! What happens once per delivery is a plain atomic; what has labels costs a search among a few sets.

mod histogram;
mod labelled;
mod process;
mod registry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use histogram::Durations;
use labelled::Labelled;
use registry::Builder;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A delivery class, as a label. The routes' own type turns into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryClass {
    /// Each one, in order.
    Every,
    /// The newest per room and key.
    Latest,
    /// Now or never.
    Transient,
}

/// One of a kind per delivery class.
#[derive(Debug)]
struct PerClass<T>([T; 3]);

impl<T> PerClass<T> {
    const NAMES: [&'static str; 3] = ["every", "latest", "transient"];

    fn of(&self, class: DeliveryClass) -> &T {
        match class {
            DeliveryClass::Every => &self.0[0],
            DeliveryClass::Latest => &self.0[1],
            DeliveryClass::Transient => &self.0[2],
        }
    }
}

type Counters<const N: usize> = Labelled<Counter, N>;
type Gauges<const N: usize> = Labelled<Gauge, N>;

/// All metrics of one node.
pub struct Metrics {
    registry: registry::Registered,
    records_read: Counters<1>,
    records_refused: Counters<1>,
    unknown_values: Counters<2>,
    gaps: Counter,
    discontinuities: Counters<1>,
    follower_next: Gauges<2>,
    follower_end: Gauges<2>,
    follower_lag: Gauges<2>,
    partitions_held: Gauge,
    ready: Gauge,
    window_records: Gauge,
    window_bytes: Gauge,
    window_age: Gauge,
    emissions: Counters<1>,
    projection_errors: Counters<1>,
    deliveries: PerClass<Counter>,
    latency: PerClass<Durations>,
    frames: Counter,
    bytes: Counter,
    queue_bytes: Gauge,
    behind: Counter,
    rooms: Gauge,
    sockets: Gauges<2>,
    transports: Gauge,
    opened: Counter,
    closed: Counters<1>,
    requests_refused: Counters<1>,
    connects_refused: Counters<1>,
    client_events: Counters<2>,
    stats_orders: Gauge,
    stats_active: Gauges<1>,
    process: process::Process,
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut to = Builder::new();
        let metrics = Self {
            records_read: to.counters("records_read", "Records read from Kafka", ["topic"]),
            records_refused: to.counters(
                "records_refused",
                "Records that were passed over, by what was wrong with them",
                ["reason"],
            ),
            unknown_values: to.counters(
                "unknown_enum_values",
                "Values of an enumeration that the schemas don't know, passed on as they are",
                ["event", "field"],
            ),
            gaps: to.counter("gaps", "Records skipped because they could not be decoded in time; clients were told"),
            discontinuities: to.counters(
                "log_discontinuities",
                "Times that a partition's log was not what it had been, by what was found",
                ["reason"],
            ),
            follower_next: to.gauges(
                "follower_next_offset",
                "Offset that is read next: everything below it was handled",
                ["topic", "partition"],
            ),
            follower_end: to.gauges("follower_end_offset", "End of what can be read", ["topic", "partition"]),
            follower_lag: to.gauges(
                "follower_lag_records",
                "Offsets between the two, 0 when the reader saw the end",
                ["topic", "partition"],
            ),
            partitions_held: to.gauge("follower_partitions_held", "Partitions that wait for a schema"),
            ready: to.gauge("ready", "1 when the node is ready, else 0"),
            window_records: to.gauge("window_records", "Records in the window"),
            window_bytes: to.gauge("window_bytes", "Bytes that the window takes"),
            window_age: to.gauge("window_age_seconds", "Age of the oldest record in the window"),
            emissions: to.counters("emissions", "Emissions routed, by the event's name", ["event"]),
            projection_errors: to.counters(
                "projection_errors",
                "Emissions whose payload could not be made; nothing was sent",
                ["event"],
            ),
            deliveries: to.per_class("deliveries", "Events queued to sockets, by delivery class"),
            latency: to.per_class(
                "delivery_latency_seconds",
                "From the record's timestamp to the write on the sockets, once per emission and shard",
            ),
            frames: to.counter("frames_written", "Frames written to sockets"),
            bytes: to.counter("bytes_written", "Bytes written to sockets"),
            queue_bytes: to.gauge("queue_bytes", "Bytes that wait for sockets"),
            behind: to.counter("sockets_behind", "Times that a socket's queue was full and it fell behind"),
            rooms: to.gauge("rooms", "Rooms with at least one socket"),
            sockets: to.gauges("sockets", "Connected sockets", ["role", "transport"]),
            transports: to.gauge("transports", "Open Engine.IO sessions, connected or not"),
            opened: to.counter("transports_opened", "Engine.IO sessions opened"),
            closed: to.counters("transports_closed", "Engine.IO sessions ended, by reason", ["reason"]),
            requests_refused: to.counters("requests_refused", "Requests to /socket.io/ refused, by reason", ["reason"]),
            connects_refused: to.counters("connects_refused", "Handshakes refused, by reason", ["reason"]),
            client_events: to.counters(
                "client_events",
                "Events that clients sent, by name (`other` for unknown ones) and outcome",
                ["event", "outcome"],
            ),
            stats_orders: to.gauge("stats_today_orders", "Orders since midnight, as the dashboard shows them"),
            stats_active: to.gauges("stats_active", "Distinct ids connected, as the dashboard shows them", ["kind"]),
            process: to.process(),
            registry: to.build(),
        };
        // What an alert asks for must be there before it happens the first time.
        metrics.stats_active.with(["users"], |_| ());
        metrics.stats_active.with(["merchants"], |_| ());
        metrics
    }

    /// All metrics in the text format of `OpenMetrics`, to be sent as [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        self.process.read();
        self.registry.encode()
    }

    /// All metrics as a Markdown table: name, kind, labels, meaning.
    #[must_use]
    pub fn table(&self) -> String {
        self.registry.table()
    }

    /// A record was read.
    pub fn record_read(&self, topic: &str) {
        self.records_read.with([topic], Counter::inc);
    }

    /// A record was passed over.
    pub fn record_refused(&self, reason: &str) {
        self.records_refused.with([reason], Counter::inc);
    }

    /// A record had a value that its schema does not know.
    pub fn unknown_value(&self, event: &str, field: &str) {
        self.unknown_values.with([event, field], Counter::inc);
    }

    /// A record was skipped as a gap that clients are told of.
    pub fn gap(&self) {
        self.gaps.inc();
    }

    /// A partition's log was not what it had been.
    pub fn discontinuity(&self, reason: &str) {
        self.discontinuities.with([reason], Counter::inc);
    }

    /// Where the follower stands in a partition.
    pub fn partition(&self, topic: &str, partition: i32, next: i64, end: i64, lag: u64) {
        let number = partition.to_string();
        let labels = [topic, number.as_str()];
        self.follower_next.with(labels, |gauge| gauge.set(next));
        self.follower_end.with(labels, |gauge| gauge.set(end));
        self.follower_lag.with(labels, |gauge| gauge.set(i64::try_from(lag).unwrap_or(i64::MAX)));
    }

    /// How many partitions wait for a schema.
    pub fn partitions_held(&self, count: usize) {
        self.partitions_held.set(as_gauge(count));
    }

    /// Whether the node is ready.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// What the window holds; the age in milliseconds, `None` when it is empty.
    pub fn window(&self, records: usize, bytes: usize, age_ms: Option<i64>) {
        self.window_records.set(as_gauge(records));
        self.window_bytes.set(as_gauge(bytes));
        self.window_age.set(age_ms.unwrap_or(0).max(0) / 1000);
    }

    /// An emission was routed.
    pub fn emitted(&self, event: &str) {
        self.emissions.with([event], Counter::inc);
    }

    /// An emission's payload could not be made.
    pub fn projection_failed(&self, event: &str) {
        self.projection_errors.with([event], Counter::inc);
    }

    /// Events were queued to that many sockets.
    pub fn delivered(&self, class: impl Into<DeliveryClass>, count: u64) {
        self.deliveries.of(class.into()).inc_by(count);
    }

    /// From a record's timestamp to its write, in milliseconds; clocks that disagree can make it negative, which counts
    /// as none.
    pub fn latency(&self, class: impl Into<DeliveryClass>, ms: i64) {
        let latency = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        self.latency.of(class.into()).observe(latency);
    }

    /// Frames and bytes were written to sockets.
    pub fn written(&self, frames: u64, bytes: u64) {
        self.frames.inc_by(frames);
        self.bytes.inc_by(bytes);
    }

    /// How many bytes wait for sockets.
    pub fn queued(&self, bytes: usize) {
        self.queue_bytes.set(as_gauge(bytes));
    }

    /// A socket's queue was full.
    pub fn fell_behind(&self) {
        self.behind.inc();
    }

    /// How many rooms have sockets.
    pub fn rooms(&self, count: usize) {
        self.rooms.set(as_gauge(count));
    }

    /// An Engine.IO session was opened.
    pub fn session_opened(&self) {
        self.opened.inc();
        self.transports.inc();
    }

    /// An Engine.IO session ended.
    pub fn session_closed(&self, reason: &str) {
        self.closed.with([reason], Counter::inc);
        self.transports.dec();
    }

    /// A socket is connected, with this role and on this transport; a change of either is a [`Self::disconnected`] and a
    /// [`Self::connected`].
    pub fn connected(&self, role: &str, transport: &str) {
        self.sockets.with([role, transport], Gauge::inc);
    }

    /// A socket is no longer connected, or no longer so.
    pub fn disconnected(&self, role: &str, transport: &str) {
        self.sockets.with([role, transport], Gauge::dec);
    }

    /// A request to `/socket.io/` was refused.
    pub fn refused_request(&self, reason: &str) {
        self.requests_refused.with([reason], Counter::inc);
    }

    /// A handshake was refused.
    pub fn refused_connect(&self, reason: &str) {
        self.connects_refused.with([reason], Counter::inc);
    }

    /// A client sent an event; the name must be one of those that are known, or `other`.
    pub fn client_event(&self, event: &str, outcome: &str) {
        self.client_events.with([event, outcome], Counter::inc);
    }

    /// The dashboard's figures.
    pub fn stats(&self, today_orders: u64, active_users: usize, active_merchants: usize) {
        self.stats_orders.set(i64::try_from(today_orders).unwrap_or(i64::MAX));
        self.stats_active.with(["users"], |gauge| gauge.set(as_gauge(active_users)));
        self.stats_active.with(["merchants"], |gauge| gauge.set(as_gauge(active_merchants)));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn as_gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
