//! Why a record is no event. A refusal is final for its record; it names the place and the expectation, never the data.

use std::fmt;

use smallvec::SmallVec;

use super::registry::SchemaId;

/// Why a record was not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It cannot be decoded *yet*: its schema has to be fetched first ([`super::Decoder::resolve`]). The record holds its
    /// partition until then.
    #[error("schema {schema} is not known yet")]
    NotYet {
        /// The schema that the record was written with.
        schema: SchemaId,
    },
    /// It never will be.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a record will never be an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record has a key and no value.
    #[error("tombstone: the record has no value")]
    Tombstone,
    /// The value has no bytes.
    #[error("the value is empty")]
    Empty,
    /// The value, or what it decodes to, is larger than this node handles.
    #[error("the value has {bytes} bytes, more than the {limit} of codec.max_record")]
    Oversize {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Text that is not UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    BadUtf8 {
        /// Bytes before it that are valid.
        at: usize,
    },
    /// Neither Avro nor a JSON object.
    #[error("invalid JSON at byte {at}: {why}")]
    BadJson {
        /// Where.
        at: usize,
        /// What was expected.
        why: &'static str,
    },
    /// Avro whose bytes do not fit its schema.
    #[error("invalid Avro at byte {at} ({path}): {why}")]
    BadAvro {
        /// Where.
        at: usize,
        /// The field.
        path: Path,
        /// What is wrong.
        why: &'static str,
    },
    /// A value that the event's schema does not allow, or a required one that is missing.
    #[error("{path}: expected {expected}")]
    WrongType {
        /// The field.
        path: Path,
        /// What the schema wants there.
        expected: &'static str,
    },
    /// A key stands twice in one object.
    #[error("duplicate key in {path}, at byte {at}")]
    DuplicateKey {
        /// The object, or the field if the schema knows it.
        path: Path,
        /// Where the second one stands.
        at: usize,
    },
    /// Nothing says what event it is.
    #[error("no event type: neither ce_type nor type header, no Avro record, no envelope with type and data")]
    NoType,
    /// The event's type is no text, or an endless one.
    #[error("the event type is not 1 to {MAX_KIND} visible ASCII characters")]
    BadType,
    /// Single-object encoding with a schema that nobody here knows.
    #[error("unknown schema fingerprint {fingerprint:016x}; put the .avsc file into the schemas folder or its older/")]
    UnknownSchema {
        /// CRC-64-AVRO.
        fingerprint: u64,
    },
    /// Confluent wire format without a registry to ask.
    #[error("written with registry schema {schema}, but codec.registry_url is not set")]
    NoRegistry {
        /// The schema.
        schema: SchemaId,
    },
    /// The registry's schema cannot be used.
    #[error("registry schema {schema} cannot be used: {why}")]
    BadSchema {
        /// The schema.
        schema: SchemaId,
        /// What is wrong with it.
        why: std::sync::Arc<str>,
    },
    /// A format that this bridge does not read.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
}

/// Longest event type.
pub(super) const MAX_KIND: usize = 128;

impl Refusal {
    /// All labels that [`Refusal::as_str`] can give, so that each metric exists from the start.
    pub const LABELS: [&str; 14] = [
        "tombstone",
        "empty",
        "oversize",
        "bad_utf8",
        "bad_json",
        "bad_avro",
        "wrong_type",
        "duplicate_key",
        "no_type",
        "bad_type",
        "unknown_schema",
        "no_registry",
        "bad_schema",
        "unsupported",
    ];

    /// The reason as a metric's label: stable, without the details.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::Oversize { .. } => "oversize",
            Self::BadUtf8 { .. } => "bad_utf8",
            Self::BadJson { .. } => "bad_json",
            Self::BadAvro { .. } => "bad_avro",
            Self::WrongType { .. } => "wrong_type",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::NoType => "no_type",
            Self::BadType => "bad_type",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::NoRegistry { .. } => "no_registry",
            Self::BadSchema { .. } => "bad_schema",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// Where in an event's data something stands, by the schema's names: `items[3].price`. Keys that the schema does not
/// know are data and read `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Box<str>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the data" } else { &self.0 })
    }
}

/// One step from the data's root to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'p> {
    Field(&'p str),
    Item(usize),
    /// An entry whose key is data.
    Entry,
}

/// What went wrong while walking a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    Json(&'static str),
    Avro(&'static str),
    Type(&'static str),
    Utf8,
    Duplicate,
    /// The output would be larger than this.
    TooLarge(usize),
}

/// A [`Cause`] with its place. Steps are added while the walk returns, innermost first.
#[derive(Debug)]
pub(super) struct Fault<'p>(Box<Inner<'p>>);

#[derive(Debug)]
struct Inner<'p> {
    cause: Cause,
    at: usize,
    steps: SmallVec<[Step<'p>; 4]>,
}

impl<'p> Fault<'p> {
    #[cold]
    pub(super) fn new(cause: Cause, at: usize) -> Self {
        Self(Box::new(Inner { cause, at, steps: SmallVec::new() }))
    }

    #[cold]
    pub(super) fn within(mut self, step: Step<'p>) -> Self {
        self.0.steps.push(step);
        self
    }

    fn path(&self) -> Path {
        use fmt::Write as _;
        let mut out = String::new();
        for step in self.0.steps.iter().rev() {
            // Writing to a `String` cannot fail.
            let _ = match step {
                Step::Item(i) => write!(out, "[{i}]"),
                Step::Field(name) if out.is_empty() => write!(out, "{name}"),
                Step::Field(name) => write!(out, ".{name}"),
                Step::Entry if out.is_empty() => write!(out, "*"),
                Step::Entry => write!(out, ".*"),
            };
        }
        Path(out.into())
    }
}

impl From<Fault<'_>> for Refusal {
    fn from(fault: Fault<'_>) -> Self {
        let at = fault.0.at;
        match fault.0.cause {
            Cause::Json(why) => Self::BadJson { at, why },
            Cause::Avro(why) => Self::BadAvro { at, path: fault.path(), why },
            Cause::Type(expected) => Self::WrongType { path: fault.path(), expected },
            Cause::Utf8 => Self::BadUtf8 { at },
            Cause::Duplicate => Self::DuplicateKey { path: fault.path(), at },
            Cause::TooLarge(limit) => Self::Oversize { bytes: limit.saturating_add(1), limit },
        }
    }
}

impl From<Fault<'_>> for DecodeError {
    fn from(fault: Fault<'_>) -> Self {
        Self::Refused(fault.into())
    }
}
