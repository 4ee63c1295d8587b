//! Everything that a record means arrives where it should, and nowhere else.

use futures_util::future::join_all;
use rtmn_bridge::client::Transport;
use rtmn_bridge::seed::{Marketplace, Profile, SeedRecord, World};

use crate::support::{Follows, Kafka, Listener, Market, Registry, Who};

const RECORDS: usize = 100_000;
const CLIENTS: usize = 300;
/// Records a second. A debug build of everything, clients included, keeps up with it on two cores.
const RATE: usize = 2_500;

/// 300 clients of every role: half come as stock clients do (polling, then upgrade), some stay on polling.
fn crowd(world: &World) -> Vec<Who> {
    use Transport::{Polling, Upgrade, WebSocket};
    const WAYS: [Transport; 6] = [Upgrade, WebSocket, Upgrade, Polling, Upgrade, WebSocket];
    let mut crowd: Vec<Who> = Vec::new();
    let mut add = |who: Who| {
        let who = who.over(WAYS[crowd.len() % WAYS.len()]);
        crowd.push(who);
    };
    for (index, customer) in world.customers.iter().enumerate() {
        for _device in 0..=usize::from(index % 8 == 0) {
            let follows = [Follows::Orders, Follows::OrdersUntilDone, Follows::Nothing][index % 3];
            let sales = if index % 5 == 0 { sales(40) } else { Vec::new() };
            add(Who { sales, follows, ..Who::new(&customer.id, "customer") });
        }
    }
    for (index, merchant) in world.merchants.iter().enumerate() {
        let next = &world.merchants[(index + 1) % world.merchants.len()].id;
        add(Who::new(format!("own_{index}"), "merchant_owner").of(&[&merchant.id, next]));
        add(Who::new(format!("stf_{index}"), "merchant_staff").of(&[&merchant.id]));
    }
    for partner in world.partners.iter().take(12) {
        add(Who::new(&partner.id, "delivery_partner"));
    }
    for (index, role) in ["operator", "admin", "super_admin"].into_iter().cycle().take(24).enumerate() {
        add(Who { sales: sales(80), ..Who::new(format!("adm_{index}"), role) });
    }
    for index in crowd.len()..CLIENTS {
        // Somebody who ordered nothing yet hears what everyone hears.
        crowd.push(Who::new(format!("new_{index}"), "customer").over(WAYS[index % WAYS.len()]));
    }
    crowd
}

/// The marketplace's first flash sales, by the ids that they will have.
fn sales(count: usize) -> Vec<String> {
    (101..101 + count).map(|number| format!("flash_sale_{number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_exactly_its_set() {
    let (kafka, registry) = tokio::join!(Kafka::shared(), Registry::shared());
    let mut market = Market::open(kafka, 4).await;
    market.register(registry).await;
    let bridge = market.bridge().set("codec.registry_url", registry.url()).set("dashboard.interval", "5s");
    let mut bridge = bridge.start_ready().await;

    let profile = Profile { customers: 160, merchants: 24, partners: 30, rate: 600.0, ..Profile::small() };
    let mut marketplace = Marketplace::new(20_261_123, profile);
    let crowd = crowd(marketplace.world());
    let polling = crowd.iter().filter(|who| who.transport == Transport::Polling).count();
    let polling = i64::try_from(polling).unwrap();
    let listeners: Vec<Listener> = join_all(crowd.into_iter().map(|who| who.listen(&bridge))).await;
    assert_eq!(listeners.len(), CLIENTS);
    let records: Vec<SeedRecord> = marketplace.by_ref().take(RECORDS).collect();
    let begun = std::time::Instant::now();
    market.send_at(&records, RATE).await;
    eprintln!("produced in {:?}", begun.elapsed());
    assert_eq!(bridge.metric("sockets", &[("transport", "polling")]).await, polling, "these stay on it");
    assert_eq!(bridge.metric("sockets", &[]).await, 300, "nobody left");
    let verdict = market.verdict(listeners).await;
    eprintln!("heard after {:?}; fell behind {}", begun.elapsed(), bridge.metric("sockets_behind_total", &[]).await);

    verdict.assert_clean();
    assert!(verdict.report.expected > 500_000, "{:?}", verdict.report);
    assert!(verdict.report.stats > 0, "the admins saw figures");
    assert_eq!(bridge.metric("records_refused_total", &[]).await, 0);
    bridge.until(async |bridge| bridge.metric("sockets", &[]).await == 0, "rid of those who left").await;
}
