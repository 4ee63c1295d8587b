//! Words that the schemas do not know: passed on as they are, and told.

use super::*;
use crate::codec::SchemaId;
use crate::codec::encode::{avro_confluent, avro_single_object};

const STATUS: &str = include_str!("../../../schemas/examples/order.statusChanged.json");

fn unknown(event: &Event) -> Vec<&str> {
    event.unknown.iter().map(|field| &**field).collect()
}

#[test]
fn the_examples_use_known_words_only() {
    for (kind, json) in EXAMPLES {
        assert!(typed(kind, json).unwrap().unknown.is_empty(), "{kind}");
        let avro = avro_single_object(&schemas(), kind, json).unwrap();
        assert!(decode(&avro, &[]).unwrap().unknown.is_empty(), "{kind}");
    }
}

#[test]
fn an_unknown_word_is_passed_on_and_told_in_every_encoding() {
    let mut json: serde_json::Value = serde_json::from_str(STATUS).unwrap();
    json["status"] = "teleported".into();
    let json = json.to_string();
    let envelope = format!("{{\"type\":\"order.statusChanged\",\"data\":{json}}}");
    let avro = avro_single_object(&schemas(), "order.statusChanged", &json).unwrap();
    // The same schema from a registry, without a word on words.
    let silent = schemas().event("order.statusChanged").unwrap().avsc().replace("\"values\"", "\"notes\"");
    let id = SchemaId::new(7);
    let registered = avro_confluent(&schemas(), id, "order.statusChanged", &json).unwrap();
    let decoder = decoder();
    decoder.know(id, &silent);
    for event in [
        typed("order.statusChanged", &json).unwrap(),
        decode(envelope.as_bytes(), &[]).unwrap(),
        decode(&avro, &[]).unwrap(),
        decoder.decode(&record(Some(&registered), &[])).unwrap(),
    ] {
        assert_eq!(unknown(&event), ["status"]);
        assert!(data(&event).contains("\"teleported\""));
    }
}

#[test]
fn a_known_word_may_be_written_with_escapes_and_an_absent_one_is_none() {
    let minimal = include_str!("../../../schemas/examples/order.statusChanged.minimal.json");
    let status: serde_json::Value = serde_json::from_str(minimal).unwrap();
    let word = status["status"].as_str().unwrap();
    let escaped = format!("\\u{:04x}{}", u32::from(word.as_bytes()[0]), &word[1..]);
    let json = minimal.replace(&format!("\"{word}\""), &format!("\"{escaped}\""));
    assert_ne!(json, minimal);
    assert!(typed("order.statusChanged", &json).unwrap().unknown.is_empty());
}
