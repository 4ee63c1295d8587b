//! Each reason for a refusal, and what is told of it.

use super::super::schema::BUILTIN;
use super::super::{SchemaId, Schemas};
use super::*;

fn why(kind: &str, json: &str) -> (&'static str, String) {
    let refusal = refusal(typed(kind, json));
    assert!(Refusal::LABELS.contains(&refusal.as_str()));
    (refusal.as_str(), refusal.to_string())
}

#[test]
fn no_value_no_bytes_and_too_many_are_told_apart() {
    let decoder = decoder();
    assert_eq!(refusal(decoder.decode(&record(None, &[]))), Refusal::Tombstone);
    assert_eq!(refusal(decoder.decode(&record(Some(b""), &[]))), Refusal::Empty);
    let large = vec![b' '; 1_048_577];
    let limit = Refusal::Oversize { bytes: 1_048_577, limit: 1_048_576 };
    assert_eq!(refusal(decoder.decode(&record(Some(&large), &[]))), limit);
}

#[test]
fn bytes_that_are_no_json_object_are_refused_with_their_place() {
    for (bytes, at) in [
        (&b"hello"[..], 0),
        (b"[1]", 0),
        (b"\"x\"", 0),
        (b" {", 2),
        (b"{\"a\"", 4),
        (b"{\"a\":}", 5),
        (b"{\"a\":1,}", 7),
        (b"{\"a\":01}", 6),
        (b"{\"a\":1.}", 7),
        (b"{\"a\":+1}", 5),
        (b"{\"a\":\"\n\"}", 6),
        (b"{\"a\":nul}", 5),
        (b"{} {}", 3),
        (b"{\"a\":\"\\ud800\"}", 12),
        (b"{\"a\":\"\\x\"}", 7),
    ] {
        let Refusal::BadJson { at: found, .. } = refusal(decode(bytes, &[("type", "x.y")])) else {
            panic!("{bytes:?}")
        };
        assert_eq!(found, at, "{}", String::from_utf8_lossy(bytes));
    }
    let refused = refusal(decode(b"{\"a\":\"\xff\"}", &[("type", "x.y")]));
    assert_eq!(refused, Refusal::BadUtf8 { at: 6 });
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127));
    assert_eq!(why("x.y", &deep).0, "bad_json");
    let fine = format!("{{\"a\":{}1{}}}", "[".repeat(126), "]".repeat(126));
    assert!(typed("x.y", &fine).is_ok());
    assert!(
        serde_json::from_str::<serde_json::Value>(&fine).is_ok()
            && serde_json::from_str::<serde_json::Value>(&deep).is_err()
    );
}

