//! An Avro schema, compiled: the one form that decoding, checking JSON, encoding and looking up fields walk.
//!
//! Nodes live in one arena and name each other by index, so that a recursive schema is no special case. A plan is made
//! once per schema and never per record.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, RecordField, RecordSchema, Schema, UuidSchema};

use crate::event::UnknownWords;

/// Index of a node in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// The finest fraction of a second that a time type counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// How many of them make a second.
    pub(super) fn per_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }
}

/// A decimal's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Digits after the point.
    pub(super) scale: u32,
    /// Digits altogether.
    pub(super) precision: u32,
    /// Bytes of the fixed type; `None` is `bytes` with a length.
    pub(super) size: Option<usize>,
}

/// One type of a schema.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Box<[Symbol]>),
    Decimal(Decimal),
    Timestamp(Unit),
    LocalTimestamp(Unit),
    Date,
    TimeOfDay(Unit),
    Duration,
    /// A UUID in 16 bytes; with a length before them unless it is fixed.
    UuidBytes {
        fixed: bool,
    },
    Array(NodeId),
    Map(NodeId),
    Union(Box<[NodeId]>),
    Record(Box<[Field]>),
}

impl Node {
    /// Whether its JSON form is a string.
    pub(super) fn is_text(&self) -> bool {
        match self {
            Self::Bytes
            | Self::Text
            | Self::Fixed(_)
            | Self::Enum(_)
            | Self::Timestamp(_)
            | Self::LocalTimestamp(_)
            | Self::Date
            | Self::TimeOfDay(_)
            | Self::Duration
            | Self::UuidBytes { .. } => true,
            Self::Null
            | Self::Boolean
            | Self::Int
            | Self::Long
            | Self::Float
            | Self::Double
            | Self::Decimal(_)
            | Self::Array(_)
            | Self::Map(_)
            | Self::Union(_)
            | Self::Record(_) => false,
        }
    }

    /// Whether its JSON form is a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Long | Self::Float | Self::Double | Self::Decimal(_))
    }
}

/// A symbol of an enum.
#[derive(Debug)]
pub(super) struct Symbol {
    pub(super) name: Box<str>,
    /// The symbol as a JSON string.
    pub(super) quoted: Box<str>,
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    /// The name as a JSON key with its colon.
    pub(super) key: Box<str>,
    pub(super) node: NodeId,
    /// Whether the field may be absent: its type has a null branch.
    pub(super) optional: bool,
    /// The words that are known, of a text that should be one of some.
    pub(super) words: Option<Words>,
}

/// What a field's attribute `values` says: which words its text is known to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    field: Arc<str>,
    /// As JSON strings.
    quoted: Box<[Box<str>]>,
}

impl Words {
    fn of(field: &RecordField) -> Option<Self> {
        let values = field.custom_attributes.get("values")?.as_array()?;
        let quoted = values.iter().filter(|value| value.is_string()).map(|value| value.to_string().into()).collect();
        Some(Self { field: field.name.as_str().into(), quoted })
    }

    /// Notes the field when `json`, a value as it stands, is a text that is none of the words.
    pub(super) fn note(&self, json: &[u8], unknown: &mut UnknownWords) {
        let known = |json: &[u8]| self.quoted.iter().any(|word| word.as_bytes() == json);
        if json.first() != Some(&b'"') || known(json) || unknown.contains(&self.field) {
            return;
        }
        // Escapes write the same word in another way.
        let plain = json.contains(&b'\\').then(|| serde_json::from_slice::<serde_json::Value>(json).ok()).flatten();
        if !plain.is_some_and(|plain| known(plain.to_string().as_bytes())) {
            unknown.push(Arc::clone(&self.field));
        }
    }
}

/// A compiled schema whose root is a record.
#[derive(Debug)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    root: NodeId,
    /// The record's full name.
    name: Box<str>,
    /// The record's `event` attribute.
    event: Option<Box<str>>,
}

/// Why a schema cannot be used, although it is valid Avro.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// The root is no record.
    #[error("its root is not a record")]
    NotARecord,
    /// A name that is defined nowhere.
    #[error("it names {0:?}, which it does not define")]
    Undefined(String),
    /// A logical type that has no JSON form here.
    #[error("it uses {0}, which is not supported")]
    Unsupported(&'static str),
    /// A decimal that no producer means.
    #[error("a decimal of precision {precision} and scale {scale} is not supported, at most 38 digits are")]
    Decimal { precision: usize, scale: usize },
    /// More types than a schema of events has.
    #[error("it has more than {MAX_NODES} types")]
    TooLarge,
}

/// More than any schema of events has; bounds what a registry can make us hold.
const MAX_NODES: usize = 20_000;

impl Plan {
    /// Compiles `schema`; names that it does not define itself are taken from `others`.
    pub(super) fn compile(schema: &Schema, others: &[Schema]) -> Result<Self, PlanError> {
        let Schema::Record(record) = schema else { return Err(PlanError::NotARecord) };
        let mut compiler = Compiler { nodes: Vec::new(), names: HashMap::new(), others };
        let root = compiler.node(schema)?;
        Ok(Self {
            nodes: compiler.nodes,
            root,
            name: record.name.fullname(None).into(),
            event: record.attributes.get("event").and_then(|v| v.as_str()).map(Into::into),
        })
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    /// The record's full name, `rtmn.events.OrderCreated`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The record's `event` attribute, `order.created`.
    pub(super) fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        // Ids are only made by the compiler of this plan; the fallback keeps a slip of ours from being a panic.
        self.nodes.get(id.0).unwrap_or(&Node::Null)
    }

