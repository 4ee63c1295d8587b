//! The schemas of the events: the compiled-in catalogue or a folder of `.avsc` files.
//!
//! Each event's schema says what its data looks like in Avro and in JSON alike. Routes are checked against it at start,
//! records as they come. Files in the folder's `older/` are former versions: only single-object records that name their
//! fingerprint are decoded with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apache_avro::schema::Schema;

use super::canonical;
use super::plan::{Node, NodeId, Plan};

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
    index: usize,
    avsc: Box<str>,
    fingerprint: u64,
    plan: Arc<Plan>,
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

    /// The event's place among all events: a small index for tables.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
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
    by_fingerprint: HashMap<u64, Arc<Plan>>,
}

/// The catalogue: file names and texts.
const BUILTIN: [(&str, &str); 8] = [
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
                schemas.remember(&schema, &Arc::new(plan));
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
    pub fn events(&self) -> impl ExactSizeIterator<Item = &EventSchema> {
        self.events.iter()
    }

    /// The plan of the schema with that fingerprint.
    pub(super) fn by_fingerprint(&self, fingerprint: u64) -> Option<&Arc<Plan>> {
        self.by_fingerprint.get(&fingerprint)
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
        let plan = Arc::new(plan);
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
        let fingerprint = self.remember(&schema, &plan);
        self.events.push(EventSchema { kind, index, avsc: avsc.into(), fingerprint, plan });
        Ok(())
    }

    /// Makes the schema known by its fingerprint, and by the one that apache-avro's own form gives: Rust producers that
    /// use it write that one.
    fn remember(&mut self, schema: &Schema, plan: &Arc<Plan>) -> u64 {
        let fingerprint = canonical::fingerprint(schema);
        self.by_fingerprint.entry(fingerprint).or_insert_with(|| Arc::clone(plan));
        let apache = canonical::crc64(schema.canonical_form().as_bytes());
        self.by_fingerprint.entry(apache).or_insert_with(|| Arc::clone(plan));
        fingerprint
    }
}

/// `OrderStatusChanged` → `order.statusChanged`: what stands before the second capital is the topic's part.
fn kind_from_name(full: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str, path: &[&str]) -> Option<(Shape, bool)> {
        let schemas = Schemas::builtin().unwrap();
        schemas.event(kind).unwrap().field_type(path).map(|t| (t.shape, t.optional))
    }

    #[test]
    fn the_catalogue_names_its_events_after_its_files() {
        let schemas = Schemas::builtin().unwrap();
        let kinds: Vec<String> = schemas.events().map(|e| format!("{}.avsc", e.kind())).collect();
        assert_eq!(kinds, BUILTIN.map(|(name, _)| name));
        for event in schemas.events() {
            assert_eq!(kind_from_name(event.plan.name()), **event.kind(), "the record's name gives the type too");
            assert_eq!(schemas.kind_of(&event.plan), *event.kind());
        }
    }

    #[test]
    fn the_folder_and_the_compiled_in_catalogue_are_the_same() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let (loaded, builtin) = (Schemas::load(&folder).unwrap(), Schemas::builtin().unwrap());
        assert_eq!(loaded.events().len(), builtin.events().len());
        for event in builtin.events() {
            assert_eq!(loaded.event(event.kind()).unwrap().fingerprint(), event.fingerprint());
        }
    }

    #[test]
    fn fields_are_found_with_their_type_and_whether_they_may_be_absent() {
        assert_eq!(field("order.created", &["orderId"]), Some((Shape::String, false)));
        assert_eq!(field("order.created", &["total"]), Some((Shape::Decimal { scale: 2 }, false)));
        assert_eq!(field("order.created", &["items"]), Some((Shape::Array, false)));
        assert_eq!(field("order.created", &["items", "[]", "quantity"]), Some((Shape::Integer, false)));
        assert_eq!(field("order.created", &[]), Some((Shape::Record, false)));
        assert_eq!(field("order.statusChanged", &["metadata"]), Some((Shape::Record, true)));
        assert_eq!(field("order.statusChanged", &["metadata", "deliveryPartner", "name"]), Some((Shape::String, true)));
        assert_eq!(field("order.statusChanged", &["metadata", "estimatedDelivery"]), Some((Shape::Timestamp, true)));
        assert_eq!(field("promotion.stockUpdate", &["percentageRemaining"]), Some((Shape::Number, false)));
        for absent in [&["nothing"][..], &["orderId", "x"], &["items", "quantity"], &["customer", "[]"]] {
            assert_eq!(field("order.created", absent), None, "{absent:?}");
        }
        let schemas = Schemas::builtin().unwrap();
        assert_eq!(schemas.event("order.created").unwrap().field_names(&["customer"]), ["name", "phone"]);
        assert!(schemas.event("order.vanished").is_none());
    }

    #[test]
    fn documentation_lists_the_values_that_the_schema_knows() {
        fn walk(value: &serde_json::Value, seen: &mut usize) {
            if let (Some(values), Some(doc)) = (value["values"].as_array(), value["doc"].as_str()) {
                let listed = values.iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>().join(", ");
                assert!(doc.starts_with(&format!("One of: {listed}")), "{doc}");
                *seen += 1;
            }
            match value {
                serde_json::Value::Array(items) => items.iter().for_each(|v| walk(v, seen)),
                serde_json::Value::Object(fields) => fields.values().for_each(|v| walk(v, seen)),
                _ => {}
            }
        }
        let mut seen = 0;
        for event in Schemas::builtin().unwrap().events() {
            walk(&serde_json::from_str(event.avsc()).unwrap(), &mut seen);
        }
        assert_eq!(seen, 7);
    }

    #[test]
    fn a_folder_is_refused_with_the_offending_file_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Schemas::load(folder.path()), Err(SchemaError::NoneFound(_))));
        std::fs::write(folder.path().join("a.avsc"), BUILTIN[0].1).unwrap();
        assert_eq!(Schemas::load(folder.path()).unwrap().events().len(), 1);
        std::fs::write(folder.path().join("b.avsc"), BUILTIN[0].1).unwrap();
        let twice = Schemas::load(folder.path()).unwrap_err().to_string();
        assert!(twice.contains("b.avsc") && twice.contains("order.created"), "{twice}");
        std::fs::write(folder.path().join("b.avsc"), r#"{"type":"strin"}"#).unwrap();
        assert!(Schemas::load(folder.path()).unwrap_err().to_string().contains("b.avsc"));
        assert!(matches!(Schemas::load(&folder.path().join("none")), Err(SchemaError::Read { .. })));
    }

    #[test]
    fn former_versions_are_known_by_fingerprint_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.avsc"), BUILTIN[0].1).unwrap();
        std::fs::create_dir(folder.path().join("older")).unwrap();
        let older = BUILTIN[0].1.replace("merchantName", "shopName");
        std::fs::write(folder.path().join("older/a.1.avsc"), &older).unwrap();
        let schemas = Schemas::load(folder.path()).unwrap();
        let fingerprint = canonical::fingerprint(&Schema::parse_str(&older).unwrap());
        assert_ne!(fingerprint, schemas.event("order.created").unwrap().fingerprint());
        assert_eq!(&*schemas.kind_of(schemas.by_fingerprint(fingerprint).unwrap()), "order.created");
        assert_eq!(schemas.events().len(), 1);
    }
}
