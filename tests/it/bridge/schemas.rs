//! Records whose schema is not there (yet).

use std::time::Duration;

use rtmn_bridge::codec::encode::avro_confluent;
use rtmn_bridge::codec::{SchemaId, Schemas};
use serde_json::Value;

use crate::support::records::wallet;
use crate::support::{Bridge, Kafka, Listener, Market, Record, Registry, Who};

const KIND: &str = "wallet.balanceUpdated";

/// A record in Confluent's wire format.
fn confluent(topic: &str, partition: i32, schema: u32, amount: usize) -> Record {
    let schemas = Schemas::builtin().unwrap();
    let data = wallet("u1", amount).json;
    let value = avro_confluent(&schemas, SchemaId::new(schema), KIND, &data).expect("it fits");
    Record::to(topic).partition(partition).key("u1").value(value)
}

fn json(topic: &str, partition: i32, amount: usize) -> Record {
    let record = wallet("u1", amount);
    Record::to(topic).partition(partition).key("u1").value(record.json).header("type", record.kind)
}

async fn amounts(listener: &Listener, count: usize) -> Vec<u64> {
    let heard: Vec<Value> = listener.until_heard(KIND, count).await;
    // From Avro it is `2.00`.
    let whole = |payload: &Value| payload["change"]["amount"].to_string().split('.').next().unwrap().parse().unwrap();
    heard.iter().map(whole).collect()
}

async fn register(registry: &Registry) -> u32 {
    let schemas = Schemas::builtin().unwrap();
    registry.register("wallet-value", schemas.event(KIND).unwrap().avsc()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_schema_is_not_there_holds_its_partition_only() {
    let kafka = Kafka::shared().await;
    let registry = Registry::own().await;
    let id = register(&registry).await;
    // It answers nothing, and keeps what it knows.
    registry.pause().await;
    let market = Market::open(kafka, 2).await;
    let topic = market.topic("rtmn.wallet").to_owned();
    let setup = market.bridge().set("codec.registry_url", registry.url()).set("codec.registry_timeout", "500ms");
    let mut bridge = setup.start_ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;

    kafka
        .produce_all([json(&topic, 0, 1), confluent(&topic, 0, id, 2), json(&topic, 0, 3), confluent(&topic, 0, id, 4)])
        .await;
    kafka.produce_all([json(&topic, 1, 101), json(&topic, 1, 102)]).await;
    let mut others = amounts(&listener, 3).await;
    others.sort_unstable();
    assert_eq!(others, [1, 101, 102], "what stands before, and the other partition");
    bridge.until(async |bridge| bridge.metric("follower_partitions_held", &[]).await == 1, "held").await;

    // A node that starts now cannot fill its window.
    let mut second = setup.start().await;
    let held = async |bridge: &Bridge| bridge.readiness().await.is_err_and(|why| why.contains(&topic));
    second.until(held, "telling which partition is held").await;
    kafka.produce(json(&topic, 1, 103)).await;
    assert_eq!(amounts(&listener, 4).await[3], 103, "the other partition goes on");
    assert!(second.readiness().await.is_err());

    registry.resume().await;
    let heard = amounts(&listener, 7).await;
    let first: Vec<u64> = heard.iter().copied().filter(|amount| *amount < 100).collect();
    assert_eq!(first, [1, 2, 3, 4], "in their order");
    second.ready().await;
    bridge.until(async |bridge| bridge.metric("follower_partitions_held", &[]).await == 0, "free").await;
    assert_eq!(listener.count("sync:gap"), 0);
    assert_eq!(bridge.metric("gaps_total", &[]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_stays_unreadable_is_skipped_as_a_gap_that_is_told() {
    let kafka = Kafka::shared().await;
    let registry = Registry::shared().await;
    let market = Market::open(kafka, 1).await;
    let topic = market.topic("rtmn.wallet").to_owned();
    let setup = market.bridge().set("codec.registry_url", registry.url()).set("codec.hold_deadline", "2s");
    let mut bridge = setup.start_ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;
    let other = Who::new("adm", "admin").listen(&bridge).await;

    // The registry answers that it has no such schema: one may be registered yet.
    kafka.produce_all([json(&topic, 0, 1), confluent(&topic, 0, 987_654, 2), json(&topic, 0, 3)]).await;
    assert_eq!(amounts(&listener, 2).await, [1, 3]);
    for one in [&listener, &other] {
        let gaps = one.until_heard("sync:gap", 1).await;
        let told = serde_json::json!({"reason": "undecoded", "topic": topic, "partition": 0, "from": 1, "to": 2});
        assert_eq!(gaps, [told], "{}", one.name);
    }
    assert_eq!(bridge.metric("gaps_total", &[]).await, 1);
    bridge.ready().await;
    tokio::time::timeout(Duration::from_secs(10), bridge.until_logged("record.undecoded")).await.unwrap();
}
