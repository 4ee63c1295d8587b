//! The catalogue and folders of schemas.

use std::path::Path;

use apache_avro::schema::Schema;

use super::super::canonical;
use super::super::schema::{BUILTIN, SchemaError, Schemas, Shape, kind_from_name};

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
        assert_eq!(kind_from_name(event.plan().name()), **event.kind(), "the record's name gives the type too");
        assert_eq!(schemas.kind_of(event.plan()), *event.kind());
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
    assert_eq!(&*schemas.by_fingerprint(fingerprint).unwrap().kind, "order.created");
    assert_eq!(schemas.events().len(), 1);
}
