//! The schemas of the events: the compiled-in catalogue or a folder of `.avsc` files.
//!
//! Each event's schema says what its data looks like in Avro and in JSON alike. Routes are checked against it at start,
//! records as they come. Files in the folder's `older/` are former versions: only single-object records that name their
//! fingerprint are decoded with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apache_avro::schema::Schema;

use super::plan::{Node, NodeId, Plan};
use super::{canonical, conform};

/// Why the schemas cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The folder or a file cannot be read.
    #[error("cannot read {path}: {source}; set codec.schemas to a readable folder of .avsc files, or leave it unset")]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no `.avsc` file.
    #[error("there is no .avsc file in {0}; set codec.schemas to the folder that has them, or leave it unset")]
    NoneFound(PathBuf),
    /// A file is no Avro schema, or one that cannot be used.
    #[error("schema {name}: {why}")]
    Unusable {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two files describe the same event.
    #[error("schema {name}: event {kind:?} has a schema already; move the former version to the folder older/")]
    Twice {
        /// The second file's name.
        name: String,
        /// The event.
        kind: String,
    },
}

/// What a value of an event's data is, in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object with known fields.
    Record,
    /// An array.
    Array,
    /// An object whose keys are data.
    Map,
    /// Any text, enums and binary data (base64) included.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// An exact number: money.
    Decimal {
        /// Most digits after the point.
        scale: u32,
    },
    /// A text that is an RFC 3339 time.
    Timestamp,
    /// `true` or `false`.
    Bool,
    /// One of several types.
    Any,
}

/// The type of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    /// What its value is.
    pub shape: Shape,
    /// Whether it may be absent: it or something on the way to it is optional.
    pub optional: bool,
}

/// The schema of one event's data.
#[derive(Debug)]
pub struct EventSchema {
    kind: Arc<str>,
    avsc: Box<str>,
    fingerprint: u64,
    plan: Plan,
}

impl EventSchema {
    /// The event's type, `order.created`.
    #[must_use]
    pub fn kind(&self) -> &Arc<str> {
        &self.kind
    }

    /// The schema's own text.
    #[must_use]
    pub fn avsc(&self) -> &str {
        &self.avsc
    }

    /// CRC-64-AVRO of the schema's canonical form.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The type of the field at `path` (`["customer", "name"]`); `[]` steps into the items of an array or a map. An
    /// empty path is the data itself. `None` when there is no such field.
    #[must_use]
    pub fn field_type(&self, path: &[&str]) -> Option<FieldType> {
        let (node, optional) = self.find(path)?;
        Some(FieldType { shape: node.map_or(Shape::Any, |node| shape(self.plan.node(node))), optional })
    }

    /// The names of the fields of the record at `path`, in the schema's order; empty where there is no record.
    #[must_use]
    pub fn field_names(&self, path: &[&str]) -> Vec<&str> {
        match self.find(path).and_then(|(node, _)| node).map(|node| self.plan.node(node)) {
            Some(Node::Record(fields)) => fields.iter().map(|field| &*field.name).collect(),
            _ => Vec::new(),
        }
    }

