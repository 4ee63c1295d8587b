//! JSON, checked in one pass and left as it is: valid UTF-8 and JSON, one object, no key twice, and, where the event has
//! a schema, each field of its type and none of the required ones missing.
//!
//! Written by hand because one pass has to see numbers as digits (money), duplicate keys and the place of each fault
//! together; a property test holds it against `serde_json`.

use std::ops::Range;

use super::decimal;
use super::keys::Keys;
use super::plan::{Field, Node, NodeId, Plan};
use super::refusal::{Cause, Fault, Step};
use super::scan::Scan;
use super::time::parse_rfc3339;
use crate::event::UnknownWords;

/// Deepest nesting: what `serde_json` takes, so that no later reader of the data stops at it.
const MAX_DEPTH: u32 = 127;

/// Checks `bytes` as one JSON object; its type by `plan` if there is one. Returns where the object stands, without the
/// white space around it, and the fields whose words the plan does not know.
pub(super) fn object<'p>(bytes: &[u8], plan: Option<&'p Plan>) -> Result<(Range<usize>, UnknownWords), Fault<'p>> {
    let mut scan = Scan::object(bytes)?;
    let start = scan.at;
    match plan {
        Some(plan) => scan.typed(plan, plan.root(), MAX_DEPTH)?,
        None => scan.any(MAX_DEPTH)?,
    }
    let end = scan.at;
    scan.end()?;
    Ok((start..end, scan.unknown))
}

/// A JSON object that may be an event with its data: the raw values of the members that say so.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) data_base64: Option<&'a str>,
}

/// Checks `bytes` as one JSON object and finds an envelope's members in it, as they stand.
pub(super) fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, Fault<'_>> {
    let mut scan = Scan::object(bytes)?;
    let text = scan.text;
    let mut found = Envelope::default();
    let mut keys = Keys::default();
    scan.members(|scan, key, key_at| {
        let key = key.plain();
        if !keys.insert(key.clone()) {
            return Err(Fault::new(Cause::Duplicate, key_at));
        }
        let start = scan.at;
        scan.any(MAX_DEPTH - 1).map_err(|fault| fault.within(Step::Entry))?;
        let value = text.get(start..scan.at);
        match &*key {
            "type" => found.kind = value,
            "id" => found.id = value,
            "traceparent" => found.traceparent = value,
            "data" => found.data = value,
            "data_base64" => found.data_base64 = value,
            _ => {}
        }
        Ok(())
    })?;
    scan.end()?;
    Ok(found)
}

