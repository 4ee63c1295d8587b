//! Each row of the catalogue, from the example records, written by hand.

use std::time::Duration;

use super::{event, routes};
use crate::route::{Class, Routed};

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// Event name, rooms, class, key, keep, payload.
type Row = (&'static str, &'static [&'static str], Class, &'static str, Option<Duration>, &'static str);

fn check(kind: &str, data: &str, rows: &[Row]) -> Routed {
    let routed = routes().route(&event(kind, data)).unwrap().unwrap();
    assert_eq!(routed.emissions.len(), rows.len());
    for (ordinal, (emission, (name, rooms, class, key, keep, payload))) in routed.emissions.iter().zip(rows).enumerate()
    {
        assert_eq!(usize::from(emission.ordinal), ordinal);
        assert_eq!(&*emission.spec.event, *name);
        assert_eq!(emission.rooms.iter().map(super::super::Room::as_str).collect::<Vec<_>>(), *rooms);
        assert_eq!((emission.spec.class, &*emission.latest_key, emission.spec.keep), (*class, *key, *keep));
        assert_eq!(emission.spec.projection.as_str(), "copied", "{name}");
        assert_eq!(std::str::from_utf8(&emission.payload().unwrap()).unwrap(), *payload);
    }
    routed
}

fn facts(routed: &Routed) -> [Option<&str>; 4] {
    let facts = routed.order.as_ref();
    [
        facts.map(|facts| facts.order.as_str()),
        facts.and_then(|facts| facts.customer.as_ref()).map(crate::route::Id::as_str),
        facts.and_then(|facts| facts.merchant.as_ref()).map(crate::route::Id::as_str),
        facts.and_then(|facts| facts.partner.as_ref()).map(crate::route::Id::as_str),
    ]
}

#[test]
fn order_created_tells_the_merchant_and_the_admins() {
    let routed = check(
        "order.created",
        include_str!("../../../schemas/examples/order.created.json"),
        &[
            (
                "order.created",
                &["merchant:mer_1042"],
                Class::Every,
                "",
                Some(WEEK),
                r#"{"orderId":"ord_8f2c41d7","orderNumber":"RZ-20261123-0417","customer":{"name":"Priya","phone":"+919812345678"},"items":2,"total":1250.50,"type":"delivery","createdAt":"2026-11-23T09:30:00.000Z"}"#,
            ),
            ("notification.sound", &["merchant:mer_1042"], Class::Transient, "", None, r#"{"type":"new_order"}"#),
            (
                "dashboard.newOrder",
                &["admin:dashboard"],
                Class::Every,
                "",
                None,
                r#"{"orderId":"ord_8f2c41d7","orderNumber":"RZ-20261123-0417","amount":1250.50,"merchant":{"id":"mer_1042","name":"Café Añil"},"timestamp":"2026-11-23T09:30:00.000Z"}"#,
            ),
        ],
    );
    assert_eq!(facts(&routed), [Some("ord_8f2c41d7"), Some("usr_52190"), Some("mer_1042"), None]);
    let figure = routed.figure.unwrap();
    assert_eq!((figure.amount.to_string().as_str(), figure.created_at_ms), ("1250.50", 1_795_426_200_000));
}

#[test]
fn smallest_order_created_has_all_fields() {
    let data = include_str!("../../../schemas/examples/order.created.minimal.json");
    let routed = routes().route(&event("order.created", data)).unwrap().unwrap();
    let payload = routed.emissions[0].payload().unwrap();
    let expected = r#"{"orderId":"1","orderNumber":"1","customer":{"name":"","phone":""},"items":0,"total":0.00,"type":"pickup","createdAt":"1970-01-01T00:00:00.000Z"}"#;
    assert_eq!(std::str::from_utf8(&payload).unwrap(), expected);
}

#[test]
fn order_status_tells_the_merchant_less_than_the_customer() {
    let routed = check(
        "order.statusChanged",
        include_str!("../../../schemas/examples/order.statusChanged.json"),
        &[
            (
                "order.statusChanged",
                &["merchant:mer_1042"],
                Class::Every,
                "",
                Some(WEEK),
                r#"{"orderId":"ord_8f2c41d7","status":"out_for_delivery"}"#,
            ),
            (
                "order.statusChanged",
                &["user:usr_52190", "order:ord_8f2c41d7"],
                Class::Every,
                "",
                Some(WEEK),
                r#"{"orderId":"ord_8f2c41d7","orderNumber":"RZ-20261123-0417","status":"out_for_delivery","previousStatus":"ready","timestamp":"2026-11-23T09:52:14.318Z","metadata":{"estimatedDelivery":"2026-11-23T10:10:00.000Z","deliveryPartner":{"name":"Arjun","phone":"+919900112233"}}}"#,
            ),
        ],
    );
    assert_eq!(facts(&routed), [Some("ord_8f2c41d7"), Some("usr_52190"), Some("mer_1042"), Some("dlv_77")]);
    assert!(routed.figure.is_none());
}

#[test]
fn absent_optional_fields_are_left_out_and_never_null() {
    let absent = include_str!("../../../schemas/examples/order.statusChanged.minimal.json");
    let null = absent.replacen(
        '{',
        r#"{"previousStatus": null, "metadata": {"estimatedDelivery": null, "deliveryPartner": null},"#,
        1,
    );
    for data in [absent, &null] {
        let routed = routes().route(&event("order.statusChanged", data)).unwrap().unwrap();
        let payload = routed.emissions[1].payload().unwrap();
        let expected = r#"{"orderId":"ord_8f2c41d7","orderNumber":"RZ-20261123-0417","status":"placed","timestamp":"2026-11-23T09:30:00.000Z"}"#;
        assert_eq!(std::str::from_utf8(&payload).unwrap(), expected);
        assert_eq!(routed.order.unwrap().partner, None);
    }
}

#[test]
fn wallet_events_go_to_their_user_alone() {
    check(
        "wallet.balanceUpdated",
        include_str!("../../../schemas/examples/wallet.balanceUpdated.json"),
        &[(
            "wallet.balanceUpdated",
            &["user:usr_52190"],
            Class::Every,
            "",
            Some(WEEK),
            r#"{"balances":{"rezCoins":1250.50,"brandedCoins":300.00,"promoCoins":75.25,"total":1625.75},"change":{"amount":62.53,"type":"rez_coins","operation":"credit","reason":"purchase_cashback","orderId":"ord_8f2c41d7"},"timestamp":"2026-11-23T10:14:09.002Z"}"#,
        )],
    );
    check(
        "wallet.balanceUpdated",
        include_str!("../../../schemas/examples/wallet.balanceUpdated.minimal.json"),
        &[(
            "wallet.balanceUpdated",
            &["user:usr_52190"],
            Class::Every,
            "",
            Some(WEEK),
            r#"{"balances":{"rezCoins":0.00,"brandedCoins":0.00,"promoCoins":0.01,"total":0.01},"change":{"amount":0.01,"type":"promo_coins","operation":"credit","reason":"promotion"},"timestamp":"2026-11-23T10:14:09.002Z"}"#,
        )],
    );
    let routed = check(
        "wallet.coinsExpiring",
        include_str!("../../../schemas/examples/wallet.coinsExpiring.json"),
        &[(
            "wallet.coinsExpiring",
            &["user:usr_52190"],
            Class::Every,
            "",
            Some(WEEK),
            r#"{"amount":75.25,"coinType":"promo_coins","expiresAt":"2026-11-30T18:29:59.999Z","daysRemaining":7}"#,
        )],
    );
    assert_eq!(facts(&routed), [None; 4]);
}

#[test]
fn location_is_the_state_of_its_order_and_hides_the_partners_id() {
    let routed = check(
        "delivery.locationUpdated",
        include_str!("../../../schemas/examples/delivery.locationUpdated.json"),
        &[(
            "delivery.locationUpdated",
            &["order:ord_8f2c41d7"],
            Class::Latest,
            "",
            Some(Duration::from_hours(6)),
            r#"{"orderId":"ord_8f2c41d7","location":{"latitude":12.971599,"longitude":77.594566},"deliveryPartner":{"name":"Arjun","phone":"+919900112233"},"estimatedArrival":"15 minutes","distanceRemaining":3.4,"timestamp":"2026-11-23T09:56:40.120Z"}"#,
        )],
    );
    assert_eq!(facts(&routed), [Some("ord_8f2c41d7"), None, None, Some("dlv_77")]);
}

#[test]
fn arrival_goes_to_the_customer() {
    let routed = check(
        "delivery.arrived",
        include_str!("../../../schemas/examples/delivery.arrived.json"),
        &[(
            "delivery.arrived",
            &["user:usr_52190"],
            Class::Every,
            "",
            Some(WEEK),
            r#"{"orderId":"ord_8f2c41d7","orderNumber":"RZ-20261123-0417","deliveryPartner":{"name":"Arjun","phone":"+919900112233"},"message":"Arjun is at your door with order RZ-20261123-0417","timestamp":"2026-11-23T10:09:31.774Z"}"#,
        )],
    );
    assert_eq!(facts(&routed), [Some("ord_8f2c41d7"), Some("usr_52190"), None, Some("dlv_77")]);
}

#[test]
fn a_sale_goes_to_everyone_and_its_stock_to_its_room() {
    check(
        "promotion.flashSaleStarted",
        include_str!("../../../schemas/examples/promotion.flashSaleStarted.json"),
        &[(
            "promotion.flashSaleStarted",
            &["everyone"],
            Class::Every,
            "",
            None,
            r#"{"id":"flash_sale_123","title":"Festival flash sale","description":"“Two hours only”: 40 % off all sweets 🍬","discount":40.0,"category":"sweets","endsAt":"2026-11-23T12:00:00.000Z","imageUrl":"https://img.example.com/sales/flash_sale_123.webp"}"#,
        )],
    );
    check(
        "promotion.flashSaleStarted",
        include_str!("../../../schemas/examples/promotion.flashSaleStarted.minimal.json"),
        &[(
            "promotion.flashSaleStarted",
            &["everyone"],
            Class::Every,
            "",
            None,
            r#"{"id":"flash_sale_124","title":"Late sale","description":"","discount":12.5,"category":"drinks","endsAt":"2026-11-23T23:59:59.999Z"}"#,
        )],
    );
    check(
        "promotion.stockUpdate",
        include_str!("../../../schemas/examples/promotion.stockUpdate.json"),
        &[(
            "promotion.stockUpdate",
            &["flash_sale:123"],
            Class::Latest,
            "prd_kaju_katli",
            Some(DAY),
            r#"{"productId":"prd_kaju_katli","stockRemaining":37,"totalStock":120,"percentageRemaining":30.83}"#,
        )],
    );
}

#[test]
fn merchants_learn_the_first_name_only() {
    let data = include_str!("../../../schemas/examples/order.created.json");
    for (full, first) in [
        ("Anna Maria Bell", "Anna"),
        ("  Anna\\tBell", "Anna"),
        ("Anna\\u00a0Bell", "Anna"),
        ("Zo\\u00eb \\\"Z\\\"", "Zoë"),
    ] {
        let data = data.replace("Priya", full);
        let routed = routes().route(&event("order.created", data)).unwrap().unwrap();
        let payload = String::from_utf8(routed.emissions[0].payload().unwrap().to_vec()).unwrap();
        assert!(payload.contains(&format!(r#""customer":{{"name":"{first}","phone""#)), "{payload}");
    }
}

#[test]
fn every_example_has_a_route_and_every_route_an_example() {
    let table = routes();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples");
    let mut seen = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind = name.split('.').take(2).collect::<Vec<_>>().join(".");
        let routed = table.route(&event(&kind, std::fs::read(&path).unwrap())).unwrap();
        assert!(routed.is_some_and(|routed| routed.left_out.is_empty() && !routed.emissions.is_empty()), "{name}");
        seen.insert(kind);
    }
    assert_eq!(seen, table.types().map(ToString::to_string).collect());
}
