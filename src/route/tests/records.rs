//! What records can do to the table, and must not.

use proptest::prelude::*;

use super::{changed, event, routes, schemas};
use crate::route::{RouteError, Routes};

const STATUS: &str = include_str!("../../../schemas/examples/order.statusChanged.json");

fn status(from: &str, to: &str) -> Result<Vec<String>, RouteError> {
    assert!(STATUS.contains(from));
    let routed = routes().route(&event("order.statusChanged", STATUS.replacen(from, to, 1)))?.unwrap();
    Ok(routed.emissions.iter().flat_map(|emission| emission.rooms.iter().map(ToString::to_string)).collect())
}

#[test]
fn unknown_types_have_no_meaning() {
    assert!(routes().route(&event("order.deleted", "{}")).unwrap().is_none());
}

#[test]
fn ids_cannot_name_another_room() {
    for id in [
        "1:user:2",
        "*",
        "",
        "a b",
        "a\\u0000b",
        "usr_52190\\n",
        "é",
        "..\\/..",
        "{userId}",
        "a,b",
        "everyone:x",
        &"x".repeat(129),
        &"x".repeat(10_000),
    ] {
        let error = status("usr_52190", id).unwrap_err();
        assert_eq!(error.as_str(), "bad_id", "{id}: {error}");
        let error = status("dlv_77", id).unwrap_err();
        assert_eq!(error.as_str(), "bad_id", "the partner's too: {id}: {error}");
    }
    assert_eq!(status("usr_52190", "usr\\u005f52190").unwrap(), status("usr_52190", "usr_52190").unwrap());
}