impl Scan<'_> {
    /// A value of one type. A type of several branches takes any value; null goes where the type has a null branch.
    fn typed<'p>(&mut self, plan: &'p Plan, id: NodeId, depth: u32) -> Result<(), Fault<'p>> {
        let node = plan.node(id);
        if let Node::Union(_) = node {
            let (nullable, inner) = plan.stripped(id);
            return match (self.peek(), inner) {
                (Some(b'n'), _) if nullable => self.literal("null"),
                (_, Some(inner)) if inner != id => self.typed(plan, inner, depth),
                _ => self.any(depth),
            };
        }
        match (node, self.peek()) {
            (_, None) => Err(self.fault("expected a value")),
            (Node::Record(fields), Some(b'{')) => self.record(plan, fields, depth),
            (Node::Array(items), Some(b'[')) => {
                let depth = self.deeper(depth)?;
                self.items(|scan, index| {
                    scan.typed(plan, *items, depth).map_err(|fault| fault.within(Step::Item(index)))
                })
            }
            (Node::Map(values), Some(b'{')) => {
                let depth = self.deeper(depth)?;
                let mut keys = Keys::default();
                self.members(|scan, key, key_at| {
                    if !keys.insert(key.plain()) {
                        return Err(Fault::new(Cause::Duplicate, key_at));
                    }
                    scan.typed(plan, *values, depth).map_err(|fault| fault.within(Step::Entry))
                })
            }
            (Node::Null, Some(b'n')) => self.literal("null"),
            (Node::Boolean, Some(b't')) => self.literal("true"),
            (Node::Boolean, Some(b'f')) => self.literal("false"),
            (node, Some(b'"')) if node.is_text() => {
                let at = self.at;
                let text = self.string()?;
                let fits = !matches!(node, Node::Timestamp(_)) || parse_rfc3339(text.raw.as_bytes()).is_some();
                if fits { Ok(()) } else { Err(Fault::new(Cause::Type(expected(node)), at)) }
            }
            (node, Some(b'-' | b'0'..=b'9')) if node.is_number() => {
                let at = self.at;
                let text = self.number()?;
                if number_fits(node, text) { Ok(()) } else { Err(Fault::new(Cause::Type(expected(node)), at)) }
            }
            _ => {
                // Bytes that are no JSON at all are told as such, not as a wrong type.
                let mistyped = self.mistyped(expected(node));
                self.any(depth)?;
                Err(mistyped)
            }
        }
    }

    fn record<'p>(&mut self, plan: &'p Plan, fields: &'p [Field], depth: u32) -> Result<(), Fault<'p>> {
        let depth = self.deeper(depth)?;
        let start = self.at;
        let mut seen = Seen::default();
        let mut extra = Keys::default();
        let mut next = 0;
        self.members(|scan, key, key_at| {
            let key = key.plain();
            let Some((index, field)) = find(fields, next, &key) else {
                if !extra.insert(key) {
                    return Err(Fault::new(Cause::Duplicate, key_at));
                }
                return scan.any(depth).map_err(|fault| fault.within(Step::Entry));
            };
            next = index + 1;
            let within = |fault: Fault<'p>| fault.within(Step::Field(&field.name));
            if !seen.insert(index) {
                return Err(within(Fault::new(Cause::Duplicate, key_at)));
            }
            let begin = scan.at;
            scan.typed(plan, field.node, depth).map_err(within)?;
            if let (Some(words), Some(value)) = (&field.words, scan.text.as_bytes().get(begin..scan.at)) {
                words.note(value, &mut scan.unknown);
            }
            Ok(())
        })?;
        match fields.iter().enumerate().find(|(index, field)| !field.optional && !seen.has(*index)) {
            None => Ok(()),
            Some((_, field)) => {
                let missing = "a value: the field is missing";
                Err(Fault::new(Cause::Type(missing), start).within(Step::Field(&field.name)))
            }
        }
    }
}

/// The field of that name. Most producers write fields in the schema's order, so the search begins at `next`.
fn find<'p>(fields: &'p [Field], next: usize, key: &str) -> Option<(usize, &'p Field)> {
    match fields.get(next) {
        Some(field) if &*field.name == key => Some((next, field)),
        _ => fields.iter().enumerate().find(|(_, field)| &*field.name == key),
    }
}

/// Which fields of a record were there.
#[derive(Default)]
struct Seen {
    first: u64,
    others: Vec<usize>,
}

impl Seen {
    fn has(&self, index: usize) -> bool {
        if index < 64 { self.first >> index & 1 == 1 } else { self.others.contains(&index) }
    }

    /// `false` if it was there already.
    fn insert(&mut self, index: usize) -> bool {
        if self.has(index) {
            return false;
        }
        if index < 64 {
            self.first |= 1 << index;
        } else {
            self.others.push(index);
        }
        true
    }
}

fn number_fits(node: &Node, text: &str) -> bool {
    match node {
        Node::Int => text.parse::<i32>().is_ok(),
        Node::Long => text.parse::<i64>().is_ok(),
        Node::Float => text.parse::<f32>().is_ok_and(f32::is_finite),
        Node::Double => text.parse::<f64>().is_ok_and(f64::is_finite),
        Node::Decimal(shape) => decimal::parse(text, *shape).is_some(),
        _ => false,
    }
}

fn expected(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Boolean => "true or false",
        Node::Int => "a whole number of 32 bits",
        Node::Long => "a whole number of 64 bits",
        Node::Float | Node::Double => "a number",
        Node::Decimal(_) => "a plain decimal number with no more digits than the schema's scale and precision",
        Node::Timestamp(_) => "an RFC 3339 time",
        Node::Array(_) => "an array",
        Node::Map(_) | Node::Record(_) => "an object",
        Node::Union(_) => "a value",
        Node::Bytes | Node::Fixed(_) => "a text (base64)",
        Node::Text
        | Node::Enum(_)
        | Node::LocalTimestamp(_)
        | Node::Date
        | Node::TimeOfDay(_)
        | Node::Duration
        | Node::UuidBytes { .. } => "a text",
    }
}
