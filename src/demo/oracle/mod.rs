//! The judge: from what was produced and who listened where since when, what each client must have received; and what
//! it did receive. Pure: records and logs in, a [`Report`] out. It must stay independent of the code that it judges.
//!
//! A client's stay in a room has soft edges. What was produced after the join was acknowledged is *required*; what was
//! produced shortly before (it may still have been under way), and older states of `latest` events (the snapshot that
//! a join brings), are *allowed*. Everything else that arrives is misrouted.

mod catalogue;
mod json;
mod judge;
mod report;

use std::collections::HashMap;

pub use catalogue::{EVENTS, Kind, sale_room, sent};
pub use json::Json;
pub use judge::judge;
pub use report::Report;

/// A record as it stands on Kafka.
#[derive(Clone, Debug)]
pub struct ProducedRecord {
    /// The event's type.
    pub kind: String,
    /// Its data.
    pub data: Json,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When it was handed to the producer: microseconds of any clock that the clients' times share.
    pub produced_us: i64,
}

/// Somebody's time in a room, in microseconds of the same clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// When the join was asked for.
    pub asked_us: i64,
    /// When it was acknowledged: from here on nothing may be missing.
    pub joined_us: i64,
    /// When the leave was asked for and when it was acknowledged.
    pub left_us: Option<(i64, i64)>,
}

impl Stay {
    /// From before everything to after everything.
    pub const ALWAYS: Self = Self { asked_us: i64::MIN, joined_us: i64::MIN, left_us: None };

    /// In the room since that time, to the end.
    #[must_use]
    pub fn since(asked_us: i64, joined_us: i64) -> Self {
        Self { asked_us, joined_us, left_us: None }
    }
}

/// One client: who it is and where it listens.
#[derive(Clone, Debug)]
pub struct Client {
    /// What it is called in the report.
    pub name: String,
    rooms: HashMap<String, Vec<Stay>>,
    staff: bool,
}

impl Client {
    /// A connected client with the rooms that its token gives it.
    #[must_use]
    pub fn new(subject: &str, role: &str, merchants: &[&str], stay: Stay) -> Self {
        let staff = matches!(role, "super_admin" | "admin" | "operator");
        let mut client = Self { name: format!("{role} {subject}"), rooms: HashMap::new(), staff }
            .room("everyone".to_owned(), stay)
            .room(format!("user:{subject}"), stay);
        if matches!(role, "merchant_owner" | "merchant_staff") {
            for merchant in merchants {
                client = client.room(format!("merchant:{merchant}"), stay);
            }
        }
        if staff { client.room("admin:dashboard".to_owned(), stay) } else { client }
    }

    /// It follows an order.
    #[must_use]
    pub fn order(self, order: &str, stay: Stay) -> Self {
        self.room(format!("order:{order}"), stay)
    }

    /// It watches a flash sale.
    #[must_use]
    pub fn sale(self, sale: &str, stay: Stay) -> Self {
        self.room(sale_room(sale), stay)
    }

    fn room(mut self, room: String, stay: Stay) -> Self {
        self.rooms.entry(room).or_default().push(stay);
        self
    }
}

/// One event in a client's log, in the order of its arrival.
#[derive(Clone, Debug)]
pub struct Received {
    /// The event's name.
    pub event: String,
    /// The first argument's JSON, as received.
    pub payload: String,
    /// The position string, if the last argument was one.
    pub position: Option<String>,
    /// When it arrived, by the clock of [`ProducedRecord::produced_us`].
    pub at_us: i64,
}

/// How strict to be at the edges.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long a record may be under way: what was produced so shortly before a join is allowed.
    pub under_way_us: i64,
    /// How long after the first record no delay is measured: a producer's first records wait for its own start. They are
    /// judged like all others.
    pub warm_up_us: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { under_way_us: 10_000_000, warm_up_us: 0 }
    }
}

/// One event that a client must or may receive.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Index of the record.
    pub record: usize,
    /// The emission's place within the record.
    pub ordinal: usize,
    /// Whether it must arrive, or only may.
    pub required: bool,
}

/// Everything that the records mean, found by room.
pub struct Expectation<'a> {
    records: &'a [ProducedRecord],
    sent: Vec<Vec<Sent>>,
    by_room: HashMap<String, Vec<(usize, usize)>>,
    rules: Rules,
}

pub use catalogue::Sent;

impl<'a> Expectation<'a> {
    /// Works out what each record means.
    #[must_use]
    pub fn new(records: &'a [ProducedRecord], rules: Rules) -> Self {
        let sent: Vec<_> = records.iter().map(|record| sent(&record.kind, &record.data)).collect();
        let mut by_room: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (record, all) in sent.iter().enumerate() {
            for (ordinal, one) in all.iter().enumerate() {
                for room in &one.rooms {
                    by_room.entry(room.clone()).or_default().push((record, ordinal));
                }
            }
        }
        Self { records, sent, by_room, rules }
    }

    /// The record and the event of an expectation.
    #[must_use]
    pub fn look_up(&self, expected: &Expected) -> (&'a ProducedRecord, &Sent) {
        (&self.records[expected.record], &self.sent[expected.record][expected.ordinal])
    }

    /// What one client must and may receive, in the order of production: of each record one copy per event name, that
    /// of the first emission that reaches the client.
    #[must_use]
    pub fn of(&self, client: &Client) -> Vec<Expected> {
        let mut found: HashMap<(usize, usize), bool> = HashMap::new();
        for (room, stays) in &client.rooms {
            for place in self.by_room.get(room).into_iter().flatten() {
                let kind = self.sent[place.0][place.1].kind;
                let produced = self.records[place.0].produced_us;
                let edges = stays.iter().filter_map(|stay| self.edge(stay, kind, produced));
                if let Some(required) = edges.reduce(|a, b| a || b) {
                    *found.entry(*place).or_default() |= required;
                }
            }
        }
        let mut all: Vec<_> =
            found.into_iter().map(|((record, ordinal), required)| Expected { record, ordinal, required }).collect();
        all.sort_by_key(|one| (one.record, one.ordinal));
        let mut kept: Vec<Expected> = Vec::with_capacity(all.len());
        for one in all {
            let event = self.sent[one.record][one.ordinal].event;
            let same = |other: &&Expected| other.record == one.record;
            if !kept.iter().rev().take_while(same).any(|o| self.sent[o.record][o.ordinal].event == event) {
                kept.push(one);
            }
        }
        kept
    }

    /// Whether something produced then is required during a stay; `None` when it has no business there.
    fn edge(&self, stay: &Stay, kind: Kind, produced: i64) -> Option<bool> {
        let under_way = self.rules.under_way_us;
        let early = produced < stay.asked_us.saturating_sub(under_way) && kind != Kind::Latest;
        let late = stay.left_us.is_some_and(|(_, left)| produced > left);
        let safe_end = stay.left_us.is_none_or(|(asked, _)| produced.saturating_add(under_way) < asked);
        (!early && !late).then_some(produced >= stay.joined_us && safe_end)
    }
}

#[cfg(test)]
mod tests;
