//! The Parsing Canonical Form of an Avro schema and its CRC-64-AVRO fingerprint, by which a single-object record names
//! its schema.
//!
//! Written here because apache-avro's own form keeps the logical types' objects (`{"type":"long"}` instead of `"long"`,
//! precision and scale): its fingerprints differ from those of every Java or Python producer.

use std::collections::HashSet;
use std::fmt::Write as _;

use apache_avro::schema::{FixedSchema, InnerDecimalSchema, Name, Schema, UuidSchema};

/// The Rabin fingerprint of an empty text, as the Avro specification gives it.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = {
    let mut table = [0_u64; 256];
    let mut i = 0;
    while i < 256 {
        let mut fp = i as u64;
        let mut bit = 0;
        while bit < 8 {
            fp = (fp >> 1) ^ (EMPTY & (fp & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = fp;
        i += 1;
    }
    table
};

/// CRC-64-AVRO of `text`.
pub(super) fn crc64(text: &[u8]) -> u64 {
    text.iter().fold(EMPTY, |fp, byte| {
        let index = (fp ^ u64::from(*byte)) & 0xff;
        // The index is masked to the table's size.
        (fp >> 8) ^ TABLE.get(usize::try_from(index).unwrap_or(0)).copied().unwrap_or(0)
    })
}

/// The fingerprint of a schema by its canonical form.
pub(super) fn fingerprint(schema: &Schema) -> u64 {
    crc64(form(schema).as_bytes())
}

/// The Parsing Canonical Form.
pub(super) fn form(schema: &Schema) -> String {
    let mut out = String::with_capacity(512);
    write(schema, &mut out, &mut HashSet::new());
    out
}

fn write(schema: &Schema, out: &mut String, seen: &mut HashSet<String>) {
    match schema {
        Schema::Null => out.push_str(r#""null""#),
        Schema::Boolean => out.push_str(r#""boolean""#),
        Schema::Int | Schema::Date | Schema::TimeMillis => out.push_str(r#""int""#),
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => out.push_str(r#""long""#),
        Schema::Float => out.push_str(r#""float""#),
        Schema::Double => out.push_str(r#""double""#),
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => out.push_str(r#""bytes""#),
        Schema::String | Schema::Uuid(UuidSchema::String) => out.push_str(r#""string""#),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => out.push_str(r#""bytes""#),
            InnerDecimalSchema::Fixed(fixed) => write_fixed(fixed, out, seen),
        },
        Schema::Uuid(UuidSchema::Fixed(fixed)) | Schema::Fixed(fixed) | Schema::Duration(fixed) => {
            write_fixed(fixed, out, seen);
        }
        Schema::Ref { name } => push_quoted(&name.fullname(None), out),
        Schema::Array(array) => {
            out.push_str(r#"{"type":"array","items":"#);
            write(&array.items, out, seen);
            out.push('}');
        }
        Schema::Map(map) => {
            out.push_str(r#"{"type":"map","values":"#);
            write(&map.types, out, seen);
            out.push('}');
        }
        Schema::Union(union) => {
            out.push('[');
            separated(union.variants(), out, |variant, out| write(variant, out, seen));
            out.push(']');
        }
        Schema::Enum(symbols) => {
            if defined(&symbols.name, "enum", out, seen) {
                out.push_str(r#","symbols":["#);
                separated(&symbols.symbols, out, |symbol, out| push_quoted(symbol, out));
                out.push_str("]}");
            }
        }
        Schema::Record(record) => {
            if defined(&record.name, "record", out, seen) {
                out.push_str(r#","fields":["#);
                separated(&record.fields, out, |field, out| {
                    out.push_str(r#"{"name":"#);
                    push_quoted(&field.name, out);
                    out.push_str(r#","type":"#);
                    write(&field.schema, out, seen);
                    out.push('}');
                });
                out.push_str("]}");
            }
        }
    }
}

fn write_fixed(fixed: &FixedSchema, out: &mut String, seen: &mut HashSet<String>) {
    if defined(&fixed.name, "fixed", out, seen) {
        // Writing to a `String` cannot fail.
        let _ = write!(out, r#","size":{}}}"#, fixed.size);
    }
}

/// Opens the definition of a named type, or writes its name alone when it was defined before (then `false`).
fn defined(name: &Name, kind: &str, out: &mut String, seen: &mut HashSet<String>) -> bool {
    let name = name.fullname(None);
    if seen.contains(&name) {
        push_quoted(&name, out);
        return false;
    }
    out.push_str(r#"{"name":"#);
    push_quoted(&name, out);
    let _ = write!(out, r#","type":"{kind}""#);
    seen.insert(name);
    true
}

fn separated<T>(items: &[T], out: &mut String, mut each: impl FnMut(&T, &mut String)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(item, out);
    }
}

/// Avro's names and symbols are letters, digits, `_` and `.`: nothing to escape.
fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Schema {
        Schema::parse_str(text).unwrap()
    }

    #[test]
    fn fingerprints_are_those_of_the_avro_specification() {
        // From Avro's own share/test/data/schema-tests.txt.
        for (text, expected) in [
            (r#""null""#, 7_195_948_357_588_979_594_i64),
            (r#""boolean""#, -6_970_731_678_124_411_036),
            (r#""int""#, 8_247_732_601_305_521_295),
            (r#""long""#, -3_434_872_931_120_570_953),
            (r#"{"type":"string"}"#, -8_142_146_995_180_207_161),
            (r#"[ "int" , {"type":"boolean"} ]"#, 5_392_556_393_470_105_090),
            (r#"{"fields":[], "type":"record", "name":"foo", "namespace":"x.y"}"#, 5_916_914_534_497_305_771),
            (r#"{"fields":[], "type":"record", "name":"a.b.foo", "namespace":"x.y"}"#, -4_616_218_487_480_524_110),
            (
                r#"{"fields":[{"type":{"type":"boolean"}, "name":"f1"}], "type":"record", "name":"foo"}"#,
                7_843_277_075_252_814_651,
            ),
            (
                r#"{"namespace":"x.y.z", "type":"enum", "name":"foo", "doc":"foo bar", "symbols":["A1", "A2"]}"#,
                -4_448_647_247_586_288_245,
            ),
            (
                r#"{"namespace":"x.y.z", "type":"fixed", "name":"foo", "doc":"foo bar", "size":32}"#,
                -3_064_184_465_700_546_786,
            ),
            (r#"{ "items":{"type":"null"}, "type":"array"}"#, -589_620_603_366_471_059),
            (r#"{ "values":"string", "type":"map"}"#, -8_732_877_298_790_414_990),
            (
                r#"{"name":"PigValue","type":"record","fields":[{"name":"value", "type":["null", "int", "long", "PigValue"]}]}"#,
                -1_759_257_747_318_642_341,
            ),
        ] {
            assert_eq!(fingerprint(&parse(text)).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn logical_types_names_and_documentation_are_stripped_as_java_strips_them() {
        let schema = parse(
            r#"{"type":"record","name":"R","namespace":"a.b","doc":"x","event":"r","fields":[
                {"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2},"doc":"y"},
                {"name":"t","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
                {"name":"n","type":{"type":"record","name":"N","fields":[{"name":"next","type":["null","R"]}]}},
                {"name":"o","type":"N"}]}"#,
        );
        assert_eq!(
            form(&schema),
            concat!(
                r#"{"name":"a.b.R","type":"record","fields":[{"name":"m","type":"bytes"},"#,
                r#"{"name":"t","type":["null","long"]},"#,
                r#"{"name":"n","type":{"name":"a.b.N","type":"record","fields":[{"name":"next","type":["null","a.b.R"]}]}},"#,
                r#"{"name":"o","type":"a.b.N"}]}"#
            )
        );
    }
}
