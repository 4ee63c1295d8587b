//! The event catalogue once more, written by hand from its text: which rooms hear what of a record. It shares no line
//! with the routing that it is to judge: no room type, no projection, no route file.

use std::collections::BTreeMap;

use super::json::Json;

/// How an event is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each one, in order.
    Every,
    /// Only the newest per room and key matters.
    Latest,
    /// Each one while connected, in any order.
    Transient,
}

/// One event that a record means for some rooms.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The event's name.
    pub event: &'static str,
    /// The rooms; a client in any of them hears it once.
    pub rooms: Vec<String>,
    /// How it is delivered.
    pub kind: Kind,
    /// For [`Kind::Latest`]: what distinguishes states within a room.
    pub key: String,
    /// Exactly what the client gets.
    pub payload: Json,
}

/// Every event name of the catalogue that comes from records.
pub const EVENTS: [&str; 10] = [
    "order.created",
    "order.statusChanged",
    "notification.sound",
    "dashboard.newOrder",
    "wallet.balanceUpdated",
    "wallet.coinsExpiring",
    "delivery.locationUpdated",
    "delivery.arrived",
    "promotion.flashSaleStarted",
    "promotion.stockUpdate",
];

/// What a record of that type means, the narrower audience first. Empty for a type that the catalogue does not have.
#[must_use]
pub fn sent(kind: &str, data: &Json) -> Vec<Sent> {
    let id = |name: &str| data.get(name).and_then(Json::as_str).unwrap_or_default();
    let room = |kind: &str, name: &str| format!("{kind}:{}", id(name));
    let every = |event, rooms, payload| Sent { event, rooms, kind: Kind::Every, key: String::new(), payload };
    match kind {
        "order.created" => {
            let merchant = vec![room("merchant", "merchantId")];
            let sound = Json::Object([("type".to_owned(), Json::Text("new_order".into()))].into());
            vec![
                every("order.created", merchant.clone(), new_order(data)),
                Sent { kind: Kind::Transient, ..every("notification.sound", merchant, sound) },
                every("dashboard.newOrder", vec!["admin:dashboard".to_owned()], dashboard_order(data)),
            ]
        }
        "order.statusChanged" => vec![
            every("order.statusChanged", vec![room("merchant", "merchantId")], data.pick(&["orderId", "status"])),
            every("order.statusChanged", vec![room("user", "userId"), room("order", "orderId")], status(data)),
        ],
        "wallet.balanceUpdated" => {
            let balances =
                data.get("balances").map(|all| all.pick(&["rezCoins", "brandedCoins", "promoCoins", "total"]));
            let change = data.get("change").map(|all| all.pick(&["amount", "type", "operation", "reason", "orderId"]));
            let payload = data.pick(&["timestamp"]).with("balances", balances).with("change", change);
            vec![every("wallet.balanceUpdated", vec![room("user", "userId")], payload)]
        }
        "wallet.coinsExpiring" => {
            let payload = data.pick(&["amount", "coinType", "expiresAt", "daysRemaining"]);
            vec![every("wallet.coinsExpiring", vec![room("user", "userId")], payload)]
        }
        "delivery.locationUpdated" => {
            let location = data.get("location").map(|all| all.pick(&["latitude", "longitude"]));
            let payload = data
                .pick(&["orderId", "estimatedArrival", "distanceRemaining", "timestamp"])
                .with("location", location)
                .with("deliveryPartner", partner(data));
            let sent = every("delivery.locationUpdated", vec![room("order", "orderId")], payload);
            vec![Sent { kind: Kind::Latest, ..sent }]
        }
        "delivery.arrived" => {
            let payload = data.pick(&["orderId", "orderNumber", "message", "timestamp"]);
            vec![every(
                "delivery.arrived",
                vec![room("user", "userId")],
                payload.with("deliveryPartner", partner(data)),
            )]
        }
        "promotion.flashSaleStarted" => {
            let payload = data.pick(&["id", "title", "description", "discount", "category", "endsAt", "imageUrl"]);
            vec![every("promotion.flashSaleStarted", vec!["everyone".to_owned()], payload)]
        }
        "promotion.stockUpdate" => {
            let payload = data.pick(&["productId", "stockRemaining", "totalStock", "percentageRemaining"]);
            let sent = every("promotion.stockUpdate", vec![sale_room(id("saleId"))], payload);
            vec![Sent { kind: Kind::Latest, key: id("productId").to_owned(), ..sent }]
        }
        _ => Vec::new(),
    }
}

/// A sale with id `flash_sale_123` has the room `flash_sale:123`.
#[must_use]
pub fn sale_room(sale: &str) -> String {
    format!("flash_sale:{}", sale.strip_prefix("flash_sale_").unwrap_or(sale))
}

fn partner(data: &Json) -> Option<Json> {
    data.get("deliveryPartner").map(|partner| partner.pick(&["name", "phone"]))
}

fn status(data: &Json) -> Json {
    let metadata =
        data.get("metadata").map(|all| all.pick(&["estimatedDelivery"]).with("deliveryPartner", partner(all)));
    data.pick(&["orderId", "orderNumber", "status", "previousStatus", "timestamp"]).with("metadata", metadata)
}

fn new_order(data: &Json) -> Json {
    // The merchant learns the first name only.
    let first = |name: &str| Json::Text(name.split(' ').next().unwrap_or(name).into());
    let customer = data.get("customer").map(|customer| {
        let name = customer.get("name").and_then(Json::as_str).map(first);
        customer.pick(&["phone"]).with("name", name)
    });
    let lines = match data.get("items") {
        Some(Json::Array(lines)) => Some(Json::Number(lines.len().to_string().into())),
        _ => None,
    };
    data.pick(&["orderId", "orderNumber", "total", "type", "createdAt"]).with("customer", customer).with("items", lines)
}

fn dashboard_order(data: &Json) -> Json {
    let merchant = Json::Object(BTreeMap::new())
        .with("id", data.get("merchantId").cloned())
        .with("name", data.get("merchantName").cloned());
    data.pick(&["orderId", "orderNumber"])
        .with("amount", data.get("total").cloned())
        .with("merchant", Some(merchant))
        .with("timestamp", data.get("createdAt").cloned())
}
