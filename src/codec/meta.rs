//! What a record's headers say of it: the `CloudEvents` Kafka binding first, a plain `type` header else.

use super::refusal::{MAX_KIND, Refusal};
use crate::event::RecordView;

/// Longest producer's id that is carried along; a longer one is left out.
const MAX_ID: usize = 256;
/// A version-00 `traceparent` has 55 characters, later versions may have more.
const TRACEPARENT: std::ops::RangeInclusive<usize> = 55..=128;

/// The headers' part of an event.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    /// The value is a whole `CloudEvent` in JSON (structured mode).
    pub(super) structured: bool,
    /// The event's type.
    pub(super) kind: Option<&'a str>,
    /// The producer's id.
    pub(super) id: Option<&'a str>,
    /// W3C trace context.
    pub(super) traceparent: Option<&'a str>,
}

impl<'a> Meta<'a> {
    /// Reads the headers; the last of a name wins, an empty one counts as absent.
    pub(super) fn of(record: &RecordView<'a>) -> Result<Self, Refusal> {
        let mut content_type = None;
        let (mut ce_type, mut ce_id, mut plain_type) = (None, None, None);
        let (mut trace, mut ce_trace) = (None, None);
        for (name, value) in &record.headers {
            let place = match *name {
                "content-type" => &mut content_type,
                "ce_type" => &mut ce_type,
                "ce_id" => &mut ce_id,
                "type" => &mut plain_type,
                "traceparent" => &mut trace,
                "ce_traceparent" => &mut ce_trace,
                _ => continue,
            };
            *place = Some(*value).filter(|value| !value.is_empty());
        }
        let traceparent = trace.and_then(traceparent).or_else(|| ce_trace.and_then(traceparent));
        if is_structured(content_type)? {
            return Ok(Self { structured: true, traceparent, ..Self::default() });
        }
        let kind = ce_type.or(plain_type).map(kind).transpose()?;
        let id = ce_id.filter(|_| ce_type.is_some()).and_then(id);
        Ok(Self { structured: false, kind, id, traceparent })
    }
}

/// Structured mode is told by a content type `application/cloudevents+json`; other forms of it are not read.
fn is_structured(content_type: Option<&[u8]>) -> Result<bool, Refusal> {
    const PREFIX: &str = "application/cloudevents";
    let Some(text) = content_type.and_then(|bytes| std::str::from_utf8(bytes).ok()) else { return Ok(false) };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_at_checked(PREFIX.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(PREFIX) => match rest {
            "" => Ok(true),
            rest if rest.eq_ignore_ascii_case("+json") => Ok(true),
            rest if rest.starts_with('-') => Err(Refusal::Unsupported("a batch of CloudEvents in one record")),
            _ => Err(Refusal::Unsupported("structured CloudEvents that are not JSON")),
        },
        _ => Ok(false),
    }
}

/// An event's type: visible ASCII.
pub(super) fn kind(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| (1..=MAX_KIND).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or(Refusal::BadType)
}

/// A producer's id, if it is one worth carrying.
pub(super) fn id(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| (1..=MAX_ID).contains(&text.len()))
}

/// A `traceparent`, if it can be one: hexadecimal digits and dashes.
pub(super) fn traceparent(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| TRACEPARENT.contains(&text.len()) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()))
}
