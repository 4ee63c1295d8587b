//! The broker goes and comes back, or hangs; clients hang; the bridge is told to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use rtmn_bridge::client::{ConnectError, Transport};
use rtmn_bridge::seed::{Marketplace, Profile, SeedRecord};

use crate::support::records::{order, wallet};
use crate::support::{Follows, Kafka, Listener, Market, Who};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_stay_connected_while_the_broker_is_killed_and_restarted() {
    let kafka = Kafka::own(&[]).await;
    let mut market = Market::open(&kafka, 3).await;
    let mut bridge = market.bridge().start_ready().await;
    let profile = Profile { customers: 20, merchants: 4, partners: 5, rate: 200.0, ..Profile::small() };
    let mut marketplace = Marketplace::new(7, profile);
    let mut crowd = Vec::new();
    for (index, customer) in marketplace.world().customers.iter().enumerate() {
        let way = [Transport::Upgrade, Transport::WebSocket, Transport::Polling][index % 3];
        crowd.push(Who { follows: Follows::Orders, ..Who::new(&customer.id, "customer").over(way) });
    }
    for (index, merchant) in marketplace.world().merchants.iter().enumerate() {
        crowd.push(Who::new(format!("own_{index}"), "merchant_owner").of(&[&merchant.id]));
    }
    crowd.push(Who::new("adm", "admin"));
    let listeners: Vec<Listener> = join_all(crowd.into_iter().map(|who| who.listen(&bridge))).await;
    let clients = i64::try_from(listeners.len()).unwrap();

    let records: Vec<SeedRecord> = marketplace.by_ref().take(8_000).collect();
    let sent = Arc::new(AtomicUsize::new(0));
    let produce = async {
        for chunk in records.chunks(400) {
            market.send_at(chunk, 800).await;
            sent.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    };
    let disturb = async {
        while sent.load(Ordering::Relaxed) < 2_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kafka.kill().await;
        let why = bridge.not_ready().await;
        assert!(why.contains("broker"), "it says what is wrong: {why}");
        kafka.restart().await;
        bridge.ready().await;
        assert!(sent.load(Ordering::Relaxed) < records.len(), "it happened under load");
    };
    tokio::join!(produce, disturb);
    assert_eq!(bridge.metric("sockets", &[]).await, clients);
    assert_eq!(bridge.metric("transports_opened_total", &[]).await, clients, "nobody came again");
    market.verdict(listeners).await.assert_clean();
    assert_eq!(bridge.metric("log_discontinuities_total", &[]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_down_at_start_is_not_ready_then_fills() {
    let kafka = Kafka::own(&[]).await;
    let mut market = Market::open(&kafka, 2).await;
    market.send(&[order("o_before", "u1", "m1")]).await;
    kafka.kill().await;
    let mut bridge = market.bridge().set("socket.order_wait", "100ms").start().await;
    for transport in [Transport::WebSocket, Transport::Polling] {
        match Who::new("u1", "customer").over(transport).connect(&bridge).await {
            Err(ConnectError::Http { status: 503, .. }) => {}
            Err(ConnectError::Transport(why)) if why.contains("503") => {}
            other => panic!("let in before the window is filled: {other:?}"),
        }
    }
    assert!(bridge.not_ready().await.contains("not ready"));
    kafka.restart().await;
    bridge.ready().await;
    let listener = Who::new("u1", "customer").listen(&bridge).await;
    // Who owns this order stands in a record from before the start.
    listener.follow("o_before").await;
    market.send(&[wallet("u1", 1), wallet("u2", 2)]).await;
    market.verdict(vec![listener]).await.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_within_the_deadline() {
    const DEADLINE: Duration = Duration::from_secs(6);
    let kafka = Kafka::own(&[]).await;
    let mut market = Market::open(&kafka, 1).await;
    let bridge = market.bridge().set("server.shutdown_deadline", "6s").set("socket.send_buffer", "8192");
    let mut bridge = bridge.start_ready().await;
    // Nobody reads from these: their buffers fill, down to the bridge's own queues.
    let mut stalled = Vec::new();
    for index in 0..20 {
        let transport = if index % 2 == 0 { Transport::WebSocket } else { Transport::Polling };
        let who = Who { buffer: 1, ..Who::new("u1", "customer").over(transport) };
        stalled.push(who.connect(&bridge).await.expect("connected"));
    }
    let listener = Who::new("u2", "customer").listen(&bridge).await;
    let records: Vec<SeedRecord> = (1..=20_000).map(|n| wallet("u1", n)).chain([wallet("u2", 1)]).collect();
    for chunk in records.chunks(1_000) {
        market.send(chunk).await;
    }
    listener.until_heard("wallet.balanceUpdated", 1).await;
    let queued = async |bridge: &crate::support::Bridge| bridge.metric("sockets_behind_total", &[]).await > 0;
    bridge.until(queued, "behind").await;

    kafka.pause().await;
    let begun = Instant::now();
    bridge.signal(Signal::SIGTERM);
    let status = bridge.ended(DEADLINE + Duration::from_secs(2)).await;
    eprintln!("ended after {:?}", begun.elapsed());
    assert!(status.success(), "{status}");
    assert_eq!(bridge.logged_events("node.stopped").len(), 1, "{}", bridge.said());
    drop(stalled);
    kafka.resume().await;
}
