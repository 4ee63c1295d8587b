//! Route files: all mistakes at once, each with its place.

use proptest::prelude::*;

use super::{BUILTIN, changed, schemas};
use crate::route::Routes;
use crate::route::explain::check_report;

fn errors(text: &str) -> Vec<String> {
    Routes::parse(text, "r.toml", &schemas()).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"colour = 1
[[route]]
type = "order.statusChanged"
extra = true
[[route.emit]]
to = ["user:{nobody}", "nowhere:{userId}", "user:{userId", "order:{timestamp}", "admin:dash board", 7]
class = "sometimes"
[[route.emit]]
to = ["user:{userId}"]
payload = """
{
  orderId,
  nope
}"""
keep = "soon"
class = "transient"
key = "orderId"
[[route.emit]]
event = "disconnect"
payload = "{a: (}"
[[route]]
type = "order.deleted"
[[route]]
type = "order.statusChanged"
emit = []
[[order_access]]
type = "delivery.arrived"
order = "orderNumber.x"
partner = "deliveryPartner"
[figures]
type = "order.created"
amount = "orderId"
"#;
    let expected = [
        "r.toml:1:1: unknown key `colour`; known here: route, order_access, figures",
        "r.toml:4:1: route `order.statusChanged`: unknown key `extra`; known here: type, emit",
        "r.toml:6:14: route `order.statusChanged`, emit 1: order.statusChanged has no field `nobody`",
        "r.toml:6:25: route `order.statusChanged`, emit 1: `nowhere:{userId}` is no room: a room is `everyone` or `user:`, `merchant:`, `order:`, `flash_sale:` or `admin:` and an id",
        "r.toml:6:50: route `order.statusChanged`, emit 1: `{` without `}`",
        "r.toml:6:68: route `order.statusChanged`, emit 1: `timestamp` is no text, and cannot be an id",
        "r.toml:6:82: route `order.statusChanged`, emit 1: `admin:dash board` is no room: an id has only letters, digits, `_`, `.` and `-`, this one has ' '",
        "r.toml:6:101: route `order.statusChanged`, emit 1: expected a room, found integer",
        "r.toml:7:9: route `order.statusChanged`, emit 1: unknown class `sometimes`: it is every, latest or transient",
        "r.toml:13:3: route `order.statusChanged`, emit 2: payload: order.statusChanged has no field `nope`",
        "r.toml:15:8: route `order.statusChanged`, emit 2: `keep` is no time such as \"7d\" or \"90m\": expected number at 0",
        "r.toml:17:7: route `order.statusChanged`, emit 2: `key` tells states apart: it needs class = \"latest\"",
        "r.toml:18:1: route `order.statusChanged`, emit 3: `to` is missing: the rooms that it goes to",
        "r.toml:21:1: route `order.deleted`: has no [[route.emit]]: its records would go nowhere",
        "r.toml:22:8: route `order.deleted`: there is no schema for `order.deleted` to check it against",
        "r.toml:24:8: route `order.statusChanged`: `order.statusChanged` has a route already: add this one's emits to it",
        "r.toml:28:9: order_access 1 (`delivery.arrived`): delivery.arrived has no field `orderNumber.x`",
        "r.toml:29:11: order_access 1 (`delivery.arrived`): `deliveryPartner` is no text, and cannot be an id",
        "r.toml:30:1: figures (`order.created`): `time` is missing",
        "r.toml:32:10: figures (`order.created`): `orderId` must be a number that is always there",
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn broken_toml_is_told_with_its_place() {
    let errors = errors("[[route]]\ntype = \"x\ny = 1\n");
    assert!(errors[0].starts_with("r.toml:2:"), "{errors:?}");
}

#[test]
fn reserved_names_and_useless_settings_are_refused() {
    for (from, to, message) in [
        (r#"event = "notification.sound""#, r#"event = "connect""#, "clients know `connect` as something else"),
        (r#"event = "notification.sound""#, r#"event = "sync:ready""#, "clients know `sync:ready` as something else"),
        (r#"event = "notification.sound""#, r#"event = """#, "an event's name has 1 to 128 bytes"),
        (r#"class = "transient""#, "class = \"transient\"\nkeep = \"1d\"", "a transient emission is never kept"),
        (r#"keep = "7d""#, r#"keep = "0s""#, "is no time at all"),
        (r#"to = ["everyone"]"#, r#"to = ["everyone", "everyone"]"#, "`everyone` stands here twice"),
        (r#"to = ["everyone"]"#, "to = []", "`to` names no room"),
        (r#"to = ["everyone"]"#, r#"to = ["{id}"]"#, "`{id}` is no room"),
        (r#"to = ["everyone"]"#, r#"to = ["{category}:{id}"]"#, "is no room"),
        (r#"key = "productId""#, r#"key = "totalStock""#, "`totalStock` is no text"),
        (r#"time = "createdAt""#, r#"time = "orderId""#, "must be a time"),
    ] {
        let errors = errors(&changed(from, to));
        assert!(errors.len() == 1 && errors[0].contains(message), "{to}: {errors:?}");
    }
}

#[test]
fn the_report_shows_how_each_payload_is_made() {
    let text = changed(r#"payload = '{type: "new_order"}'"#, "payload = '{t: (.type | ascii_upcase)}'");
    let text = text.replacen("payload = \"{orderId, status}\"\n", "", 1);
    let report = check_report(&Routes::parse(&text, "r.toml", &schemas()).unwrap());
    for line in [
        "r.toml: 8 event types",
        "  0 order.created -> merchant:{merchantId}: every, keep 7days, payload copied",
        "  1 notification.sound -> merchant:{merchantId}: transient, payload jq",
        "  0 order.statusChanged -> merchant:{merchantId}: every, keep 7days, payload untouched",
        "  0 promotion.stockUpdate -> flash_sale:{saleId}: latest per productId, keep 1day, payload copied",
        "  order access by orderId, userId, merchantId, metadata.deliveryPartner.id",
        "  dashboard figures from total, createdAt",
    ] {
        assert!(report.lines().any(|found| found == line), "{line} is not in\n{report}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Routes::parse(&text, "r.toml", &schemas());
    }

    #[test]
    fn no_damaged_file_makes_it_panic(at in 0..BUILTIN.len(), len in 0..40_usize, put in "[\\[\\]{}\"'.=a-z0-9\\n é]{0,6}") {
        let mut bytes = BUILTIN.as_bytes().to_vec();
        bytes.splice(at..(at + len).min(BUILTIN.len()), put.bytes());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(errors) = Routes::parse(&text, "r.toml", &schemas()) {
            prop_assert!(errors.problems().iter().all(|problem| problem.line > 0));
        }
    }
}
