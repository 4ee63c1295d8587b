//! What the marketplace hands out: one record with its key, its data as JSON, and how it is to be written on Kafka.
//! The encodings are those that real producers use; which record gets which is part of the seed's story.

use crate::codec::encode::avro_single_object;
use crate::codec::{EncodeError, Schemas};

use super::json::{Object, rfc3339};

/// How a record is written on Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The data as JSON, its type in a `type` header.
    Json,
    /// JSON `{"type": …, "data": …}` without headers.
    Envelope,
    /// CloudEvents, binary mode: the data as JSON, the attributes in `ce_` headers.
    CloudEvents,
    /// CloudEvents, structured mode: one JSON document, `application/cloudevents+json`.
    CloudEventsStructured,
    /// Avro single-object encoding: the schema's fingerprint, then the data.
    Avro,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Envelope, Self::CloudEvents, Self::CloudEventsStructured, Self::Avro];
}

/// One record of the marketplace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedRecord {
    /// Running number, from 0.
    pub number: u64,
    /// The domain topic.
    pub topic: &'static str,
    /// The record's key.
    pub key: String,
    /// The event's type, for example `order.created`.
    pub kind: &'static str,
    /// The event's data.
    pub json: String,
    /// When it happens: milliseconds since the Unix epoch, never earlier than the record before.
    pub at_ms: i64,
    /// How it is written.
    pub encoding: Encoding,
}

/// A record as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The record's value.
    pub value: Vec<u8>,
    /// Its headers, in order.
    pub headers: Vec<(&'static str, String)>,
}

/// What an actor makes; the marketplace adds number, time and encoding.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: &'static str,
    pub(super) key: String,
    pub(super) json: String,
}

impl Draft {
    pub(super) fn new(kind: &'static str, key: &str, data: Object) -> Self {
        Self { kind, key: key.to_owned(), json: data.end() }
    }

    pub(super) fn topic(&self) -> &'static str {
        match self.kind.split('.').next() {
            Some("order") => "rtmn.orders",
            Some("wallet") => "rtmn.wallet",
            Some("delivery") => "rtmn.delivery",
            _ => "rtmn.promotions",
        }
    }
}

impl SeedRecord {
    /// The record's bytes and headers.
    ///
    /// # Errors
    /// [`EncodeError`] when the schemas do not know the type, or the data does not fit.
    pub fn wire(&self, schemas: &Schemas) -> Result<Wire, EncodeError> {
        let json = |headers| Wire { value: self.json.clone().into_bytes(), headers };
        Ok(match self.encoding {
            Encoding::Json => json(vec![("type", self.kind.to_owned())]),
            Encoding::Envelope => {
                let value = Object::new().text("type", self.kind).raw("data", &self.json).end();
                Wire { value: value.into_bytes(), headers: Vec::new() }
            }
            Encoding::CloudEvents => json(vec![
                ("ce_specversion", "1.0".to_owned()),
                ("ce_id", self.id()),
                ("ce_source", "/marketplace".to_owned()),
                ("ce_type", self.kind.to_owned()),
                ("ce_time", rfc3339(self.at_ms)),
                ("content-type", "application/json".to_owned()),
            ]),
            Encoding::CloudEventsStructured => {
                let value = Object::new()
                    .text("specversion", "1.0")
                    .text("id", &self.id())
                    .text("source", "/marketplace")
                    .text("type", self.kind)
                    .time("time", self.at_ms)
                    .text("datacontenttype", "application/json")
                    .raw("data", &self.json)
                    .end();
                let headers = vec![("content-type", "application/cloudevents+json; charset=UTF-8".to_owned())];
                Wire { value: value.into_bytes(), headers }
            }
            Encoding::Avro => Wire { value: avro_single_object(schemas, self.kind, &self.json)?, headers: Vec::new() },
        })
    }

    fn id(&self) -> String {
        format!("seed-{}", self.number)
    }
}