#[test]
fn a_value_of_another_type_is_refused_with_its_path() {
    let order = EXAMPLES[0].1;
    for (from, to, path) in [
        (r#""orderId": "ord_8f2c41d7""#, r#""orderId": 7"#, "orderId"),
        (r#""orderId": "ord_8f2c41d7","#, "", "orderId"),
        (r#""orderId": "ord_8f2c41d7""#, r#""orderId": null"#, "orderId"),
        ("1250.50", r#""1250.50""#, "total"),
        ("1250.50", "1250.505", "total"),
        ("1250.50", "1.2505e3", "total"),
        ("1250.50", "12505012505012505.50", "total"),
        ("449.75", "true", "items[0].price"),
        (r#""quantity": 3"#, r#""quantity": 3.0"#, "items[1].quantity"),
        (r#""quantity": 3"#, r#""quantity": 3000000000"#, "items[1].quantity"),
        (r#", "phone": "+919812345678""#, "", "customer.phone"),
        ("2026-11-23T09:30:00.000Z", "yesterday", "createdAt"),
        ("2026-11-23T09:30:00.000Z", "2026-02-30T09:30:00.000Z", "createdAt"),
        (r#""type": "delivery""#, r#""type": ["delivery"]"#, "type"),
    ] {
        assert!(order.contains(from), "{from}");
        let (label, message) = why("order.created", &order.replacen(from, to, 1));
        assert_eq!(label, "wrong_type", "{to}: {message}");
        assert!(message.starts_with(&format!("{path}: expected ")), "{to}: {message}");
    }
    let (label, message) = why("promotion.stockUpdate", &EXAMPLES[11].1.replace("30.83", "1e999"));
    assert_eq!((label, &*message), ("wrong_type", "percentageRemaining: expected a number"));
    // What is no JSON is not a wrong type.
    assert_eq!(why("order.created", &order.replace("1250.50", "1250,50")).0, "bad_json");
    assert_eq!(why("order.created", &order.replace(r#""delivery""#, "[")).0, "bad_json");
}

#[test]
fn what_clients_and_producers_may_do_is_not_refused() {
    let order = EXAMPLES[0].1;
    for (from, to) in [
        ("1250.50", "1250.5"),
        ("1250.50", "1250"),
        ("1250.50", "-0.01"),
        (r#""type": "delivery""#, r#""type": "by_drone""#),
        (r#""type": "delivery""#, r#""type": "delivery", "extra": {"a": [null, 1e999]}"#),
        (r#""orderId""#, r#""\u006frderId""#),
        ("2026-11-23T09:30:00.000Z", "2026-11-23T15:00:00+05:30"),
        (r#""items": ["#, r#""items":["#),
    ] {
        let json = order.replacen(from, to, 1);
        assert_ne!(json, order);
        assert_eq!(data(&typed("order.created", &json).unwrap()), json.trim());
    }
    let status = EXAMPLES[3].1.replace(r#""status""#, r#""metadata": null, "previousStatus": null, "status""#);
    assert!(typed("order.statusChanged", &status).is_ok());
    assert_eq!(&*typed("order.vanished", "{}").unwrap().kind, "order.vanished");
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    for (json, path) in [
        (EXAMPLES[0].1.replacen('{', r#"{"orderId": "x","#, 1), "orderId"),
        (EXAMPLES[0].1.replacen('{', r#"{"\u006frderId": "x","#, 1), "orderId"),
        (EXAMPLES[0].1.replacen(r#""name": "Priya""#, r#""name": "Priya", "name": "x""#, 1), "customer.name"),
        (EXAMPLES[0].1.replacen('{', r#"{"x": 1, "x": 1,"#, 1), "the data"),
        (EXAMPLES[0].1.replacen('{', r#"{"x": [{"y": 1, "\u0079": 1}],"#, 1), "*[0]"),
    ] {
        let (label, message) = why("order.created", &json);
        assert_eq!(label, "duplicate_key", "{message}");
        assert!(message.starts_with(&format!("duplicate key in {path}, ")), "{message}");
    }
    assert_eq!(why("x.y", r#"{"a":{"b":1,"b":2}}"#).0, "duplicate_key");
}

#[test]
fn a_record_that_names_no_event_is_refused() {
    for json in
        [EXAMPLES[0].1, r#"{"data":{}}"#, r#"{"type":"a.b"}"#, r#"{"type":7,"data":{}}"#, r#"{"type":"a","data":[]}"#]
    {
        assert_eq!(refusal(decode(json.as_bytes(), &[])), Refusal::NoType, "{json}");
    }
    let long = "x".repeat(129);
    for kind in ["a b", "é", "a\n", &long] {
        assert_eq!(refusal(decode(b"{}", &[("type", kind)])), Refusal::BadType, "{kind}");
    }
    assert_eq!(refusal(decode(br#"{"type":"a b","data":{}}"#, &[])), Refusal::BadType);
}

#[test]
fn avro_that_nobody_can_read_is_refused() {
    let fingerprint = 0x0123_4567_89ab_cdef_u64;
    let single = [&[0xc3, 0x01][..], &fingerprint.to_le_bytes(), &[0]].concat();
    let unknown = refusal(decode(&single, &[]));
    assert_eq!(unknown, Refusal::UnknownSchema { fingerprint });
    assert!(unknown.to_string().contains("0123456789abcdef"));
    let offline = Decoder::new(&config::Codec::default(), schemas()).unwrap();
    let no_registry = Refusal::NoRegistry { schema: SchemaId::new(258) };
    assert_eq!(refusal(offline.decode(&record(Some(&[0, 0, 0, 1, 2, 0]), &[]))), no_registry);
    for cut in [&[0_u8][..], &[0, 1, 2, 3], &[0xc3, 0x01], &[0xc3, 0x01, 1, 2, 3, 4, 5, 6, 7]] {
        assert_eq!(refusal(decode(cut, &[])).as_str(), "bad_avro");
    }
}

#[test]
fn a_fingerprint_by_apache_avros_own_form_is_known_too() {
    let schema = apache_avro::Schema::parse_str(BUILTIN[0].1).unwrap();
    let theirs = schema.fingerprint::<apache_avro::rabin::Rabin>().bytes;
    let ours = super::super::encode::avro_single_object(&schemas(), "order.created", EXAMPLES[0].1).unwrap();
    let record = [&[0xc3, 0x01][..], &theirs, &ours[10..]].concat();
    assert_ne!(record, ours);
    assert_eq!(data(&decode(&record, &[]).unwrap()), compact(EXAMPLES[0].1));
}

#[test]
fn nothing_of_the_data_is_told() {
    let secret = "hunter2hunter2";
    for json in [
        format!(r#"{{"{secret}":1,"{secret}":2}}"#),
        format!(r#"{{"{secret}":{{"{secret}":}}}}"#),
        EXAMPLES[0].1.replace("1250.50", &format!("{{\"{secret}\":1}}")),
        EXAMPLES[0].1.replace("2026-11-23T09:30:00.000Z", secret),
    ] {
        let refusal = refusal(typed("order.created", &json));
        assert!(!format!("{refusal} {refusal:?}").contains(secret), "{refusal:?}");
    }
}

#[test]
fn schemas_of_a_folder_decide_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.avsc"), BUILTIN[7].1).unwrap();
    let config = config::Codec { schemas: Some(folder.path().into()), ..Default::default() };
    let decoder = Decoder::new(&config, Arc::new(Schemas::from_config(&config).unwrap())).unwrap();
    assert!(decoder.decode(&record(Some(b"{}"), &[("type", "order.created")])).is_ok(), "not known, so not checked");
    assert!(decoder.decode(&record(Some(b"{}"), &[("type", "promotion.stockUpdate")])).is_err());
}