    fn find(&self, path: &[&str]) -> Option<(Option<NodeId>, bool)> {
        let mut at = Some(self.plan.root());
        let mut optional = false;
        for step in path {
            let next = match self.plan.node(at?) {
                Node::Record(fields) => fields.iter().find(|field| &*field.name == *step)?.node,
                Node::Array(items) | Node::Map(items) if *step == "[]" => *items,
                _ => return None,
            };
            let (nullable, stripped) = self.plan.stripped(next);
            optional |= nullable;
            at = stripped;
        }
        Some((at, optional))
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn shape(node: &Node) -> Shape {
    match node {
        Node::Record(_) => Shape::Record,
        Node::Array(_) => Shape::Array,
        Node::Map(_) => Shape::Map,
        Node::Int | Node::Long => Shape::Integer,
        Node::Float | Node::Double => Shape::Number,
        Node::Decimal(decimal) => Shape::Decimal { scale: decimal.scale },
        Node::Timestamp(_) => Shape::Timestamp,
        Node::Boolean => Shape::Bool,
        Node::Null | Node::Union(_) => Shape::Any,
        Node::Bytes
        | Node::Text
        | Node::Fixed(_)
        | Node::Enum(_)
        | Node::LocalTimestamp(_)
        | Node::Date
        | Node::TimeOfDay(_)
        | Node::Duration
        | Node::UuidBytes { .. } => Shape::String,
    }
}

/// All schemas that a node knows without asking anybody.
#[derive(Debug, Default)]
pub struct Schemas {
    events: Vec<EventSchema>,
    by_kind: HashMap<Arc<str>, usize>,
    /// Full and short names of the records, to their event.
    by_name: HashMap<Box<str>, usize>,
    by_fingerprint: HashMap<u64, Arc<Writer>>,
}

/// A schema that records are written with.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) plan: Plan,
    /// The event that its records carry, where nothing else says so.
    pub(super) kind: Arc<str>,
    /// Whether all that it can write fits the event's schema, so that no record needs to be checked.
    pub(super) conforms: bool,
}

/// The catalogue: file names and texts.
pub(super) const BUILTIN: [(&str, &str); 8] = [
    ("order.created.avsc", include_str!("../../schemas/order.created.avsc")),
    ("order.statusChanged.avsc", include_str!("../../schemas/order.statusChanged.avsc")),
    ("wallet.balanceUpdated.avsc", include_str!("../../schemas/wallet.balanceUpdated.avsc")),
    ("wallet.coinsExpiring.avsc", include_str!("../../schemas/wallet.coinsExpiring.avsc")),
    ("delivery.locationUpdated.avsc", include_str!("../../schemas/delivery.locationUpdated.avsc")),
    ("delivery.arrived.avsc", include_str!("../../schemas/delivery.arrived.avsc")),
    ("promotion.flashSaleStarted.avsc", include_str!("../../schemas/promotion.flashSaleStarted.avsc")),
    ("promotion.stockUpdate.avsc", include_str!("../../schemas/promotion.stockUpdate.avsc")),
];

impl Schemas {
    /// The schemas that the configuration asks for: those of its folder, or the compiled-in catalogue.
    ///
    /// # Errors
    /// [`SchemaError`] when the folder has none or one that cannot be used.
    pub fn from_config(config: &crate::config::Codec) -> Result<Self, SchemaError> {
        config.schemas.as_deref().map_or_else(Self::builtin, Self::load)
    }

    /// The compiled-in catalogue.
    ///
    /// # Errors
    /// None in a build whose tests passed.
    pub fn builtin() -> Result<Self, SchemaError> {
        let mut schemas = Self::default();
        for (name, avsc) in BUILTIN {
            schemas.add(name, avsc)?;
        }
        Ok(schemas)
    }

    /// The `.avsc` files of a folder, and the former versions in its `older/`.
    ///
    /// # Errors
    /// [`SchemaError`] when it has none or one that cannot be used.
    pub fn load(folder: &Path) -> Result<Self, SchemaError> {
        let mut schemas = Self::default();
        for (name, avsc) in files(folder)? {
            schemas.add(&name, &avsc)?;
        }
        if schemas.events.is_empty() {
            return Err(SchemaError::NoneFound(folder.into()));
        }
        let older = folder.join("older");
        if older.is_dir() {
            for (name, avsc) in files(&older)? {
                let (schema, plan) = parse(&name, &avsc)?;
                let writer = schemas.writer(plan);
                schemas.remember(&schema, writer);
            }
        }
        Ok(schemas)
    }

    /// The schema of an event, if it is known.
    #[must_use]
    pub fn event(&self, kind: &str) -> Option<&EventSchema> {
        self.by_kind.get(kind).and_then(|i| self.events.get(*i))
    }

    /// All events, in the order of their files.
    #[must_use]
    pub fn events(&self) -> impl ExactSizeIterator<Item = &EventSchema> {
        self.events.iter()
    }

