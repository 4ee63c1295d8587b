//! What names an event: `CloudEvents` in both modes, the `type` header, Avro's record, an envelope.

use super::super::encode::avro_single_object;
use super::*;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=UTF-8");

#[test]
fn binary_mode_names_type_id_and_trace_in_headers() {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_type", "promotion.stockUpdate"),
        ("ce_id", "evt-1"),
        ("ce_time", "2026-11-23T09:30:00Z"),
        ("content-type", "application/json"),
        ("traceparent", TRACE),
    ];
    let event = decode(EXAMPLES[11].1.as_bytes(), &headers).unwrap();
    assert_eq!((&*event.kind, event.id.as_deref()), ("promotion.stockUpdate", Some("evt-1")));
    assert_eq!((event.traceparent.as_deref(), data(&event)), (Some(TRACE), EXAMPLES[11].1.trim()));
}

#[test]
fn cloud_events_win_over_a_type_header_and_both_over_avros_name() {
    let avro = avro_single_object(&schemas(), "promotion.stockUpdate", EXAMPLES[11].1).unwrap();
    let kind = |headers: &[(&str, &str)]| decode(&avro, headers).unwrap().kind.to_string();
    assert_eq!(kind(&[]), "promotion.stockUpdate");
    assert_eq!(kind(&[("type", "stock.b")]), "stock.b");
    assert_eq!(kind(&[("ce_type", "stock.a"), ("type", "stock.b")]), "stock.a");
    assert_eq!(
        kind(&[("ce_type", ""), ("type", "stock.b"), ("type", "stock.c")]),
        "stock.c",
        "the last one, if not empty"
    );
}

#[test]
fn avro_under_another_events_name_is_checked_against_that_event() {
    let avro = avro_single_object(&schemas(), "promotion.stockUpdate", EXAMPLES[11].1).unwrap();
    let refusal = refusal(decode(&avro, &[("type", "order.created")]));
    assert_eq!(refusal.to_string(), "orderId: expected a value: the field is missing");
}

#[test]
fn structured_mode_has_everything_in_the_json() {
    let json = format!(
        r#"{{"specversion":"1.0","id":"e\u002d1","source":"/s","traceparent":"{TRACE}","data":{},"type":"promotion.stockUpdate"}}"#,
        EXAMPLES[11].1
    );
    let event = decode(json.as_bytes(), &[STRUCTURED, ("type", "other")]).unwrap();
    assert_eq!((&*event.kind, event.id.as_deref()), ("promotion.stockUpdate", Some("e-1")));
    assert_eq!((event.traceparent.as_deref(), data(&event)), (Some(TRACE), EXAMPLES[11].1.trim()));
    // A header of the record is nearer to the last hop than what stands in the event.
    let other = TRACE.replace("4bf9", "0000");
    let event = decode(json.as_bytes(), &[STRUCTURED, ("traceparent", &other)]).unwrap();
    assert_eq!(event.traceparent.as_deref(), Some(&*other));
}

#[test]
fn structured_mode_may_carry_avro_in_base64() {
    use base64::Engine as _;
    let avro = avro_single_object(&schemas(), "promotion.stockUpdate", EXAMPLES[11].1).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(avro);
    let json = format!(r#"{{"type":"promotion.stockUpdate","id":"1","data_base64":"{encoded}"}}"#);
    assert_eq!(data(&decode(json.as_bytes(), &[STRUCTURED]).unwrap()), compact(EXAMPLES[11].1));
}

#[test]
fn structured_mode_is_refused_where_it_is_incomplete() {
    for (json, label) in [
        (r#"{"id":"1","data":{}}"#, "no_type"),
        (r#"{"type":"a.b"}"#, "wrong_type"),
        (r#"{"type":"a.b","data":"x"}"#, "wrong_type"),
        (r#"{"type":"a.b","data":{},"data_base64":"e30="}"#, "wrong_type"),
        (r#"{"type":"a.b","data_base64":"?"}"#, "wrong_type"),
        (r#"{"type":"a.b","type":"a.c","data":{}}"#, "duplicate_key"),
        (r#"{"type":"order.created","data":{}}"#, "wrong_type"),
        (r#"{"type":"a.b","data":{}"#, "bad_json"),
        ("[]", "bad_json"),
    ] {
        assert_eq!(refusal(decode(json.as_bytes(), &[STRUCTURED])).as_str(), label, "{json}");
    }
    for content_type in ["application/cloudevents-batch+json", "application/cloudevents+avro"] {
        assert_eq!(refusal(decode(b"[]", &[("content-type", content_type)])).as_str(), "unsupported");
    }
}

#[test]
fn an_envelope_names_its_event_when_nothing_else_does() {
    let json = format!(r#"{{"type":"order.created","id":"7","data": {} }}"#, EXAMPLES[0].1);
    let event = decode(json.as_bytes(), &[]).unwrap();
    assert_eq!((&*event.kind, event.id.as_deref(), data(&event)), ("order.created", Some("7"), EXAMPLES[0].1.trim()));
    // With a type header the value is the data itself, whatever it looks like.
    assert_eq!(data(&decode(json.as_bytes(), &[("type", "x.y")]).unwrap()), json);
}

#[test]
fn ids_and_traces_that_are_none_are_left_out() {
    let long = "x".repeat(257);
    let event = decode(b"{}", &[("ce_type", "a.b"), ("ce_id", &long), ("traceparent", "00-zz")]).unwrap();
    assert_eq!((event.id, event.traceparent), (None, None));
    let event = decode(b"{}", &[("ce_type", "a.b"), ("traceparent", "x"), ("ce_traceparent", TRACE)]).unwrap();
    assert_eq!(event.traceparent.as_deref(), Some(TRACE));
}
