//! Records that are no events: each is counted and passed over, and what follows it arrives.

use rtmn_bridge::codec::Schemas;
use rtmn_bridge::codec::encode::avro_single_object;

use crate::support::records::{status, wallet};
use crate::support::{Kafka, Market, Record, Who};

const SECRET: &str = "4111-1111-1111-1111";

/// What is wrong with it, and the record.
fn garbage(topic: &str) -> Vec<(&'static str, Record)> {
    let schemas = Schemas::builtin().unwrap();
    let record = || Record::to(topic).partition(0).key("u1");
    let typed = |value: &str| record().value(value).header("type", "wallet.balanceUpdated");
    let good = wallet("u1", 1).json;
    let avro = avro_single_object(&schemas, "wallet.balanceUpdated", &good).unwrap();
    let mut endless = avro[..10].to_vec();
    // A text of 2^62 bytes, and one of a negative length.
    endless.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let mut negative = avro[..10].to_vec();
    negative.extend([0x03, b'u', b'1']);
    let mut unknown_schema = avro.clone();
    unknown_schema[3] ^= 0xff;
    let bad_utf8 = [b"{\"userId\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
    vec![
        ("tombstone", record()),
        ("empty", record().value("")),
        ("bad_utf8", record().value(bad_utf8).header("type", "wallet.balanceUpdated")),
        ("bad_json", typed("{\"userId\":")),
        ("bad_json", typed(SECRET)),
        ("wrong_type", typed(&good.replace("\"u1\"", "7"))),
        ("wrong_type", typed(&format!("{{\"userId\":\"{SECRET}\"}}"))),
        ("duplicate_key", typed(&good.replacen('{', "{\"userId\":\"u2\",", 1))),
        ("no_type", record().value(good.clone())),
        ("unknown_type", record().value("{}").header("type", "wallet.stolen")),
        ("bad_avro", record().value(&avro[..avro.len() - 3])),
        ("bad_avro", record().value(endless)),
        ("bad_avro", record().value(negative)),
        ("unknown_schema", record().value(unknown_schema)),
        ("no_registry", record().value([0, 0, 0, 0, 7, 1, 2])),
        ("oversize", typed(&good.replacen('{', &format!("{{\"note\":\"{}\",", "x".repeat(9_000)), 1))),
        // An id that no room can be built from.
        ("bad_id", typed(&good.replace("\"u1\"", "\"u:1 *\""))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_never_stops_a_partition() {
    const ROUNDS: usize = 3;
    let kafka = Kafka::shared().await;
    let market = Market::open(kafka, 1).await;
    let topic = market.topic("rtmn.wallet").to_owned();
    let bridge = market.bridge().set("codec.max_record", "8000").start_ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;
    let mut amount = 0;
    let mut expected = std::collections::BTreeMap::new();
    for _ in 0..ROUNDS {
        for (reason, record) in garbage(&topic) {
            *expected.entry(reason).or_insert(0) += 1;
            amount += 1;
            let next = wallet("u1", amount);
            // A header whose name is no UTF-8 costs the header at most.
            let next =
                Record::to(&topic).partition(0).value(next.json).header("type", next.kind).header("\u{7f}", [0xff]);
            kafka.produce_all([record, next]).await;
        }
    }
    let heard = listener.until_heard("wallet.balanceUpdated", amount).await;
    let amounts: Vec<usize> =
        heard.iter().map(|p| usize::try_from(p["change"]["amount"].as_u64().unwrap()).unwrap()).collect();
    assert_eq!(amounts, (1..=amount).collect::<Vec<_>>(), "every good one, in order");

    let mut counted = std::collections::BTreeMap::new();
    for reason in expected.keys() {
        counted.insert(*reason, bridge.metric("records_refused_total", &[("reason", reason)]).await);
    }
    assert_eq!(counted, expected);
    assert_eq!(bridge.metric("records_refused_total", &[]).await, expected.values().sum::<i64>());
    let logged = bridge.logged_events("record.refused");
    let mut reasons: Vec<&str> = logged.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, expected.keys().copied().collect::<Vec<_>>(), "once per reason");
    assert!(!bridge.said().contains(SECRET), "no payload is logged");
    assert_eq!(bridge.readiness().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_that_the_schemas_do_not_know_is_passed_on_and_counted() {
    let mut market = Market::open(Kafka::shared().await, 1).await;
    let bridge = market.bridge().start_ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;
    market.send(&[status("o1", "u1", "m1", "placed"), status("o1", "u1", "m1", "teleported")]).await;
    let heard = listener.until_heard("order.statusChanged", 2).await;
    assert_eq!(heard[1]["status"], "teleported");
    let labels = [("event", "order.statusChanged"), ("field", "status")];
    assert_eq!(bridge.metric("unknown_enum_values_total", &labels).await, 1);
    assert_eq!(bridge.metric("unknown_enum_values_total", &[]).await, 1);
    market.verdict(vec![listener]).await.assert_clean();
}
