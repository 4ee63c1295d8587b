//! Records that a test writes itself.

use rtmn_bridge::seed::{Encoding, SeedRecord};
use serde_json::{Value, json};

const AT: &str = "2026-11-23T09:30:00.000Z";

fn record(topic: &'static str, kind: &'static str, key: &str, data: &Value) -> SeedRecord {
    let key = key.to_owned();
    SeedRecord { number: 0, topic, key, kind, json: data.to_string(), at_ms: 0, encoding: Encoding::Json }
}

/// An order of that user with that merchant; `total` as digits, `at` as RFC 3339.
pub fn order_at(order: &str, user: &str, merchant: &str, total: &str, at: &str) -> SeedRecord {
    let data = json!({
        "orderId": order, "orderNumber": format!("RZ-{order}"), "userId": user, "merchantId": merchant,
        "merchantName": "The Chai Room", "customer": {"name": "Asha Rao", "phone": "+919800000001"},
        "items": [{"productId": "p1", "name": "Chai", "quantity": 2, "price": 45}],
        "total": serde_json::from_str::<Value>(total).expect("digits"), "type": "delivery", "createdAt": at,
    });
    let mut record = record("rtmn.orders", "order.created", order, &data);
    // The digits as they are: a number that went through a double may have lost some.
    record.json = record.json.replace(&format!("\"total\":{}", data["total"]), &format!("\"total\":{total}"));
    record
}

/// An order.
pub fn order(order: &str, user: &str, merchant: &str) -> SeedRecord {
    order_at(order, user, merchant, "90.00", AT)
}

/// A change of an order's status.
pub fn status(order: &str, user: &str, merchant: &str, status: &str) -> SeedRecord {
    let data = json!({
        "orderId": order, "orderNumber": format!("RZ-{order}"), "userId": user, "merchantId": merchant,
        "status": status, "timestamp": AT,
    });
    record("rtmn.orders", "order.statusChanged", order, &data)
}

/// Where an order's delivery is.
pub fn location(order: &str, step: usize) -> SeedRecord {
    let data = json!({
        "orderId": order, "location": {"latitude": 12.5, "longitude": 77.5},
        "deliveryPartner": {"id": "dp_1", "name": "Ravi", "phone": "+919800000002"},
        "estimatedArrival": "15 minutes", "distanceRemaining": step, "timestamp": AT,
    });
    record("rtmn.delivery", "delivery.locationUpdated", order, &data)
}

/// A change of a user's wallet; `amount` tells them apart.
pub fn wallet(user: &str, amount: usize) -> SeedRecord {
    let data = json!({
        "userId": user, "balances": {"rezCoins": amount, "brandedCoins": 0, "promoCoins": 0, "total": amount},
        "change": {"amount": amount, "type": "rez_coins", "operation": "credit", "reason": "promotion"},
        "timestamp": AT,
    });
    record("rtmn.wallet", "wallet.balanceUpdated", user, &data)
}