    /// The type without its null branch: `(nullable, type)`, or no type where several are left.
    pub(super) fn stripped(&self, id: NodeId) -> (bool, Option<NodeId>) {
        match self.node(id) {
            Node::Null => (true, Some(id)),
            Node::Union(variants) => {
                let mut others = variants.iter().filter(|v| !matches!(self.node(**v), Node::Null));
                let first = others.next().copied();
                (
                    others.clone().count() + usize::from(first.is_some()) < variants.len(),
                    match others.next() {
                        None => first,
                        Some(_) => None,
                    },
                )
            }
            _ => (false, Some(id)),
        }
    }
}

struct Compiler<'s> {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
    others: &'s [Schema],
}

impl Compiler<'_> {
    fn reserve(&mut self, name: Option<&Name>) -> Result<NodeId, PlanError> {
        let id = NodeId(self.nodes.len());
        if id.0 >= MAX_NODES {
            return Err(PlanError::TooLarge);
        }
        self.nodes.push(Node::Null);
        if let Some(name) = name {
            self.names.insert(name.fullname(None), id);
        }
        Ok(id)
    }

    fn node(&mut self, schema: &Schema) -> Result<NodeId, PlanError> {
        if let Schema::Ref { name } = schema {
            return self.reference(name);
        }
        // The place is taken and named before what it contains is compiled: a record may contain itself.
        let id = self.reserve(schema.name())?;
        let node = match schema {
            Schema::Null | Schema::Ref { .. } => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int,
            Schema::Long => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
            Schema::Uuid(UuidSchema::Bytes) => Node::UuidBytes { fixed: false },
            Schema::Uuid(UuidSchema::Fixed(_)) => Node::UuidBytes { fixed: true },
            Schema::Fixed(fixed) => Node::Fixed(fixed.size),
            Schema::Duration(_) => Node::Duration,
            Schema::Date => Node::Date,
            Schema::TimeMillis => Node::TimeOfDay(Unit::Millis),
            Schema::TimeMicros => Node::TimeOfDay(Unit::Micros),
            Schema::TimestampMillis => Node::Timestamp(Unit::Millis),
            Schema::TimestampMicros => Node::Timestamp(Unit::Micros),
            Schema::TimestampNanos => Node::Timestamp(Unit::Nanos),
            Schema::LocalTimestampMillis => Node::LocalTimestamp(Unit::Millis),
            Schema::LocalTimestampMicros => Node::LocalTimestamp(Unit::Micros),
            Schema::LocalTimestampNanos => Node::LocalTimestamp(Unit::Nanos),
            Schema::BigDecimal => return Err(PlanError::Unsupported("the logical type big-decimal")),
            Schema::Decimal(decimal) => Node::Decimal(shape(decimal)?),
            Schema::Enum(symbols) => Node::Enum(symbols.symbols.iter().map(|s| symbol(s)).collect()),
            Schema::Array(array) => Node::Array(self.node(&array.items)?),
            Schema::Map(map) => Node::Map(self.node(&map.types)?),
            Schema::Union(union) => {
                Node::Union(union.variants().iter().map(|v| self.node(v)).collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => Node::Record(self.fields(record)?),
        };
        if let Some(place) = self.nodes.get_mut(id.0) {
            *place = node;
        }
        Ok(id)
    }

    fn fields(&mut self, record: &RecordSchema) -> Result<Box<[Field]>, PlanError> {
        record
            .fields
            .iter()
            .map(|field| {
                let node = self.node(&field.schema)?;
                let optional = match &field.schema {
                    Schema::Null => true,
                    Schema::Union(union) => union.variants().iter().any(|v| matches!(v, Schema::Null)),
                    _ => false,
                };
                Ok(Field {
                    name: field.name.as_str().into(),
                    // Avro's names are letters, digits and `_`: nothing to escape.
                    key: format!("\"{}\":", field.name).into(),
                    node,
                    optional,
                    words: Words::of(field),
                })
            })
            .collect()
    }

    fn reference(&mut self, name: &Name) -> Result<NodeId, PlanError> {
        let full = name.fullname(None);
        if let Some(id) = self.names.get(&full) {
            return Ok(*id);
        }
        let others = self.others;
        match others.iter().find(|other| other.name().is_some_and(|n| n.fullname(None) == full)) {
            Some(Schema::Ref { .. }) | None => Err(PlanError::Undefined(full)),
            Some(other) => self.node(other),
        }
    }
}

fn symbol(name: &str) -> Symbol {
    Symbol { name: name.into(), quoted: format!("\"{name}\"").into() }
}

fn shape(decimal: &DecimalSchema) -> Result<Decimal, PlanError> {
    let refused = || PlanError::Decimal { precision: decimal.precision, scale: decimal.scale };
    let digits = |n: usize| u32::try_from(n).ok().filter(|n| *n <= 38).ok_or_else(refused);
    Ok(Decimal {
        scale: digits(decimal.scale)?,
        precision: digits(decimal.precision)?,
        size: match &decimal.inner {
            InnerDecimalSchema::Bytes => None,
            InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
        },
    })
}
