//! Arbitrary bytes at every entry: no panic, no endless output, and whatever is an event is valid JSON.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;

use super::super::encode::avro_single_object;
use super::super::plan::Plan;
use super::super::{SchemaId, avro, check};
use super::*;

/// Every kind of type, itself included.
const RICH: &str = r#"{"type":"record","name":"Rich","fields":[
    {"name":"self","type":["null","Rich"]},
    {"name":"nulls","type":{"type":"array","items":"null"}},
    {"name":"map","type":{"type":"map","values":["null","string","double"]}},
    {"name":"list","type":{"type":"array","items":{"type":"array","items":{"type":"record","name":"E","fields":[]}}}},
    {"name":"money","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":9}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"e","type":{"type":"enum","name":"X","symbols":["A","B"]}},
    {"name":"b","type":"bytes"},{"name":"f","type":"float"},{"name":"n","type":"null"}]}"#;

static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let decoder = decoder();
    decoder.know(SchemaId::new(1), RICH);
    decoder
});

fn survives(payload: &[u8], headers: &[(&str, &str)]) {
    let Ok(event) = DECODER.decode(&record(Some(payload), headers)) else { return };
    assert!(serde_json::from_slice::<&RawValue>(&event.data).is_ok());
    assert!(event.data.starts_with(b"{") && event.data.ends_with(b"}"));
    assert!(event.data.len() <= payload.len() * 64 + 64 * 1024 + 1024);
    let plan = DECODER.schemas().event(&event.kind).map(super::super::EventSchema::plan);
    assert!(check::object(&event.data, plan).is_ok(), "what comes out has its event's types");
}

const HEADERS: [&[(&str, &str)]; 5] = [
    &[],
    &[("type", "order.created")],
    &[("ce_type", "wallet.coinsExpiring"), ("ce_id", "1")],
    &[("content-type", "application/cloudevents+json")],
    &[("type", "none.such")],
];

fn single(kind: &str, json: &str) -> Vec<u8> {
    avro_single_object(DECODER.schemas(), kind, json).unwrap()
}

proptest! {
    #[test]
    fn arbitrary_bytes_survive_every_entry(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in any::<Index>()) {
        let (event, json) = EXAMPLES[kind.index(EXAMPLES.len())];
        for headers in HEADERS {
            survives(&bytes, headers);
            survives(&[&[0, 0, 0, 0, 1], &bytes[..]].concat(), headers);
            survives(&[&single(event, json)[..10], &bytes[..]].concat(), headers);
        }
    }

    #[test]
    fn damaged_avro_survives(kind in any::<Index>(), at in any::<Index>(), byte in any::<u8>(), cut in any::<Index>()) {
        let (event, json) = EXAMPLES[kind.index(EXAMPLES.len())];
        let mut bytes = single(event, json);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        survives(&bytes, &[]);
        bytes.truncate(cut.index(bytes.len()));
        survives(&bytes, &[]);
    }

    #[test]
    fn damaged_json_survives(kind in any::<Index>(), at in any::<Index>(), byte in any::<u8>()) {
        let (event, json) = EXAMPLES[kind.index(EXAMPLES.len())];
        for text in [compact(json), format!(r#"{{"type":"{event}","id":"1","data":{json}}}"#)] {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for headers in HEADERS {
                survives(&bytes, headers);
            }
            survives(&bytes, &[("type", event)]);
        }
    }

    #[test]
    fn arbitrary_avro_never_outgrows_its_limit(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let plan = Plan::compile(&apache_avro::Schema::parse_str(RICH).unwrap(), &[]).unwrap();
        for max_record in [1_000, 1 << 20] {
            let mut out = Vec::new();
            let _ = avro::to_json(&plan, &bytes, max_record, &mut out);
            // The last value may stand beyond the limit: at most an escape of six bytes for each of its own.
            prop_assert!(out.len() <= (max_record * 4).min(bytes.len() * 64 + 64 * 1024) + bytes.len() * 6 + 100);
        }
    }

    #[test]
    fn the_scanner_takes_what_serde_json_takes(
        kind in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), 0..3, proptest::sample::select(TOKENS)), 0..4),
    ) {
        let mut text: Vec<char> = SAMPLES[kind.index(SAMPLES.len())].chars().collect();
        for (at, how, token) in edits {
            let at = at.index(text.len());
            let end = if how == 0 { at } else { at + 1 };
            let with = if how == 2 { "" } else { token };
            text.splice(at..end, with.chars());
            prop_assume!(!text.is_empty());
        }
        let text: String = text.into_iter().collect();
        let ours = check::object(text.as_bytes(), None).map_err(Refusal::from);
        let object = text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{');
        // `Value` wants numbers that an f64 holds, `RawValue` overlooks lone surrogates: ours lies between them.
        match ours {
            Ok((range, _)) => {
                prop_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
                prop_assert_eq!(&text[range], text.trim_matches([' ', '\n', '\r', '\t']));
            }
            Err(Refusal::DuplicateKey { .. }) => prop_assert!(object),
            Err(_) => prop_assert!(!object || serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text),
        }
    }
}

const SAMPLES: [&str; 4] = [
    r#"{"a":[1,-0.5e+3,true,false,null,"x\u00e9\ud83c\udf6c\n"],"b":{"c":{}},"d":[]}"#,
    " {\n\t\"k\" : \"\\\"\\\\\" , \"l\":[ [ ] , { } ] }\r\n",
    r#"{"":0,"é🍬":1E9,"0":-1}"#,
    "{}",
];

const TOKENS: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\\udc00", "0", "1", "-", ".", "e", "E", "+", "null",
    "tru", " ", "\n", "\u{1}", "\u{7f}", "é", "a",
];