#[test]
fn refusals_name_the_field_and_not_its_content() {
    let error = status("usr_52190", "secret:thing").unwrap_err().to_string();
    assert_eq!(error, "field `userId` holds no id: an id has only letters, digits, `_`, `.` and `-`, this one has ':'");
    let error = status(r#""userId": "usr_52190","#, "").unwrap_err();
    assert_eq!((error.as_str(), error.to_string().as_str()), ("missing_field", "field `userId` is missing"));
    let error = status(r#""usr_52190""#, "null").unwrap_err();
    assert_eq!(error.as_str(), "missing_field");
    let error = status(r#""usr_52190""#, "52190").unwrap_err();
    assert_eq!((error.as_str(), error.to_string().as_str()), ("wrong_type", "field `userId` is not a string"));
}

#[test]
fn objects_must_be_objects() {
    let data = STATUS.replacen(r#""metadata": {"#, r#""metadata": [], "x": {"#, 1);
    let error = routes().route(&event("order.statusChanged", data)).unwrap_err();
    assert_eq!((error.as_str(), error.to_string().as_str()), ("wrong_type", "`metadata` is not an object"));
}

#[test]
fn of_a_repeated_field_the_last_counts_for_rooms_and_payload_alike() {
    let data =
        STATUS.replacen('{', r#"{"metadata": {"deliveryPartner": {"id": "old", "name": "Old"}}, "userId": "old","#, 1);
    let data = data.replace(r#", "phone": "+919900112233""#, "").replace(r#""name": "Arjun""#, r#""phone": "+1""#);
    let routed = routes().route(&event("order.statusChanged", data)).unwrap().unwrap();
    assert_eq!(routed.emissions[1].rooms[0].as_str(), "user:usr_52190");
    assert_eq!(routed.order.unwrap().partner.unwrap().as_str(), "dlv_77");
    let payload = String::from_utf8(routed.emissions[1].payload().unwrap().to_vec()).unwrap();
    assert!(payload.ends_with(r#""deliveryPartner":{"phone":"+1"}}}"#), "{payload}");
}

#[test]
fn escaped_keys_are_the_same_keys() {
    let escaped = STATUS.replace("orderId", "order\\u0049d").replace("metadata", "meta\\u0064ata");
    let (plain, escaped) = (event("order.statusChanged", STATUS), event("order.statusChanged", escaped));
    let payload = |event| routes().route(event).unwrap().unwrap().emissions[1].payload().unwrap();
    assert_eq!(payload(&plain), payload(&escaped));
}

#[test]
fn an_absent_optional_field_leaves_out_only_its_emission() {
    let text = changed(
        r#"to = ["merchant:{merchantId}"]
payload = "{orderId, status}""#,
        r#"to = ["user:{metadata.deliveryPartner.id}"]
payload = "{orderId, status}""#,
    );
    let table = Routes::parse(&text, "test", &schemas()).unwrap();
    let minimal = include_str!("../../../schemas/examples/order.statusChanged.minimal.json");
    let routed = table.route(&event("order.statusChanged", minimal)).unwrap().unwrap();
    assert_eq!(routed.left_out.as_slice(), [0]);
    assert_eq!(routed.emissions.iter().map(|emission| emission.ordinal).collect::<Vec<_>>(), [1]);
    let routed = table.route(&event("order.statusChanged", STATUS)).unwrap().unwrap();
    assert_eq!(routed.emissions[0].rooms[0].as_str(), "user:dlv_77");
}

#[test]
fn figures_are_exact_and_refused_when_they_are_none() {
    let data = include_str!("../../../schemas/examples/order.created.json");
    let amount = |text: &str| {
        let routed = routes().route(&event("order.created", data.replace("1250.50", text)))?;
        Ok::<_, RouteError>(routed.unwrap().figure.unwrap().amount.to_string())
    };
    assert_eq!(amount("9999999999999999.99").unwrap(), "9999999999999999.99");
    assert_eq!(amount("1.5e2").unwrap(), "150");
    for wrong in [r#""1250.50""#, "true", "[]", "1e400"] {
        assert_eq!(amount(wrong).unwrap_err().as_str(), "wrong_type", "{wrong}");
    }
    assert_eq!(amount("null").unwrap_err().as_str(), "missing_field");
}

#[test]
fn explanations_hold_the_payloads_own_digits() {
    let data = include_str!("../../../schemas/examples/order.created.json");
    let explained = crate::route::explain::explain(routes(), &event("order.created", data));
    let json = serde_json::to_string(&explained).unwrap();
    assert!(json.contains(r#""total":1250.50"#), "{json}");
    assert!(json.contains(r#""rooms":["merchant:mer_1042"]"#), "{json}");
    let text = explained.to_string();
    assert!(text.contains("0 order.created -> merchant:mer_1042") && text.contains("keep 7days"), "{text}");
    let refused = crate::route::explain::explain(routes(), &event("order.created", "{}"));
    assert_eq!((refused.outcome, refused.emissions.len()), ("missing_field", 0));
    assert_eq!(crate::route::explain::explain(routes(), &event("x", "{}")).outcome, "unknown_type");
}

proptest! {
    #[test]
    fn no_data_makes_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in routes().types() {
            let _ = routes().route(&event(kind, data.clone()));
        }
    }

    #[test]
    fn no_damaged_record_makes_it_panic(at in 0..STATUS.len(), byte: u8, cut in 0..STATUS.len()) {
        let mut data = STATUS.as_bytes().to_vec();
        data[at] = byte;
        data.truncate(cut.max(at + 1));
        if let Ok(Some(routed)) = routes().route(&event("order.statusChanged", data)) {
            for emission in &routed.emissions {
                let _ = emission.payload();
            }
        }
    }

    #[test]
    fn only_ids_become_rooms(id in ".{0,140}") {
        let json = serde_json::to_string(&id).unwrap();
        let rooms = status(r#""usr_52190""#, &json);
        prop_assert_eq!(rooms.is_ok(), crate::route::Id::parse(&id).is_ok());
        if let Ok(rooms) = rooms {
            prop_assert_eq!(&rooms[1], &format!("user:{id}"));
        }
    }
}