    /// The schema with that fingerprint.
    pub(super) fn by_fingerprint(&self, fingerprint: u64) -> Option<&Arc<Writer>> {
        self.by_fingerprint.get(&fingerprint)
    }

    /// What records written with that plan are to us.
    pub(super) fn writer(&self, plan: Plan) -> Writer {
        let kind = self.kind_of(&plan);
        let conforms = self.event(&kind).is_none_or(|event| conform::conforms(&plan, &event.plan));
        Writer { plan, kind, conforms }
    }

    /// The type of what a record of that plan carries: its `event` attribute, else the event whose record has its full
    /// or its short name, else its full name.
    pub(super) fn kind_of(&self, plan: &Plan) -> Arc<str> {
        let short = plan.name().rsplit('.').next().unwrap_or_default();
        let event = match plan.event() {
            Some(kind) => match self.event(kind) {
                Some(event) => Some(event),
                None => return kind.into(),
            },
            None => self.by_name.get(plan.name()).or_else(|| self.by_name.get(short)).and_then(|i| self.events.get(*i)),
        };
        event.map_or_else(|| plan.name().into(), |event| Arc::clone(&event.kind))
    }

    fn add(&mut self, name: &str, avsc: &str) -> Result<(), SchemaError> {
        let (schema, plan) = parse(name, avsc)?;
        let kind: Arc<str> = match plan.event() {
            Some(kind) => kind.into(),
            None => kind_from_name(plan.name()).into(),
        };
        let index = self.events.len();
        if self.by_kind.insert(Arc::clone(&kind), index).is_some() {
            return Err(SchemaError::Twice { name: name.into(), kind: kind.as_ref().into() });
        }
        let short = plan.name().rsplit('.').next().unwrap_or_default();
        for name in [plan.name(), short] {
            self.by_name.entry(name.into()).or_insert(index);
        }
        let fingerprint = canonical::fingerprint(&schema);
        self.events.push(EventSchema { kind, avsc: avsc.into(), fingerprint, plan });
        // A second plan of the same schema: one to read records with, one that they are checked against.
        let (_, plan) = parse(name, avsc)?;
        let writer = self.writer(plan);
        self.remember(&schema, writer);
        Ok(())
    }

    /// Makes the schema known by its fingerprint, and by the one that apache-avro's own form gives: Rust producers that
    /// use it write that one.
    fn remember(&mut self, schema: &Schema, writer: Writer) {
        let writer = Arc::new(writer);
        let apache = canonical::crc64(schema.canonical_form().as_bytes());
        for fingerprint in [canonical::fingerprint(schema), apache] {
            self.by_fingerprint.entry(fingerprint).or_insert_with(|| Arc::clone(&writer));
        }
    }
}

/// `OrderStatusChanged` → `order.statusChanged`: what stands before the second capital is the topic's part.
pub(super) fn kind_from_name(full: &str) -> String {
    let short = full.rsplit('.').next().unwrap_or_default();
    let second = short.char_indices().skip(1).find(|(_, c)| c.is_ascii_uppercase()).map(|(i, _)| i);
    let lower = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + chars.as_str())
    };
    match second.and_then(|i| short.split_at_checked(i)) {
        Some((domain, rest)) => format!("{}.{}", lower(domain), lower(rest)),
        None => lower(short),
    }
}

fn parse(name: &str, avsc: &str) -> Result<(Schema, Plan), SchemaError> {
    let unusable = |why: String| SchemaError::Unusable { name: name.into(), why };
    let schema = Schema::parse_str(avsc).map_err(|e| unusable(e.to_string()))?;
    let plan = Plan::compile(&schema, &[]).map_err(|e| unusable(e.to_string()))?;
    Ok((schema, plan))
}

/// The `.avsc` files of a folder by name, with their texts.
fn files(folder: &Path) -> Result<Vec<(String, String)>, SchemaError> {
    let failed = |path: &Path, source| SchemaError::Read { path: path.into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        let path = entry.map_err(|e| failed(folder, e))?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
            found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}
