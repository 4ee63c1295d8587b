//! JSON → Avro, for tools that produce records: the way back of [`super::avro`], with the same exact decimals.
//!
//! Not on the way of any record that is read, so it may build what it likes in between.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::plan::{Node, NodeId, Plan, Unit};
use super::refusal::Refusal;
use super::registry::SchemaId;
use super::schema::{EventSchema, Schemas};
use super::time::parse_rfc3339;
use super::{check, decimal};

/// Why an event cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No schema has that type.
    #[error("there is no schema for event {0:?}")]
    UnknownEvent(String),
    /// The data does not fit the schema.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A value that fits by its JSON type and that Avro cannot hold all the same, or a type that is not encoded.
    #[error("field {field}: {why}")]
    Value {
        /// The innermost field.
        field: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// An event's data in single-object encoding: `C3 01`, the schema's fingerprint, the datum.
///
/// # Errors
/// [`EncodeError`] when the type is unknown or the data does not fit its schema.
pub fn avro_single_object(schemas: &Schemas, kind: &str, json: &str) -> Result<Vec<u8>, EncodeError> {
    let event = event(schemas, kind)?;
    let mut out = vec![0xc3, 0x01];
    out.extend_from_slice(&event.fingerprint().to_le_bytes());
    datum(event, json, &mut out)?;
    Ok(out)
}

/// An event's data in the Confluent wire format: 0, the schema's id in the registry, the datum.
///
/// # Errors
/// [`EncodeError`] when the type is unknown or the data does not fit its schema.
pub fn avro_confluent(schemas: &Schemas, id: SchemaId, kind: &str, json: &str) -> Result<Vec<u8>, EncodeError> {
    let event = event(schemas, kind)?;
    let mut out = vec![0];
    out.extend_from_slice(&id.as_u32().to_be_bytes());
    datum(event, json, &mut out)?;
    Ok(out)
}

fn event<'s>(schemas: &'s Schemas, kind: &str) -> Result<&'s EventSchema, EncodeError> {
    schemas.event(kind).ok_or_else(|| EncodeError::UnknownEvent(kind.into()))
}

fn datum(event: &EventSchema, json: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (object, _) = check::object(json.as_bytes(), Some(event.plan())).map_err(Refusal::from)?;
    let plan = event.plan();
    Encoder { plan }
        .value(plan.root(), json.get(object).unwrap_or_default(), out)
        .map_err(|(field, why)| EncodeError::Value { field, why })
}

/// The innermost field's name, filled in while returning, and what is wrong.
type Wrong = (String, &'static str);

fn wrong(why: &'static str) -> Wrong {
    (String::new(), why)
}

struct Encoder<'p> {
    plan: &'p Plan,
}

impl Encoder<'_> {
    /// Encodes the raw JSON value `raw`, which has no white space around it.
    fn value(&self, id: NodeId, raw: &str, out: &mut Vec<u8>) -> Result<(), Wrong> {
        match self.plan.node(id) {
            Node::Null if raw == "null" => {}
            Node::Boolean if raw == "true" => out.push(1),
            Node::Boolean if raw == "false" => out.push(0),
            Node::Int => long(raw.parse::<i32>().map_err(|_| wrong("not an int"))?.into(), out),
            Node::Long => long(raw.parse().map_err(|_| wrong("not a long"))?, out),
            Node::Float => {
                out.extend_from_slice(&raw.parse::<f32>().map_err(|_| wrong("not a number"))?.to_le_bytes());
            }
            Node::Double => {
                out.extend_from_slice(&raw.parse::<f64>().map_err(|_| wrong("not a number"))?.to_le_bytes());
            }
            Node::Text => bytes(text(raw)?.as_bytes(), out)?,
            Node::Bytes => bytes(&base64(raw)?, out)?,
            Node::Fixed(size) => {
                let value = base64(raw)?;
                if value.len() != *size {
                    return Err(wrong("not as many bytes as the fixed type has"));
                }
                out.extend_from_slice(&value);
            }
            Node::Enum(symbols) => {
                let value = text(raw)?;
                let index = symbols.iter().position(|symbol| *symbol.name == *value);
                count(index.ok_or_else(|| wrong("not a symbol of the enum"))?, out)?;
            }
            Node::Decimal(shape) => {
                let value = decimal::to_be_bytes(decimal::parse(raw, *shape).ok_or_else(|| wrong("not a decimal"))?);
                let Some(size) = shape.size else { return bytes(&value, out) };
                let sign = if value.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
                let missing =
                    size.checked_sub(value.len()).ok_or_else(|| wrong("more digits than the fixed type holds"))?;
                out.extend(std::iter::repeat_n(sign, missing));
                out.extend_from_slice(&value);
            }
            Node::Timestamp(unit) => long(timestamp(&text(raw)?, *unit)?, out),
            Node::Array(items) => {
                let values: Vec<&RawValue> = parse(raw)?;
                if !values.is_empty() {
                    count(values.len(), out)?;
                }
                for value in values {
                    self.value(*items, value.get(), out)?;
                }
                out.push(0);
            }
            Node::Map(items) => {
                let values: HashMap<String, &RawValue> = parse(raw)?;
                if !values.is_empty() {
                    count(values.len(), out)?;
                }
                for (key, value) in values {
                    bytes(key.as_bytes(), out)?;
                    self.value(*items, value.get(), out)?;
                }
                out.push(0);
            }
            Node::Union(variants) => return self.union(variants, raw, out),
            Node::Record(fields) => {
                let values: HashMap<String, &RawValue> = parse(raw)?;
                for field in fields {
                    let value = values.get(&*field.name).map_or("null", |value| value.get());
                    self.value(field.node, value, out).map_err(|(inner, why)| {
                        (if inner.is_empty() { field.name.as_ref().into() } else { inner }, why)
                    })?;
                }
            }
            Node::Null | Node::Boolean => return Err(wrong("another type")),
            Node::LocalTimestamp(_) | Node::Date | Node::TimeOfDay(_) | Node::Duration | Node::UuidBytes { .. } => {
                return Err(wrong("a type that is not encoded"));
            }
        }
        Ok(())
    }

    /// The first branch that takes the value.
    fn union(&self, variants: &[NodeId], raw: &str, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let start = out.len();
        let mut last = wrong("no branch of the union");
        for (index, variant) in variants.iter().enumerate() {
            count(index, out)?;
            match self.value(*variant, raw, out) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            out.truncate(start);
        }
        Err(last)
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(raw: &'a str) -> Result<T, Wrong> {
    serde_json::from_str(raw).map_err(|_| wrong("another type"))
}

fn text(raw: &str) -> Result<String, Wrong> {
    parse(raw)
}

fn base64(raw: &str) -> Result<Vec<u8>, Wrong> {
    STANDARD.decode(text(raw)?).map_err(|_| wrong("not base64"))
}

fn timestamp(text: &str, unit: Unit) -> Result<i64, Wrong> {
    let (seconds, nanos) = parse_rfc3339(text.as_bytes()).ok_or_else(|| wrong("not an RFC 3339 time"))?;
    let fraction = i64::from(nanos) / (1_000_000_000 / unit.per_second());
    seconds
        .checked_mul(unit.per_second())
        .and_then(|whole| whole.checked_add(fraction))
        .ok_or_else(|| wrong("a time that the type cannot hold"))
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn count(n: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    long(i64::try_from(n).map_err(|_| wrong("too long"))?, out);
    Ok(())
}

fn bytes(value: &[u8], out: &mut Vec<u8>) -> Result<(), Wrong> {
    count(value.len(), out)?;
    out.extend_from_slice(value);
    Ok(())
}
