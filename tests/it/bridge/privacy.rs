//! What is not one's own is neither heard nor joined.

use std::collections::HashMap;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rtmn_bridge::client::Transport;
use rtmn_bridge::seed::SeedRecord;
use serde_json::{Value, json};

use crate::support::records::{location, order, status, wallet};
use crate::support::{Kafka, Listener, Market, Who};

const USERS: usize = 1_000;
const MERCHANTS: usize = 40;
const ORDERS: usize = 1_500;

struct Order {
    id: String,
    user: String,
    merchant: String,
}

/// Everybody's role is drawn; their names say it.
fn users(random: &mut StdRng) -> Vec<Who> {
    let users = (0..USERS).map(|index| {
        let merchant = format!("m_{}", random.random_range(0..MERCHANTS));
        let who = match random.random_range(0..20) {
            0 => Who::new(format!("own_{index}"), "merchant_owner").of(&[&merchant]),
            1 => Who::new(format!("stf_{index}"), "merchant_staff").of(&[&merchant]),
            2 => Who::new(format!("dp_{index}"), "delivery_partner"),
            // A role that nobody knows, and merchants that such a role has no use for.
            3 => Who::new(format!("odd_{index}"), "landlord").of(&[&merchant]),
            _ => Who::new(format!("cus_{index}"), "customer"),
        };
        who.over([Transport::WebSocket, Transport::Upgrade, Transport::Polling][random.random_range(0..3)])
    });
    users.collect()
}

/// What somebody asks that is refused: each with its words for the failure's message.
fn foreign(who: &Who, orders: &[Order], random: &mut StdRng) -> Vec<(&'static str, Value)> {
    let mut wishes: Vec<(&'static str, Value)> = Vec::new();
    for _ in 0..3 {
        let order = &orders[random.random_range(0..orders.len())];
        if order.user != who.subject && !(who.role.starts_with("merchant") && who.merchants.contains(&order.merchant)) {
            wishes.push(("order:subscribe", json!(order.id)));
            wishes.push(("join", json!(format!("order:{}", order.id))));
        }
    }
    let victim = &orders[random.random_range(0..orders.len())];
    if victim.user != who.subject {
        wishes.push(("join", json!(format!("user:{}", victim.user))));
    }
    if !(who.role.starts_with("merchant") && who.merchants.contains(&victim.merchant)) {
        wishes.push(("join", json!(format!("merchant:{}", victim.merchant))));
    }
    wishes.push(("order:subscribe", json!(format!("never_{}", random.random_range(0..1000)))));
    let malformed = ["", "*", "o 1", "o:1", "order:x\u{0}", "../o1"][random.random_range(0..6)];
    wishes.push(("order:subscribe", json!(malformed)));
    wishes.push(("join", json!("admin:dashboard")));
    wishes.push(("join", json!("everyone:else")));
    wishes
}

async fn try_all(listener: &Listener, wishes: &[(&'static str, Value)]) -> Vec<String> {
    let answers = join_all(wishes.iter().map(|(event, wish)| listener.answer(event, wish))).await;
    let refusal = json!({"ok": false, "error": {"code": "unauthorized", "message": "Unauthorized room access"}});
    let wrong = wishes.iter().zip(answers).filter(|(_, answer)| *answer != refusal);
    wrong.map(|((event, wish), answer)| format!("{}: {event} {wish}: {answer}", listener.name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_never_gets_anothers_event() {
    let seed = std::env::var("RTMN_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    eprintln!("RTMN_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut market = Market::open(Kafka::shared().await, 4).await;
    let bridge = market.bridge().set("socket.order_wait", "1s").start_ready().await;

    let users = users(&mut random);
    let orders: Vec<Order> = (0..ORDERS)
        .map(|index| Order {
            id: format!("o_{index}"),
            user: users[random.random_range(0..USERS)].subject.clone(),
            merchant: format!("m_{}", random.random_range(0..MERCHANTS)),
        })
        .collect();
    let wishes: Vec<_> = users.iter().map(|who| foreign(who, &orders, &mut random)).collect();
    let mut own: HashMap<String, Vec<String>> = HashMap::new();
    for order in orders.iter().filter(|_| random.random_bool(0.7)) {
        own.entry(order.user.clone()).or_default().push(order.id.clone());
    }
    let listeners: Vec<Listener> = join_all(users.iter().map(|who| who.clone().listen(&bridge))).await;

    // Some ask before the orders are there (they wait for them), others while they come, others after.
    let created: Vec<SeedRecord> = orders.iter().map(|o| order(&o.id, &o.user, &o.merchant)).collect();
    let mut events: Vec<SeedRecord> = Vec::new();
    for o in &orders {
        for step in ["placed", "confirmed", "out_for_delivery"].iter().take(random.random_range(0..4)) {
            events.push(status(&o.id, &o.user, &o.merchant, step));
        }
        for step in 0..random.random_range(0..4) {
            events.push(location(&o.id, step));
        }
        if random.random_bool(0.5) {
            events.push(wallet(&users[random.random_range(0..USERS)].subject, random.random_range(1..1_000_000)));
        }
    }
    let asking = async {
        let asks = listeners.iter().zip(&wishes).map(|(listener, wishes)| try_all(listener, wishes));
        join_all(asks).await.into_iter().flatten().collect::<Vec<String>>()
    };
    let (early, ()) = tokio::join!(asking, async {
        market.send_at(&created, 1_000).await;
    });
    assert!(early.is_empty(), "{} of {USERS} users' wishes: {:#?}", early.len(), &early[..early.len().min(20)]);
    join_all(listeners.iter().map(async |listener| {
        let subject = listener.name.split(' ').nth(1).expect("role, subject, transport");
        for order in own.get(subject).into_iter().flatten() {
            listener.follow(order).await;
        }
    }))
    .await;
    market.send_at(&events, 1_500).await;
    // Once more with the owners known for certain.
    let late = join_all(listeners.iter().zip(&wishes).take(USERS / 4).map(|(l, wishes)| try_all(l, wishes))).await;
    let late: Vec<String> = late.into_iter().flatten().collect();
    assert!(late.is_empty(), "{:#?}", &late[..late.len().min(20)]);

    let verdict = market.verdict(listeners).await;
    verdict.assert_clean();
}
