//! Record → event. Synchronous and without waiting: what has to be fetched first is told as
//! [`DecodeError::NotYet`], and [`Decoder::resolve`] fetches it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::meta::{self, Meta};
use super::refusal::{Cause, DecodeError, Fault, Refusal, Step};
use super::registry::{Registry, ResolveError, Resolved, SchemaId, SetupError};
use super::schema::{EventSchema, Schemas, Writer};
use super::{avro, check};
use crate::config;
use crate::event::{Event, RecordView, UnknownWords};

/// Buffers above this are given back after use.
const KEEP_SCRATCH: usize = 256 * 1024;

thread_local! {
    /// Where Avro becomes JSON before its size is known: the event then gets exactly its bytes.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Decodes records. One per node, shared by all that read the log.
#[derive(Debug)]
pub struct Decoder {
    schemas: Arc<Schemas>,
    registry: Option<Registry>,
    max_record: usize,
}

/// An event's type and data.
type Body = (Arc<str>, Bytes, UnknownWords);

impl Decoder {
    /// A decoder that knows `schemas` and, if one is configured, asks the registry for others.
    ///
    /// # Errors
    /// [`SetupError`] when the registry's URL is none or its client cannot be built.
    pub fn new(config: &config::Codec, schemas: Arc<Schemas>) -> Result<Self, SetupError> {
        let registry = match &config.registry_url {
            Some(url) => Some(Registry::new(url, config, Arc::clone(&schemas))?),
            None => None,
        };
        Ok(Self { schemas, registry, max_record: config.max_record })
    }

    /// The schemas that it was made with.
    #[must_use]
    pub fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }

    /// Decodes one record.
    ///
    /// # Errors
    /// [`DecodeError::NotYet`] when its schema has to be resolved first; [`DecodeError::Refused`] when it will never be
    /// an event.
    pub fn decode(&self, record: &RecordView<'_>) -> Result<Event, DecodeError> {
        let payload = record.payload.ok_or(Refusal::Tombstone)?;
        if payload.is_empty() {
            return Err(Refusal::Empty.into());
        }
        if payload.len() > self.max_record {
            return Err(Refusal::Oversize { bytes: payload.len(), limit: self.max_record }.into());
        }
        let meta = Meta::of(record)?;
        if meta.structured {
            return self.structured(payload, meta.traceparent);
        }
        match (self.encoding(payload)?, meta.kind) {
            (Encoding::Json(json), None) => self.envelope(json, &meta),
            (encoding, kind) => {
                let body = self.body(encoding, kind)?;
                Ok(event(body, meta.id.map(Into::into), meta.traceparent.map(Into::into)))
            }
        }
    }

    /// Fetches the schema that [`DecodeError::NotYet`] named. After `Ok` no record with that schema is `NotYet` again:
    /// it is decoded, or refused if the schema cannot be used. Calls for the same schema share one request; the
    /// configured time limit bounds the whole of it.
    ///
    /// # Errors
    /// [`ResolveError`]: try again later.
    pub async fn resolve(&self, schema: SchemaId) -> Result<(), ResolveError> {
        match &self.registry {
            Some(registry) => registry.resolve(schema).await,
            None => Err(ResolveError::NoRegistry),
        }
    }

    /// Makes a registry's schema known without a registry.
    #[cfg(test)]
    pub(super) fn know(&self, schema: SchemaId, avsc: &str) {
        let parsed = apache_avro::Schema::parse_str(avsc).unwrap();
        let plan = super::plan::Plan::compile(&parsed, &[]).unwrap();
        let writer = Arc::new(self.schemas.writer(plan));
        self.registry.as_ref().unwrap().insert(schema, Resolved::Avro(writer));
    }

    /// How a value is encoded, told by its first bytes.
    fn encoding<'a>(&self, value: &'a [u8]) -> Result<Encoding<'a>, DecodeError> {
        const ENDS: &str = "the bytes end before the schema's id does";
        match value {
            [0, a, b, c, d, rest @ ..] => self.registered(SchemaId::new(u32::from_be_bytes([*a, *b, *c, *d])), rest),
            [0xc3, 0x01, f0, f1, f2, f3, f4, f5, f6, f7, rest @ ..] => {
                let fingerprint = u64::from_le_bytes([*f0, *f1, *f2, *f3, *f4, *f5, *f6, *f7]);
                let writer = self.schemas.by_fingerprint(fingerprint).ok_or(Refusal::UnknownSchema { fingerprint })?;
                Ok(Encoding::Avro(Arc::clone(writer), rest))
            }
            [0, ..] | [0xc3, 0x01, ..] => Err(Fault::new(Cause::Avro(ENDS), value.len()).into()),
            json => Ok(Encoding::Json(json)),
        }
    }

    fn registered<'a>(&self, schema: SchemaId, rest: &'a [u8]) -> Result<Encoding<'a>, DecodeError> {
        let registry = self.registry.as_ref().ok_or(Refusal::NoRegistry { schema })?;
        match registry.known(schema) {
            None => Err(DecodeError::NotYet { schema }),
            Some(Resolved::Avro(writer)) => Ok(Encoding::Avro(writer, rest)),
            Some(Resolved::Json) => Ok(Encoding::Json(rest)),
            Some(Resolved::Unusable(why)) => Err(Refusal::BadSchema { schema, why }.into()),
        }
    }

    /// The data of a value whose type is known, or that is Avro and names its own.
    fn body(&self, encoding: Encoding<'_>, kind: Option<&str>) -> Result<Body, Refusal> {
        match (encoding, kind) {
            (Encoding::Avro(writer, datum), kind) => self.avro(&writer, datum, kind),
            (Encoding::Json(json), Some(kind)) => self.json(json, kind),
            (Encoding::Json(_), None) => Err(Refusal::NoType),
        }
    }

    fn avro(&self, writer: &Writer, datum: &[u8], kind: Option<&str>) -> Result<Body, Refusal> {
        let (kind, check_against) = match kind {
            Some(kind) if *kind != *writer.kind => {
                let event = self.schemas.event(kind);
                (event.map_or_else(|| kind.into(), |event| Arc::clone(event.kind())), event)
            }
            _ if writer.conforms => (Arc::clone(&writer.kind), None),
            _ => (Arc::clone(&writer.kind), self.schemas.event(&writer.kind)),
        };
        SCRATCH.with_borrow_mut(|json| {
            json.clear();
            let data = self.avro_json(writer, datum, check_against, json);
            if json.capacity() > KEEP_SCRATCH {
                *json = Vec::new();
            }
            let (data, unknown) = data?;
            Ok((kind, data, unknown))
        })
    }

    fn avro_json(
        &self,
        writer: &Writer,
        datum: &[u8],
        check_against: Option<&EventSchema>,
        json: &mut Vec<u8>,
    ) -> Result<(Bytes, UnknownWords), Refusal> {
        let mut unknown = avro::to_json(&writer.plan, datum, self.max_record, json)?;
        if let Some(event) = check_against {
            (_, unknown) = check::object(json, Some(event.plan()))?;
        }
        Ok((Bytes::copy_from_slice(json), unknown))
    }

    fn json(&self, json: &[u8], kind: &str) -> Result<Body, Refusal> {
        let schema = self.schemas.event(kind);
        let (object, unknown) = check::object(json, schema.map(EventSchema::plan))?;
        let kind = schema.map_or_else(|| kind.into(), |schema| Arc::clone(schema.kind()));
        Ok((kind, Bytes::copy_from_slice(json.get(object).unwrap_or_default()), unknown))
    }

    /// JSON that no header describes: `{"type": …, "data": {…}}`.
    fn envelope(&self, json: &[u8], meta: &Meta<'_>) -> Result<Event, DecodeError> {
        let envelope = check::envelope(json)?;
        let (Some(kind), Some(data)) = (text(envelope.kind), envelope.data.filter(|data| data.starts_with('{'))) else {
            return Err(Refusal::NoType.into());
        };
        let body = self.json(data.as_bytes(), meta::kind(kind.as_bytes())?)?;
        let (id, trace) = (text(envelope.id), text(envelope.traceparent));
        Ok(event(body, carried_id(id.as_deref()), carried_trace(meta.traceparent, trace.as_deref())))
    }

    /// A whole `CloudEvent` in JSON.
    fn structured(&self, json: &[u8], header_trace: Option<&str>) -> Result<Event, DecodeError> {
        let envelope = check::envelope(json)?;
        let kind = text(envelope.kind).ok_or(Refusal::NoType)?;
        let kind = meta::kind(kind.as_bytes())?;
        let mistyped = |name: &'static str, expected| {
            Refusal::from(Fault::new(Cause::Type(expected), 0).within(Step::Field(name)))
        };
        let body = match (envelope.data, text(envelope.data_base64)) {
            (Some(data), None) if data.starts_with('{') => self.json(data.as_bytes(), kind)?,
            (None | Some("null"), Some(encoded)) => {
                let value = STANDARD.decode(encoded.as_bytes()).map_err(|_| mistyped("data_base64", "base64"))?;
                self.body(self.encoding(&value)?, Some(kind))?
            }
            _ => return Err(mistyped("data", "an object, or data_base64 instead").into()),
        };
        let (id, trace) = (text(envelope.id), text(envelope.traceparent));
        Ok(event(body, carried_id(id.as_deref()), carried_trace(header_trace, trace.as_deref())))
    }
}

/// A value without what tells its encoding.
enum Encoding<'a> {
    Avro(Arc<Writer>, &'a [u8]),
    Json(&'a [u8]),
}

fn event((kind, data, unknown): Body, id: Option<Box<str>>, traceparent: Option<Box<str>>) -> Event {
    Event { kind, id, data, traceparent, unknown }
}

fn carried_id(id: Option<&str>) -> Option<Box<str>> {
    id.and_then(|id| meta::id(id.as_bytes())).map(Into::into)
}

fn carried_trace(header: Option<&str>, member: Option<&str>) -> Option<Box<str>> {
    header.or_else(|| member.and_then(|trace| meta::traceparent(trace.as_bytes()))).map(Into::into)
}

/// The text of a raw JSON value, if it is a string. It was checked before.
fn text(raw: Option<&str>) -> Option<Cow<'_, str>> {
    let inner = raw?.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw?).ok().map(Cow::Owned) } else { Some(inner.into()) }
}
