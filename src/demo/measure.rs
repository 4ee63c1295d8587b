//! The demo without a browser: a crowd of stock-protocol clients of every role, over every transport, while the
//! marketplace runs; then the oracle's verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Transport;
use crate::kafka::producer::Producer;
use crate::seed::World;

use super::member::{Connected, Crowd, Member, Told};
use super::oracle::{self, Json, ProducedRecord, Report, Rules};
use super::tokens::Minter;
use super::traffic::{self, Pace, Produced};
use super::{Act, DemoError};

/// What a run without a browser found.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The oracle's verdict.
    #[serde(flatten)]
    pub report: Report,
    /// How long the marketplace ran.
    pub seconds: f64,
    /// Rooms that clients joined on their own: orders and sales.
    pub joined: usize,
    /// What went wrong beside delivery: a connection that ended, a join that was refused, a foreign order that was not.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// Whether everything was as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.report.is_clean() && self.wrong.is_empty()
    }

    /// The outcome as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The first second belongs to the producer, which finds its broker and its partitions then.
const RULES: Rules = Rules { under_way_us: 10_000_000, warm_up_us: 1_000_000 };

/// After the last record: how long the clients may stay silent before they count as having heard all, and how long that
/// is waited for.
const SILENCE: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets the marketplace run for that time while clients of every role listen at `bridge` (`http://host:port`).
///
/// # Errors
/// [`DemoError`] when a client cannot connect, or a record cannot be produced.
pub async fn measure(
    bridge: &str,
    producer: &Producer,
    minter: &Minter,
    act: &Act,
    time: Duration,
) -> Result<Outcome, DemoError> {
    let market = act.market();
    let crowd = Crowd::default();
    let mut clients: JoinSet<Told> = JoinSet::new();
    for connected in connect(bridge, minter, members(market.world())).await? {
        clients.spawn(connected.listen(crowd.clone()));
    }
    let started = Instant::now();
    let records: Arc<Mutex<Vec<ProducedRecord>>> = Arc::default();
    let stop = crowd.stop.child_token();
    let ending = stop.clone();
    tokio::spawn(async move {
        sleep(time).await;
        ending.cancel();
    });
    let (log, newest) = (Arc::clone(&records), Arc::clone(&crowd.newest_order));
    let confirmed = move |produced: Produced| {
        if let Some(record) = judged(&produced) {
            if record.kind == "order.created" {
                let id = |name: &str| record.data.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
                *newest.lock() = Some((id("orderId"), id("userId")));
            }
            log.lock().push(record);
        }
    };
    traffic::send(producer, market, Pace::Real, stop, confirmed).await?;
    let seconds = started.elapsed().as_secs_f64();
    silence(&crowd).await;
    crowd.stop.cancel();
    let (mut logs, mut joined, mut wrong) = (Vec::new(), 0, Vec::new());
    while let Some(told) = clients.join_next().await {
        let told = told.map_err(|error| DemoError::Client(error.to_string()))?;
        joined += told.joined;
        wrong.extend(told.wrong);
        logs.push((told.client, told.log));
    }
    let records = std::mem::take(&mut *records.lock());
    Ok(Outcome { report: oracle::judge(&records, &logs, RULES), seconds, joined, wrong })
}

/// The record as the oracle wants it.
fn judged(produced: &Produced) -> Option<ProducedRecord> {
    Some(ProducedRecord {
        kind: produced.record.kind.to_owned(),
        data: Json::parse(&produced.record.json).ok()?,
        topic: produced.record.topic.to_owned(),
        partition: produced.partition,
        offset: produced.offset,
        produced_us: produced.produced_us,
    })
}

async fn connect(bridge: &str, minter: &Minter, members: Vec<Member>) -> Result<Vec<Connected>, DemoError> {
    let mut connecting = JoinSet::new();
    for member in members {
        let token = minter.mint(&member.subject, member.role, &member.merchants)?;
        let bridge = bridge.to_owned();
        connecting.spawn(async move { member.connect(&bridge, &token).await });
    }
    let mut connected = Vec::new();
    while let Some(one) = connecting.join_next().await {
        connected.push(one.map_err(|error| DemoError::Client(error.to_string()))??);
    }
    Ok(connected)
}

/// Waits until nobody has heard anything for a moment.
async fn silence(crowd: &Crowd) {
    let begun = Instant::now();
    let mut last = (crowd.heard.load(Ordering::Relaxed), Instant::now());
    while last.1.elapsed() < SILENCE && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
        let heard = crowd.heard.load(Ordering::Relaxed);
        if heard != last.0 {
            last = (heard, Instant::now());
        }
    }
}

/// Every role, each over every transport: all customers (some with two devices), every merchant's owner and staff,
/// delivery partners, and three kinds of staff.
fn members(world: &World) -> Vec<Member> {
    const WAYS: [Transport; 3] = [Transport::Upgrade, Transport::WebSocket, Transport::Polling];
    let mut members = Vec::new();
    let mut add = |subject: &str, role, merchants: Vec<String>, sales: &[&str]| {
        let transport = WAYS[members.len() % WAYS.len()];
        let sales = sales.iter().map(|sale| (*sale).to_owned()).collect();
        members.push(Member { subject: subject.to_owned(), role, merchants, transport, sales });
    };
    for (index, customer) in world.customers.iter().enumerate() {
        for _device in 0..=usize::from(index % 5 == 0) {
            // The first sales of the marketplace, joined before they start; some customers do not care.
            let sales: &[&str] = if index % 3 == 2 { &[] } else { &["flash_sale_101", "flash_sale_102"] };
            add(&customer.id, "customer", Vec::new(), sales);
        }
    }
    for (index, merchant) in world.merchants.iter().enumerate() {
        let next = world.merchants[(index + 1) % world.merchants.len()].id.clone();
        add(&format!("own_{index}"), "merchant_owner", vec![merchant.id.clone(), next], &[]);
        add(&format!("stf_{index}"), "merchant_staff", vec![merchant.id.clone()], &[]);
    }
    for partner in world.partners.iter().take(3) {
        add(&partner.id, "delivery_partner", Vec::new(), &[]);
    }
    for (index, role) in ["operator", "admin", "super_admin"].into_iter().flat_map(|role| [role; 3]).enumerate() {
        add(&format!("adm_{index}"), role, Vec::new(), &["flash_sale_103"]);
    }
    members
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn crowd_has_every_role_over_every_transport() {
        let act = Act { seed: 1, rate: 50.0 };
        let seen: HashSet<_> = members(act.market().world()).iter().map(|m| (m.role, m.transport)).collect();
        assert_eq!(seen.len(), 7 * 3, "{seen:?}");
    }
}
