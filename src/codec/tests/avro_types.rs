//! Every Avro type, written by apache-avro and read here.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use super::super::plan::Plan;
use super::super::{Refusal, avro};

/// The JSON of a record with the one field `v` of that type.
fn read(avsc_type: &str, datum: &[u8]) -> Result<String, Refusal> {
    let avsc = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{avsc_type}}}]}}"#);
    let plan = Plan::compile(&Schema::parse_str(&avsc).unwrap(), &[]).unwrap();
    let mut out = Vec::new();
    avro::to_json(&plan, datum, 1 << 20, &mut out)?;
    let text = String::from_utf8(out).unwrap();
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).expect("valid JSON");
    Ok(text)
}

fn written(avsc_type: &str, value: Value) -> String {
    let avsc = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{avsc_type}}}]}}"#);
    let schema = Schema::parse_str(&avsc).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let bytes = writer.write_value_to_vec(Value::Record(vec![("v".into(), value)])).unwrap();
    read(avsc_type, &bytes).unwrap()
}

fn why(avsc_type: &str, datum: &[u8]) -> &'static str {
    match read(avsc_type, datum) {
        Err(Refusal::BadAvro { why, path, .. }) => {
            assert!(path.to_string().starts_with('v'), "{path}");
            why
        }
        other => panic!("expected bad_avro, got {other:?}"),
    }
}

