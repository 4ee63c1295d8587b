//! JSON → Avro → JSON, exactly.

use proptest::prelude::*;

use super::super::encode::{EncodeError, avro_confluent, avro_single_object};
use super::super::schema::BUILTIN;
use super::super::{DecodeError, SchemaId};
use super::*;

#[test]
fn examples_come_back_exactly_from_both_avro_forms() {
    let (decoder, schemas) = (decoder(), schemas());
    for (index, (_, avsc)) in BUILTIN.iter().enumerate() {
        decoder.know(SchemaId::new(u32::try_from(index).unwrap()), avsc);
    }
    for (kind, json) in EXAMPLES {
        let single = avro_single_object(&schemas, kind, json).unwrap();
        let event = decoder.decode(&record(Some(&single), &[])).unwrap();
        assert_eq!((&*event.kind, data(&event)), (kind, &*compact(json)));

        let id = BUILTIN.iter().position(|(name, _)| name.strip_suffix(".avsc") == Some(kind)).unwrap();
        let confluent = avro_confluent(&schemas, SchemaId::new(u32::try_from(id).unwrap()), kind, json).unwrap();
        let event = decoder.decode(&record(Some(&confluent), &[])).unwrap();
        assert_eq!((&*event.kind, data(&event)), (kind, &*compact(json)));
    }
}

#[test]
fn a_json_record_keeps_its_bytes_untouched() {
    for (kind, json) in EXAMPLES {
        let event = typed(kind, &format!(" \r\n\t{json}\n\n")).unwrap();
        assert_eq!((&*event.kind, data(&event)), (kind, json.trim()));
    }
}

#[test]
fn what_we_encode_is_what_apache_avro_reads() {
    for (kind, json) in EXAMPLES {
        let schemas = schemas();
        let bytes = avro_single_object(&schemas, kind, json).unwrap();
        let schema = apache_avro::Schema::parse_str(schemas.event(kind).unwrap().avsc()).unwrap();
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
        let mut rest = &bytes[10..];
        let value = reader.read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(value.validate(&schema), "{kind}");
    }
}

#[test]
fn what_does_not_fit_is_not_encoded() {
    let schemas = schemas();
    let refused = |kind: &str, json: &str| avro_single_object(&schemas, kind, json).unwrap_err();
    assert!(matches!(refused("order.vanished", "{}"), EncodeError::UnknownEvent(_)));
    assert!(matches!(refused("order.created", "{}"), EncodeError::Refused(_)));
}

#[test]
fn an_optional_null_is_absent_after_avro() {
    let json =
        EXAMPLES[3].1.trim_end().trim_end_matches('}').to_owned() + r#", "previousStatus": null, "metadata": null}"#;
    let bytes = avro_single_object(&schemas(), "order.statusChanged", &json).unwrap();
    assert_eq!(data(&decode(&bytes, &[]).unwrap()), compact(EXAMPLES[3].1));
}

#[test]
fn a_schema_that_lacks_a_required_field_is_caught_in_each_record() {
    let older = BUILTIN[7].1.replace("stockRemaining", "left");
    let decoder = decoder();
    decoder.know(SchemaId::new(9), &older);
    let mut bytes = avro_confluent(&schemas(), SchemaId::new(9), "promotion.stockUpdate", EXAMPLES[11].1).unwrap();
    let refusal = refusal(decoder.decode(&record(Some(&bytes), &[])));
    assert_eq!((refusal.as_str(), refusal.to_string().contains("stockRemaining")), ("wrong_type", true));
    // The id of a schema that nobody has resolved.
    bytes[4] = 10;
    let outcome = decoder.decode(&record(Some(&bytes), &[]));
    assert_eq!(outcome.unwrap_err(), DecodeError::NotYet { schema: SchemaId::new(10) });
}

#[test]
fn a_schema_with_more_fields_than_the_event_is_fine() {
    let newer = BUILTIN[7].1.replace(
        r#"{ "name": "percentageRemaining""#,
        r#"{ "name": "shelf", "type": ["null", "string"] }, { "name": "percentageRemaining""#,
    );
    assert_ne!(newer, BUILTIN[7].1);
    let decoder = decoder();
    decoder.know(SchemaId::new(3), &newer);
    let bytes = avro_confluent(&schemas(), SchemaId::new(3), "promotion.stockUpdate", EXAMPLES[11].1).unwrap();
    // The new field stands before the last one, a double: branch 0, null.
    let at = bytes.len() - 8;
    let bytes = [&bytes[..at], &[0], &bytes[at..]].concat();
    assert_eq!(data(&decoder.decode(&record(Some(&bytes), &[])).unwrap()), compact(EXAMPLES[11].1));
}

proptest! {
    #[test]
    fn money_times_texts_and_numbers_survive_exactly(
        cents in -999_999_999_999_999_999_i64..=999_999_999_999_999_999,
        millis in -62_135_596_800_000_i64..=253_402_207_200_999,
        text in any::<String>(),
        days in any::<i32>(),
    ) {
        let sign = if cents < 0 { "-" } else { "" };
        let amount = format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
        let time = jiff::Timestamp::from_millisecond(millis).unwrap();
        let json = format!(
            r#"{{"userId":{},"amount":{amount},"coinType":"x","expiresAt":"{time:.3}","daysRemaining":{days}}}"#,
            serde_json::to_string(&text).unwrap()
        );
        let event = typed("wallet.coinsExpiring", &json).unwrap();
        prop_assert_eq!(data(&event), &json);
        let bytes = avro_single_object(&schemas(), "wallet.coinsExpiring", &json).unwrap();
        let event = decode(&bytes, &[]).unwrap();
        prop_assert_eq!(data(&event), &json);
    }

    #[test]
    fn doubles_survive_exactly(latitude in any::<f64>(), longitude in any::<f64>()) {
        prop_assume!(latitude.is_finite() && longitude.is_finite());
        let json = compact(EXAMPLES[7].1)
            .replace("12.971599", &serde_json::to_string(&latitude).unwrap())
            .replace("77.594566", &serde_json::to_string(&longitude).unwrap());
        let bytes = avro_single_object(&schemas(), "delivery.locationUpdated", &json).unwrap();
        let event = decode(&bytes, &[]).unwrap();
        prop_assert_eq!(data(&event), &json);
    }
}
