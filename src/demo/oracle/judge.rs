//! Comparing one client's log with what it must and may have received.

use std::collections::{HashMap, HashSet, VecDeque};

use super::catalogue::{EVENTS, Kind};
use super::json::Json;
use super::report::Report;
use super::{Client, Expectation, Expected, ProducedRecord, Received, Rules};

/// Judges all clients' logs against the records. Events that the catalogue does not have (`sync:ready`, `error`) are
/// not judged.
#[must_use]
pub fn judge(records: &[ProducedRecord], logs: &[(Client, Vec<Received>)], rules: Rules) -> Report {
    let expectation = Expectation::new(records, rules);
    let mut report = Report { produced: records.len(), clients: logs.len(), ..Report::default() };
    let first = records.iter().map(|record| record.produced_us).min().unwrap_or_default();
    let mut delays = Delays { since_us: first.saturating_add(rules.warm_up_us), micros: Vec::new() };
    for (client, log) in logs {
        Trial::new(&expectation, client).run(log, &mut report, &mut delays);
    }
    report.latencies(delays.micros);
    report
}

/// What is measured, of records produced since then.
struct Delays {
    since_us: i64,
    micros: Vec<i64>,
}

type Key = (String, String);

struct Trial<'a> {
    expectation: &'a Expectation<'a>,
    client: &'a Client,
    expected: Vec<Expected>,
    arrived: Vec<bool>,
    /// Event and canonical payload → what it can be, required first, each in the order of production.
    open: HashMap<Key, [VecDeque<usize>; 2]>,
    ids: HashSet<String>,
    /// Last (offset, ordinal) per topic and partition, of `every` events.
    reached: HashMap<(&'a str, i32), (i64, usize)>,
    /// Last offset per event, room and key, of `latest` events.
    newest: HashMap<String, i64>,
}

impl<'a> Trial<'a> {
    fn new(expectation: &'a Expectation<'a>, client: &'a Client) -> Self {
        let expected = expectation.of(client);
        let mut open: HashMap<Key, [VecDeque<usize>; 2]> = HashMap::new();
        for (index, one) in expected.iter().enumerate() {
            let (_, sent) = expectation.look_up(one);
            let key = (sent.event.to_owned(), sent.payload.canonical());
            open.entry(key).or_default()[usize::from(!one.required)].push_back(index);
        }
        Self {
            expectation,
            client,
            arrived: vec![false; expected.len()],
            expected,
            open,
            ids: HashSet::new(),
            reached: HashMap::new(),
            newest: HashMap::new(),
        }
    }

    fn run(mut self, log: &[Received], report: &mut Report, delays: &mut Delays) {
        for received in log {
            if received.event == "dashboard.stats" {
                self.stats(received, report);
            } else if EVENTS.contains(&received.event.as_str()) {
                self.receive(received, report, delays);
            }
        }
        self.miss(report);
    }

    fn receive(&mut self, received: &Received, report: &mut Report, delays: &mut Delays) {
        let name = &self.client.name;
        let event = &received.event;
        match &received.position {
            None => {
                report.unpositioned += 1;
                report.fault(|| format!("{name}: {event} without a position"));
            }
            Some(position) => {
                let id = position.split('.').next().unwrap_or(position);
                if !self.ids.insert(id.to_owned()) {
                    report.duplicates += 1;
                    report.fault(|| format!("{name}: {event} {id} came again"));
                    return;
                }
            }
        }
        let payload = Json::parse(&received.payload).map(|payload| payload.canonical()).unwrap_or_default();
        let Some([required, allowed]) = self.open.get_mut(&(event.clone(), payload)) else {
            report.misrouted += 1;
            // A look at everything that was expected: only for as many faults as anybody reads.
            let altered = report.misrouted <= 1_000 && self.is_altered(received);
            report.altered += usize::from(altered);
            let what = if altered { "has a wrong payload" } else { "is not for this client" };
            report.fault(|| format!("{name}: {event} {what} ({:?})", received.position));
            return;
        };
        let Some(index) = required.pop_front().or_else(|| allowed.pop_front()) else {
            report.duplicates += 1;
            report.fault(|| format!("{name}: {event} came again with another position"));
            return;
        };
        self.arrived[index] = true;
        if !self.in_order(index) {
            report.out_of_order += 1;
            report.fault(|| format!("{name}: {event} came after a later one ({:?})", received.position));
        }
        if self.expected[index].required {
            let (record, _) = self.expectation.look_up(&self.expected[index]);
            if record.produced_us >= delays.since_us {
                delays.micros.push(received.at_us - record.produced_us);
            }
        }
    }

    /// Whether the client is to receive an event of this name about the same thing, only not with this payload.
    fn is_altered(&self, received: &Received) -> bool {
        const ABOUT: [&str; 3] = ["orderId", "productId", "id"];
        let Ok(payload) = Json::parse(&received.payload) else { return true };
        self.expected.iter().map(|one| self.expectation.look_up(one).1).any(|sent| {
            sent.event == received.event && ABOUT.iter().all(|name| sent.payload.get(name) == payload.get(name))
        })
    }

    fn in_order(&mut self, index: usize) -> bool {
        let one = &self.expected[index];
        let (record, sent) = self.expectation.look_up(one);
        match sent.kind {
            Kind::Transient => true,
            Kind::Every => {
                let here = (record.offset, one.ordinal);
                let last = self.reached.entry((&record.topic, record.partition)).or_insert(here);
                let ordered = here >= *last;
                *last = here.max(*last);
                ordered
            }
            Kind::Latest => {
                let last = self.newest.entry(state(&record.topic, sent)).or_insert(record.offset);
                let ordered = record.offset >= *last;
                *last = record.offset.max(*last);
                ordered
            }
        }
    }

    /// Counts what did not arrive.
    fn miss(self, report: &mut Report) {
        for (one, arrived) in self.expected.iter().zip(&self.arrived).filter(|(one, _)| one.required) {
            report.expected += 1;
            if *arrived {
                report.delivered += 1;
                continue;
            }
            let (record, sent) = self.expectation.look_up(one);
            let newest = || self.newest.get(&state(&record.topic, sent));
            if sent.kind == Kind::Latest && newest().is_some_and(|newest| *newest > record.offset) {
                report.conflated += 1;
                continue;
            }
            report.lost += 1;
            let (name, event) = (&self.client.name, sent.event);
            report.fault(|| {
                format!("{name}: {event} of {}-{} offset {} is lost", record.topic, record.partition, record.offset)
            });
        }
    }

    /// The figures go to staff only, with exactly their fields; their values come from no single record.
    fn stats(&self, received: &Received, report: &mut Report) {
        const FIELDS: [&str; 5] = ["activeMerchants", "activeUsers", "timestamp", "todayOrders", "todayRevenue"];
        let exact = match Json::parse(&received.payload) {
            Ok(Json::Object(fields)) => fields.keys().eq(FIELDS),
            _ => false,
        };
        report.stats += usize::from(self.client.staff);
        report.altered += usize::from(self.client.staff && !exact);
        if !self.client.staff || !exact {
            report.misrouted += 1;
            report.fault(|| format!("{}: dashboard.stats, not for this client or with wrong fields", self.client.name));
        }
    }
}

/// A name for one state that `latest` events tell. A state lives in one partition: its records share a key.
fn state(topic: &str, sent: &super::Sent) -> String {
    format!("{topic} {} {} {}", sent.event, sent.rooms.join(" "), sent.key)
}