#[test]
fn every_type_has_its_json_form() {
    let logical = |base: &str, name: &str| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    let millis = 1_795_426_200_123_i64;
    for (avsc, value, json) in [
        (r#""boolean""#.into(), Value::Boolean(true), "true"),
        (r#""int""#.into(), Value::Int(i32::MIN), "-2147483648"),
        (r#""long""#.into(), Value::Long(i64::MIN), "-9223372036854775808"),
        (r#""float""#.into(), Value::Float(0.1), "0.1"),
        (r#""double""#.into(), Value::Double(0.1), "0.1"),
        (r#""bytes""#.into(), Value::Bytes(vec![0, 255]), r#""AP8=""#),
        (r#""string""#.into(), Value::String("a\"\\\n\u{1}é🍬".into()), "\"a\\\"\\\\\\n\\u0001é🍬\""),
        (r#"{"type":"fixed","name":"F","size":2}"#.into(), Value::Fixed(2, vec![0, 255]), r#""AP8=""#),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.into(), Value::Enum(1, "B".into()), r#""B""#),
        (r#"{"type":"array","items":"int"}"#.into(), Value::Array(vec![Value::Int(1), Value::Int(2)]), "[1,2]"),
        (r#"{"type":"array","items":["null","int"]}"#.into(), Value::Array(vec![]), "[]"),
        (logical("long", "timestamp-millis"), Value::TimestampMillis(millis), r#""2026-11-23T09:30:00.123Z""#),
        (
            logical("long", "timestamp-micros"),
            Value::TimestampMicros(millis * 1_000 + 999),
            r#""2026-11-23T09:30:00.123Z""#,
        ),
        (logical("long", "timestamp-nanos"), Value::TimestampNanos(-1), r#""1969-12-31T23:59:59.999Z""#),
        (logical("long", "local-timestamp-millis"), Value::LocalTimestampMillis(0), r#""1970-01-01T00:00:00.000""#),
        (logical("int", "date"), Value::Date(20_780), r#""2026-11-23""#),
        (logical("int", "time-millis"), Value::TimeMillis(34_200_005), r#""09:30:00.005""#),
        (logical("long", "time-micros"), Value::TimeMicros(86_399_999_999), r#""23:59:59.999""#),
        (
            logical("string", "uuid"),
            Value::Uuid("de305d54-75b4-431b-adb2-eb6b9e546014".parse().unwrap()),
            r#""de305d54-75b4-431b-adb2-eb6b9e546014""#,
        ),
        (
            r#"{"type":{"type":"fixed","name":"U","size":16},"logicalType":"uuid"}"#.into(),
            Value::Uuid("de305d54-75b4-431b-adb2-eb6b9e546014".parse().unwrap()),
            r#""de305d54-75b4-431b-adb2-eb6b9e546014""#,
        ),
        (
            r#"{"type":{"type":"fixed","name":"D","size":12},"logicalType":"duration"}"#.into(),
            Value::Duration([1, 0, 0, 0, 2, 0, 0, 0, 184, 11, 0, 0].into()),
            r#""P1M2DT3.000S""#,
        ),
        (
            r#"{"type":{"type":"fixed","name":"M","size":9},"logicalType":"decimal","precision":18,"scale":2}"#.into(),
            Value::Decimal((-125_050_i64).to_be_bytes().to_vec().into()),
            "-1250.50",
        ),
    ] {
        let expected = format!(r#"{{"v":{json}}}"#);
        assert_eq!(written(&avsc, value), expected, "{avsc}");
    }
    let map = Value::Map([("k\"".to_owned(), Value::Int(1))].into());
    assert_eq!(written(r#"{"type":"map","values":"int"}"#, map), r#"{"v":{"k\"":1}}"#);
    let branch = Value::Union(2, Box::new(Value::Int(5)));
    assert_eq!(written(r#"["null","string","int"]"#, branch), r#"{"v":5}"#);
    let absent = Value::Union(0, Box::new(Value::Null));
    assert_eq!(written(r#"["null","string"]"#, absent), "{}");
}

#[test]
fn blocks_may_state_their_size() {
    // Count −2, size 2, two items; then a plain block of one; then the end.
    assert_eq!(read(r#"{"type":"array","items":"int"}"#, &[3, 4, 2, 4, 2, 6, 0]).unwrap(), r#"{"v":[1,2,3]}"#);
    // The null inside an array stays a null: leaving it out would move the others.
    let nulls = [4, 0, 2, 2, 0];
    assert_eq!(read(r#"{"type":"array","items":["null","int"]}"#, &nulls).unwrap(), r#"{"v":[null,1]}"#);
}

#[test]
fn a_record_may_contain_itself_but_not_without_end() {
    let list =
        r#"{"type":"record","name":"L","fields":[{"name":"n","type":"int"},{"name":"next","type":["null","L"]}]}"#;
    assert_eq!(read(list, &[2, 2, 4, 0]).unwrap(), r#"{"v":{"n":1,"next":{"n":2}}}"#);
    assert_eq!(why(list, &vec![2; 100_000]), "nested too deep");
}

#[test]
fn a_schema_that_never_ends_stops_at_the_limit() {
    // No byte is read on the way: only depth and output bound it.
    let tree = r#"{"type":"record","name":"T","fields":[{"name":"a","type":"T"},{"name":"b","type":"T"}]}"#;
    assert_eq!(why(tree, &[]), "nested too deep");
    let wide = r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#;
    // A count of 2^62 items that have no bytes.
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
    assert_eq!(read(wide, &huge).unwrap_err().as_str(), "oversize");
    let nulls = r#"{"type":"array","items":"null"}"#;
    assert_eq!(read(nulls, &huge).unwrap_err().as_str(), "oversize");
    assert_eq!(why(r#"{"type":"array","items":"int"}"#, &huge), "the bytes end too early");
}

#[test]
fn lengths_and_indices_that_lie_are_refused() {
    let max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let min = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(why(r#""string""#, &max), "the bytes end too early");
    assert_eq!(why(r#""bytes""#, &min), "a negative length");
    assert_eq!(why(r#""long""#, &[0xff; 11]), "an integer of more than 64 bits");
    assert_eq!(why(r#""long""#, &[0xff; 3]), "the bytes end too early");
    assert_eq!(why(r#""int""#, &max), "an int of more than 32 bits");
    assert_eq!(why(r#"["null","int"]"#, &[4]), "a union's index that has no branch");
    assert_eq!(why(r#"["null","int"]"#, &[1]), "a union's index that has no branch");
    assert_eq!(why(r#"{"type":"enum","name":"E","symbols":["A"]}"#, &[2]), "an enum's index that has no symbol");
    assert_eq!(why(r#""boolean""#, &[2]), "a boolean that is neither 0 nor 1");
    assert_eq!(why(r#""double""#, &f64::NAN.to_le_bytes()), "a number that is not finite");
    assert_eq!(why(r#""float""#, &f32::INFINITY.to_le_bytes()), "a number that is not finite");
    assert_eq!(why(r#"{"type":"long","logicalType":"timestamp-millis"}"#, &max), "a time outside the years 0-9999");
    assert_eq!(why(r#"{"type":"int","logicalType":"time-millis"}"#, &[1]), "a time of day outside the day");
    assert_eq!(
        why(r#"{"type":"map","values":"int"}"#, &[4, 2, b'a', 0, 2, b'a', 0, 0]),
        "a key that stands twice in a map"
    );
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    assert_eq!(why(decimal, &[0]), "a decimal without bytes");
    assert_eq!(why(decimal, &[4, 0x7f, 0xff]), "a decimal with more digits than its precision");
    assert!(matches!(read(r#""string""#, &[4, b'a', 0xff]), Err(Refusal::BadUtf8 { at: 2 })));
    assert!(matches!(read(r#""int""#, &[2, 0]), Err(Refusal::BadAvro { why: "bytes after the end", at: 1, .. })));
}
