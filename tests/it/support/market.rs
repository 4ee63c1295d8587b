//! The seeded marketplace on real Kafka: what was produced, where it stands in the log, and the verdict on who heard it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmn_bridge::codec::encode::avro_confluent;
use rtmn_bridge::codec::{SchemaId, Schemas};
use rtmn_bridge::demo::oracle::{Json, ProducedRecord, Report, Rules, judge};
use rtmn_bridge::seed::{Encoding, SeedRecord};

use super::bridge::Setup;
use super::listener::{Listener, now_us};
use super::{Kafka, Record, Registry};

/// Stands in the title of the records that end a run.
pub const CLOSING: &str = "the market is closed";
const PATIENCE: Duration = Duration::from_mins(2);

/// The domain topics of one test.
pub const DOMAINS: [&str; 4] = ["rtmn.orders", "rtmn.wallet", "rtmn.delivery", "rtmn.promotions"];

/// Topics of a test's own, and everything that was produced to them.
pub struct Market<'a> {
    kafka: &'a Kafka,
    topics: [String; 4],
    partitions: usize,
    schemas: Arc<Schemas>,
    /// Ids in the registry; without them nothing is in Confluent's wire format.
    ids: HashMap<String, SchemaId>,
    records: Vec<ProducedRecord>,
}

impl<'a> Market<'a> {
    /// Creates the topics.
    pub async fn open(kafka: &'a Kafka, partitions: usize) -> Self {
        let topics = kafka.topics(DOMAINS, partitions).await;
        let schemas = Arc::new(Schemas::builtin().expect("the schemas are sound"));
        Self { kafka, topics, partitions, schemas, ids: HashMap::new(), records: Vec::new() }
    }

    /// From now on half of the Avro records are in Confluent's wire format.
    pub async fn register(&mut self, registry: &Registry) {
        for schema in self.schemas.events() {
            let id = registry.register(&format!("{}-value", schema.kind()), schema.avsc()).await;
            self.ids.insert(schema.kind().to_string(), SchemaId::new(id));
        }
    }

    /// A bridge for these topics.
    pub fn bridge(&self) -> Setup {
        Setup::new(self.kafka, &self.topics.each_ref().map(String::as_str)).set("dashboard.topic", &self.topics[0])
    }

    /// This test's name of a domain topic.
    pub fn topic(&self, domain: &str) -> &str {
        let index = DOMAINS.iter().position(|known| *known == domain).expect("a domain topic");
        &self.topics[index]
    }

    fn wire(&self, record: &SeedRecord) -> Record {
        let out = Record::to(self.topic(record.topic)).key(record.key.as_str());
        match self.ids.get(record.kind) {
            Some(id) if record.encoding == Encoding::Avro && record.number.is_multiple_of(2) => {
                out.value(avro_confluent(&self.schemas, *id, record.kind, &record.json).expect("it fits"))
            }
            _ => {
                let wire = record.wire(&self.schemas).expect("it fits");
                let out = out.value(wire.value);
                wire.headers.into_iter().fold(out, |out, (name, text)| out.header(name, text))
            }
        }
    }

    /// Produces these, in this order per key; the broker has them all on return.
    pub async fn send(&mut self, records: &[SeedRecord]) {
        let produced_us = now_us();
        let places = self.kafka.produce_all(records.iter().map(|record| self.wire(record))).await;
        for (record, (partition, offset)) in records.iter().zip(places) {
            let data = Json::parse(&record.json).expect("JSON");
            let (kind, topic) = (record.kind.to_owned(), self.topic(record.topic).to_owned());
            self.records.push(ProducedRecord { kind, data, topic, partition, offset, produced_us });
        }
    }

    /// Produces these at a rate, in records a second.
    pub async fn send_at(&mut self, records: &[SeedRecord], rate: usize) {
        const TICK: Duration = Duration::from_millis(50);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        for chunk in records.chunks((rate / 20).max(1)) {
            tick.tick().await;
            self.send(chunk).await;
        }
    }

    /// Puts a flash sale at the end of every partition: who has heard all of them has heard everything before, as each
    /// client hears a partition in its order. Returns how many they are.
    pub async fn close(&mut self) -> usize {
        let produced_us = now_us();
        let places: Vec<(String, i32)> = self
            .topics
            .iter()
            .flat_map(|topic| (0..i32::try_from(self.partitions).expect("few")).map(|p| (topic.clone(), p)))
            .collect();
        let sales: Vec<String> = (0..places.len())
            .map(|n| {
                format!(
                    r#"{{"id":"closing_{n}","title":"{CLOSING}","description":"-","discount":5,"category":"-","endsAt":"2026-11-23T09:30:00.000Z"}}"#
                )
            })
            .collect();
        let records = places.iter().zip(&sales).map(|((topic, partition), sale)| {
            Record::to(topic).partition(*partition).value(sale.as_str()).header("type", "promotion.flashSaleStarted")
        });
        let offsets = self.kafka.produce_all(records).await;
        for (((topic, partition), sale), (_, offset)) in places.into_iter().zip(&sales).zip(offsets) {
            let (kind, data) = ("promotion.flashSaleStarted".to_owned(), Json::parse(sale).expect("JSON"));
            self.records.push(ProducedRecord { kind, data, topic, partition, offset, produced_us });
        }
        sales.len()
    }

    /// Closes the market, waits until every listener has heard that, and judges what they heard before.
    pub async fn verdict(mut self, listeners: Vec<Listener>) -> Verdict {
        let closings = self.close().await;
        let begun = Instant::now();
        let deaf = |listener: &&Listener| listener.end().is_none() && listener.closings() < closings;
        while let Some(listener) = listeners.iter().find(deaf) {
            if begun.elapsed() > PATIENCE {
                eprintln!("{}: {} of {closings} closing records", listener.name, listener.closings());
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (mut logs, mut wrong) = (Vec::new(), Vec::new());
        for listener in listeners {
            let (log, said) = listener.told();
            logs.push(log);
            wrong.extend(said);
        }
        let report = judge(&self.records, &logs, Rules::default());
        Verdict { report, wrong }
    }
}

/// What the oracle found, and what went wrong besides.
#[derive(Debug)]
pub struct Verdict {
    pub report: Report,
    pub wrong: Vec<String>,
}

impl Verdict {
    /// Panics unless everything was as it should be.
    pub fn assert_clean(&self) {
        eprintln!("{}", self.report.to_json());
        let wrong = &self.wrong[..self.wrong.len().min(20)];
        assert!(self.report.is_clean() && wrong.is_empty(), "{:#?}\n{wrong:#?}", self.report);
        assert!(self.report.expected > 0, "nothing was tested");
    }
}
