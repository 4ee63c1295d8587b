//! Projections: copying and jaq give the same, digits survive, and filters are kept in bounds.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::schemas;
use crate::codec::Schemas;
use crate::route::filter;
use crate::route::jq::Jq;
use crate::route::{ProjectError, Projection};

fn compile_in(schemas: &Schemas, code: &str) -> Result<Projection, Vec<String>> {
    let schema = schemas.event("order.statusChanged").unwrap();
    filter::compile(code, schema)
        .map_err(|errors| errors.into_iter().map(|error| format!("{}: {}", error.at, error.message)).collect())
}

fn compile(code: &str) -> Result<Projection, Vec<String>> {
    compile_in(&schemas(), code)
}

/// How it was compiled, and its payload.
fn run(code: &str, data: &str) -> (&'static str, String) {
    let projection = compile(code).unwrap();
    let payload = projection.apply(&Bytes::copy_from_slice(data.as_bytes()));
    (
        projection.as_str(),
        payload.map_or_else(|error| error.as_str().into(), |bytes| String::from_utf8(bytes.into()).unwrap()),
    )
}

#[test]
fn picks_are_copied_and_the_rest_is_run() {
    let data = r#"{"orderId": "o1", "status": "placed", "metadata": {"deliveryPartner": {"id": "d", "name": "A B"}}}"#;
    for (code, how, payload) in [
        (".", "untouched", data),
        ("{orderId, state: .status}", "copied", r#"{"orderId":"o1","state":"placed"}"#),
        (
            r#"{type: "new", n: 1.50, yes: true, "a b": .orderId}"#,
            "copied",
            r#"{"type":"new","n":1.50,"yes":true,"a b":"o1"}"#,
        ),
        (".metadata.deliveryPartner | {name}", "copied", r#"{"name":"A B"}"#),
        ("{p: .metadata.deliveryPartner}", "copied", r#"{"p":{"id":"d","name":"A B"}}"#),
        ("{p: (.metadata.deliveryPartner.name | first_word)}", "copied", r#"{"p":"A"}"#),
        ("{p: (.metadata.deliveryPartner.name | ascii_upcase)}", "jq", r#"{"p":"A B"}"#),
        (r#"{p: (.metadata.deliveryPartner.name | split(" ")[0])}"#, "jq", r#"{"p":"A"}"#),
        ("{x: 1, s: .previousStatus}", "copied", r#"{"x":1}"#),
        ("{x: {}, s: .previousStatus}", "copied", r#"{"x":{}}"#),
        ("{s: .previousStatus}", "copied", "nothing"),
        ("empty", "jq", "nothing"),
        ("null", "jq", "nothing"),
        (".orderId, .status", "jq", "several_values"),
        ("{x: (0 / 0)}", "jq", "not_json"),
        (r#"{x: error("secret")}"#, "jq", "filter_failed"),
        ("{x: ([2020, 127, 1, 0, 0, 0] | mktime)}", "jq", "filter_failed"),
        (".orderId.x?", "", ""),
    ] {
        if how.is_empty() {
            assert!(compile(code).is_err(), "{code}");
        } else {
            assert_eq!(run(code, data), (how, payload.to_owned()), "{code}");
        }
    }
}

#[test]
fn digits_survive_copying_and_jaq() {
    for number in ["1250.50", "0.00", "-0", "1e5", "1E-7", "12345678901234567890123", "1.0000000000000000000001", "7"] {
        let data = format!(r#"{{"orderId": {number}, "status": [{{"a" : {number}}}]}}"#);
        let payload = format!(r#"{{"a":{number},"b":[{{"a":{number}}}]}}"#);
        assert_eq!(run("{a: .orderId, b: .status}", &data), ("copied", payload.clone()));
        assert_eq!(run("{a: (.orderId | select(true)), b: (.status | .)}", &data), ("jq", payload));
    }
}

#[test]
fn a_filters_error_is_not_shown_but_to_operators() {
    let projection = compile(r#"error("secret")"#).unwrap();
    let error = projection.apply(&Bytes::from_static(b"{}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(matches!(error, ProjectError::Filter(hidden) if hidden.reveal().contains("secret")));
}

#[test]
fn filters_that_need_not_end_or_see_more_than_the_record_are_refused() {
    for code in [
        "def f: f; f",
        "range(3)",
        "[range(0; 1e9)]",
        "recurse(.)",
        "repeat(1)",
        "until(false; .)",
        "while(true; .)",
        "reduce .orderId as $x (0; .)",
        "now",
        "env",
        "$ENV",
        "input",
        "inputs",
        "halt",
        "halt_error",
        "debug",
        "stderr",
        r#"include "x"; ."#,
        r#"import "x" as x; ."#,
        "localtime",
        "input_filename",
        "$__prog_args",
        "combinations",
        ".orderId * .status",
        "getpath([1]) | limit(1; repeat(1))",
        "{a: 1, a: 2}",
        "nope",
        "map",
        "{a: 01}",
        ".[",
        "@nope",
        "",
        "  ",
        "# only a comment",
        "}",
        "{(}",
        "\"\\(\"",
    ] {
        assert!(compile(code).is_err(), "{code}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    for code in ["(".repeat(4000), "-".repeat(4000) + "1", "[".repeat(4000), "try ".repeat(1000), "{a:".repeat(1300)] {
        assert!(compile(&code).is_err());
    }
    assert!(compile(&(".orderId + ".repeat(300) + "1")).unwrap_err()[0].contains("nested deeper"));
    assert!(compile(&" ".repeat(5000)).unwrap_err()[0].contains("at most 4096 bytes"));
}

#[test]
fn deep_data_is_copied_or_refused_but_never_overflows() {
    let deep =
        |open: &str, close: &str| format!(r#"{{"orderId": {}null{}}}"#, open.repeat(100_000), close.repeat(100_000));
    for data in [deep("[", "]"), deep(r#"{"a":"#, "}")] {
        assert_eq!(run("{a: .orderId}", &data).1, "bad_data");
        assert_eq!(run("{a: (.orderId | select(true))}", &data).1, "bad_data");
        assert_eq!(run("{status}", &data).1, "nothing", "what is not picked may be as deep as it likes");
    }
}

#[test]
fn unknown_fields_are_found_where_they_stand() {
    for (code, at, field) in [
        ("{orderId, nope}", 10, "nope"),
        ("{a: .metadata.nope}", 14, "metadata.nope"),
        (".metadata | {nope}", 13, "metadata.nope"),
        ("{a: (.metadata | .deliveryPartner | {name, nope})}", 43, "metadata.deliveryPartner.nope"),
        ("if .nope then . else . end", 4, "nope"),
        ("select(.nope)", 8, "nope"),
        (r#"{a: "x\(.nope)"}"#, 9, "nope"),
        ("{a: (.status // .nope)}", 17, "nope"),
        (r#"{a: ."nope"}"#, 6, "nope"),
        ("{a: .orderId.nope}", 13, "orderId.nope"),
    ] {
        let expected = vec![format!("{at}: order.statusChanged has no field `{field}`")];
        assert_eq!(compile(code).unwrap_err(), expected, "{code}");
    }
    let schemas = schemas();
    let created = schemas.event("order.created").unwrap();
    assert!(filter::compile("{a: [.items[] | {name}], b: .items[0]}", created).is_ok());
    let errors = filter::compile("{a: [.items[].nope], b: (.total | length)}", created).unwrap_err();
    let errors: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(errors, ["order.created has no field `items.[].nope`", "the field has no `length`"]);
}

/// Any JSON, as text with odd spacing and escapes.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just(r#""""#.to_owned()),
        "[a-z ]{0,6}".prop_map(|text| format!("{text:?}")),
        ".{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u00e9\ud83d\ude00 \"\\\/\b\u0000 x""#.to_owned()),
        Just("\" Ana\u{a0}Bell\"".to_owned()),
    ];
    let number = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        (0..10_000_i64, 0..100_u8).prop_map(|(whole, cents)| format!("{whole}.{cents:02}")),
        Just("-0.0".to_owned()),
        Just("1e300".to_owned()),
    ];
    let leaf = prop_oneof![
        2 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("false".to_owned()),
        3 => number,
        3 => text,
    ];
    let space = "[ \n\t\r]{0,2}";
    leaf.prop_recursive(4, 24, 5, move |inner| {
        let key = prop_oneof![
            Just(r#""id""#),
            Just(r#""name""#),
            Just(r#""na\u006de""#),
            Just(r#""phone""#),
            Just(r#""estimatedDelivery""#),
            Just(r#""deliveryPartner""#),
            Just(r#""delivery\u0050artner""#),
            Just(r#""x""#),
            Just(r#""\"""#),
        ];
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space)
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},{space}")))),
            (prop::collection::vec((key, inner), 0..5), space).prop_map(|(members, space)| object(&members, &space)),
        ]
    })
}

fn object(members: &[(&str, String)], space: &str) -> String {
    let mut seen = Vec::new();
    let mut text = Vec::new();
    for (key, value) in members {
        let name: String = serde_json::from_str(key).unwrap();
        if !seen.contains(&name) {
            text.push(format!("{key}{space}:{space}{value}"));
            seen.push(name);
        }
    }
    format!("{space}{{{space}{}{space}}}{space}", text.join(&format!("{space},{space}"))).trim().to_owned()
}

fn record() -> impl Strategy<Value = String> {
    let space = "[ \n\t\r]{0,2}";
    let members = |keys: &'static [&'static str], value: BoxedStrategy<String>| {
        (prop::collection::vec((prop::sample::select(keys), value), 0..7), space)
            .prop_map(|(members, space)| object(&members, &space))
            .boxed()
    };
    // Mostly of the shape that the schema says, so that the picks find something; else anything.
    let partner = members(&[r#""id""#, r#""name""#, r#""na\u006de""#, r#""phone""#], json().boxed());
    let partner = prop_oneof![4 => partner, 1 => Just("null".to_owned()), 1 => json()].boxed();
    let detail = prop_oneof![6 => partner, 1 => json()].boxed();
    let keys = &[r#""deliveryPartner""#, r#""delivery\u0050artner""#, r#""estimatedDelivery""#, r#""x""#];
    let metadata = prop_oneof![8 => members(keys, detail), 1 => Just("null".to_owned()), 1 => json()];
    let key = prop_oneof![
        Just(r#""orderId""#),
        Just(r#""order\u0049d""#),
        Just(r#""status""#),
        Just(r#""previousStatus""#),
        Just(r#""timestamp""#),
        Just(r#""other""#)
    ];
    (prop::collection::vec((key, json()), 0..6), metadata, 0..6_usize, space).prop_map(
        |(mut all, metadata, at, space)| {
            all.insert(at.min(all.len()), (r#""metadata""#, metadata));
            object(&all, &space)
        },
    )
}

#[test]
fn the_records_that_copying_is_tried_on_have_what_it_picks() {
    let projection =
        compile("{metadata: .metadata | {estimatedDelivery, d: .deliveryPartner | {name, phone}}}").unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut full, mut empty, mut failed) = (0, 0, 0);
    for _ in 0..500 {
        let data = record().new_tree(&mut runner).unwrap().current();
        match projection.apply(&Bytes::from(data)) {
            Ok(_) => full += 1,
            Err(ProjectError::Nothing) => empty += 1,
            Err(_) => failed += 1,
        }
    }
    assert!(full > 150 && empty > 20 && failed > 20, "{full} full, {empty} empty, {failed} failed");
}

/// Both ways of escaping a text give one, and white space and nothing else is lost; numbers keep their text.
fn normal(payload: Result<Option<Vec<u8>>, ()>) -> Result<Option<String>, ()> {
    let identity = Jq::compile("[.]").unwrap();
    payload.map(|payload| {
        payload.map(|payload| {
            let wrapped = [b"{\"x\":", payload.as_slice(), b"}"].concat();
            String::from_utf8(identity.apply(&wrapped).unwrap().unwrap()).unwrap()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn copying_gives_what_jaq_gives(data in record(), code in prop::sample::select(vec![
        "{orderId, status, previousStatus}",
        "{a: .metadata.deliveryPartner.name, b: .metadata}",
        "{metadata: .metadata | {estimatedDelivery, deliveryPartner: .deliveryPartner | {name, phone}}}",
        "{m: {estimatedDelivery: .metadata.estimatedDelivery, d: {name: .metadata.deliveryPartner.name}}, t: \"x\"}",
        "{first: (.status | first_word), e: {}}",
        ".metadata.deliveryPartner",
        ".metadata | .deliveryPartner | {name, \"a\\\"b\": 1.50}",
        "{a: .status, b: (.metadata | {c: 1})}",
    ])) {
        let copied = compile_in(&schemas(), code).unwrap();
        prop_assert_eq!(copied.as_str(), "copied");
        let bytes = Bytes::from(data.clone());
        let copied = match copied.apply(&bytes) {
            Ok(payload) => {
                prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&payload).is_ok());
                Ok(Some(payload.to_vec()))
            }
            Err(ProjectError::Nothing) => Ok(None),
            Err(_) => Err(()),
        };
        let run = Jq::compile(code).unwrap().apply(&bytes).map_err(|_| ());
        prop_assert_eq!(normal(copied), normal(run), "{} of {}", code, data);
    }

    #[test]
    fn no_filter_makes_it_panic(code in r#"[.{}()\[\]|,:"a-c\\/0-9 @$*+-]{0,40}"#) {
        let _ = compile_in(&schemas(), &code);
    }
}
