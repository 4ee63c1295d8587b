//! What is right again after a restart, and what was not there at the start.

use nix::sys::signal::Signal;
use rtmn_bridge::demo::traffic::micros;
use rtmn_bridge::seed::SeedRecord;
use serde_json::Value;

use crate::support::records::{order_at, wallet};
use crate::support::{Bridge, Kafka, Market, Record, Who};

/// The newest figures with so many orders.
async fn figures(bridge: &Bridge, orders: u64) -> Value {
    let admin = Who::new("adm", "admin").listen(bridge).await;
    let mut seen = 1;
    loop {
        let stats = admin.until_heard("dashboard.stats", seen).await;
        let last = stats.last().expect("at least one").clone();
        if last["todayOrders"] == orders {
            return last;
        }
        assert!(seen < 100, "{last} has not {orders} orders");
        seen = stats.len() + 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn todays_figures_survive_a_restart() {
    let mut market = Market::open(Kafka::shared().await, 3).await;
    let now = micros(std::time::SystemTime::now()) / 1000;
    let today = 86_400_000 * (now / 86_400_000);
    let at = |ms: i64| format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap());
    let mut orders: Vec<SeedRecord> = Vec::new();
    // 500 × 0.10 + 500 × 1250.55: what doubles would not add up to.
    for n in 0..1_000 {
        let total = if n % 2 == 0 { "0.10" } else { "1250.55" };
        orders.push(order_at(&format!("o_{n}"), "u1", "m1", total, &at(today + n % (now - today).max(1))));
    }
    // Not today's.
    orders.push(order_at("o_yesterday", "u1", "m1", "99999.00", &at(today - 1_000)));
    let setup = market.bridge().set("dashboard.interval", "500ms").set("hub.window_age", "1s");
    let mut bridge = setup.start_ready().await;
    market.send(&orders).await;
    let before = figures(&bridge, 1_000).await;
    assert_eq!(before["todayRevenue"].to_string(), "625325.0", "{before}");
    bridge.kill();

    let mut bridge = setup.start_ready().await;
    let after = figures(&bridge, 1_000).await;
    assert_eq!(after["todayRevenue"], before["todayRevenue"]);
    assert_eq!(
        (&after["activeUsers"], &after["activeMerchants"]),
        (&before["activeUsers"], &before["activeMerchants"])
    );
    bridge.signal(Signal::SIGTERM);
    assert!(bridge.ended(std::time::Duration::from_secs(30)).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_added_later_are_followed_from_their_beginning() {
    let kafka = Kafka::shared().await;
    let mut market = Market::open(kafka, 1).await;
    // It looks seldom, so that the new partitions have records before it finds them.
    let mut bridge = market.bridge().set("kafka.metadata_refresh", "2s").start_ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;
    market.send(&[wallet("u1", 1)]).await;
    listener.until_heard("wallet.balanceUpdated", 1).await;

    let topic = market.topic("rtmn.wallet").to_owned();
    kafka.add_partitions(&topic, 3).await;
    let mut expected = vec![vec![1]];
    for partition in 1..3_i32 {
        let first = 100 * usize::try_from(partition).unwrap();
        let records = (first..first + 50).map(|amount| {
            let record = wallet("u1", amount);
            Record::to(&topic).partition(partition).key("u1").value(record.json).header("type", record.kind)
        });
        kafka.produce_all(records).await;
        expected.push((first..first + 50).collect());
    }
    let heard = listener.until_heard("wallet.balanceUpdated", 101).await;
    let mut found: Vec<Vec<usize>> = vec![Vec::new(); 3];
    for payload in &heard {
        let amount = usize::try_from(payload["change"]["amount"].as_u64().unwrap()).unwrap();
        found[amount / 100].push(amount);
    }
    assert_eq!(found, expected, "each once, in order");
    let count = async |bridge: &Bridge| {
        bridge.metric("follower_next_offset", &[("topic", &topic), ("partition", "2")]).await == 50
    };
    bridge.until(count, "done with the new partition").await;
}
