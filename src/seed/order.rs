//! One order's life, from placed to delivered (or cancelled and refunded): a state machine whose every step is exactly
//! one record. It holds no clock: the marketplace says when.

use super::json::Object;
use super::record::Draft;
use super::rng::Rng;
use super::world::{Partner, Place, Wallet, World, degrees};

/// Where an order stands: what its next record will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Created,
    Placed,
    Paid,
    Confirmed,
    Processing,
    Ready,
    OutForDelivery,
    /// So many fixes are still to come.
    OnTheWay(u16),
    Arrived,
    Delivered,
    Cashback,
    Cancelled,
    Refunded,
    RefundPaid,
}

/// An order on its way.
#[derive(Clone, Debug)]
pub(super) struct Order {
    id: String,
    number: String,
    customer: usize,
    merchant: usize,
    partner: usize,
    kind: &'static str,
    total: i64,
    coins: i64,
    items: String,
    lines: usize,
    next: Step,
    status: Option<&'static str>,
    cancels: bool,
    fixes: u16,
    route: Vec<Place>,
}

impl Order {
    pub(super) fn place(
        rng: &mut Rng,
        world: &World,
        ids: (String, String),
        who: (usize, usize),
        spotlight: bool,
    ) -> Self {
        let (customer, merchant) = who;
        let mut items = Vec::new();
        let mut total = 0;
        for _ in 0..rng.between(1, 4) {
            let (name, product, usual) = *rng.pick(&world.merchants[merchant].menu);
            let quantity = rng.between(1, 3);
            let price = usual + rng.between(-500, 500);
            total += price * quantity;
            let line = Object::new().text("productId", product).text("name", name);
            items.push(line.raw("quantity", quantity).money("price", price).end());
        }
        let kind = if spotlight || rng.percent(70) { "delivery" } else { *rng.pick(&["pickup", "dine_in"]) };
        let fixes = if spotlight { 24 } else { u16::try_from(rng.between(8, 20)).unwrap_or(8) };
        let (from, to) = (world.merchants[merchant].place, world.customers[customer].home);
        Self {
            id: ids.0,
            number: ids.1,
            customer,
            merchant,
            partner: rng.index(world.partners.len()),
            kind,
            total,
            coins: 0,
            lines: items.len(),
            items: format!("[{}]", items.join(",")),
            next: Step::Created,
            status: None,
            cancels: !spotlight && rng.percent(7),
            fixes,
            route: streets(rng, from, to),
        }
    }

    /// The next record; `None` once the order's life is over.
    pub(super) fn step(&mut self, rng: &mut Rng, world: &mut World, now: i64) -> Option<Draft> {
        loop {
            let (draft, next) = match self.next {
                Step::Created => (Some(self.created(world, now)), Some(Step::Placed)),
                Step::Placed => (Some(self.status("placed", world, now)), Some(Step::Paid)),
                Step::Paid => {
                    let next = if self.cancels { Step::Cancelled } else { Step::Confirmed };
                    (self.pay(rng, world, now), Some(next))
                }
                Step::Confirmed => (Some(self.status("confirmed", world, now)), Some(Step::Processing)),
                Step::Processing => (Some(self.status("processing", world, now)), Some(Step::Ready)),
                Step::Ready => {
                    let next = if self.kind == "delivery" { Step::OutForDelivery } else { Step::Delivered };
                    (Some(self.status("ready", world, now)), Some(next))
                }
                Step::OutForDelivery => {
                    (Some(self.status("out_for_delivery", world, now)), Some(Step::OnTheWay(self.fixes)))
                }
                Step::OnTheWay(0) => (None, Some(Step::Arrived)),
                Step::OnTheWay(left) => (Some(self.fix(left - 1, world, now)), Some(Step::OnTheWay(left - 1))),
                Step::Arrived => (Some(self.arrived(world, now)), Some(Step::Delivered)),
                Step::Delivered => (Some(self.status("delivered", world, now)), Some(Step::Cashback)),
                Step::Cashback => {
                    let amount = (self.total / 20).max(1);
                    (Some(self.credit(world, amount, "purchase_cashback", now)), None)
                }
                Step::Cancelled => (Some(self.status("cancelled", world, now)), Some(Step::Refunded)),
                Step::Refunded if self.coins == 0 => return None,
                Step::Refunded => (Some(self.status("refunded", world, now)), Some(Step::RefundPaid)),
                Step::RefundPaid => (Some(self.credit(world, self.coins, "refund", now)), None),
            };
            // After the last record: `Refunded` without coins ends the loop above.
            if next.is_none() {
                self.coins = 0;
            }
            self.next = next.unwrap_or(Step::Refunded);
            if draft.is_some() {
                return draft;
            }
        }
    }

    fn created(&self, world: &World, now: i64) -> Draft {
        let (customer, merchant) = (&world.customers[self.customer], &world.merchants[self.merchant]);
        let contact = Object::new().text("name", &customer.name).text("phone", &customer.phone).end();
        let data = Object::new()
            .text("orderId", &self.id)
            .text("orderNumber", &self.number)
            .text("userId", &customer.id)
            .text("merchantId", &merchant.id)
            .text("merchantName", &merchant.name)
            .raw("customer", contact)
            .raw("items", &self.items)
            .money("total", self.total)
            .text("type", self.kind)
            .time("createdAt", now);
        Draft::new("order.created", &self.id, data)
    }

    fn status(&mut self, status: &'static str, world: &World, now: i64) -> Draft {
        let mut data = Object::new()
            .text("orderId", &self.id)
            .text("orderNumber", &self.number)
            .text("userId", &world.customers[self.customer].id)
            .text("merchantId", &world.merchants[self.merchant].id)
            .text("status", status);
        if let Some(previous) = self.status.replace(status) {
            data = data.text("previousStatus", previous);
        }
        data = data.time("timestamp", now);
        match status {
            "confirmed" | "processing" | "ready" => {
                let minutes = 15 + 5 * i64::try_from(self.lines).unwrap_or(1);
                data = data.raw("metadata", Object::new().time("estimatedDelivery", now + minutes * 60_000).end());
            }
            "out_for_delivery" => {
                let metadata = Object::new()
                    .time("estimatedDelivery", now + 15 * 60_000)
                    .raw("deliveryPartner", contact(&world.partners[self.partner]));
                data = data.raw("metadata", metadata.end());
            }
            _ => {}
        }
        Draft::new("order.statusChanged", &self.id, data)
    }

    fn fix(&self, left: u16, world: &World, now: i64) -> Draft {
        let done = f64::from(self.fixes - left) / f64::from(self.fixes);
        let (place, metres) = along(&self.route, done);
        // A scooter in the city makes about a kilometre in three minutes.
        let minutes = (metres * 3 / 1000).max(1);
        let plural = if minutes == 1 { "" } else { "s" };
        let location = Object::new().raw("latitude", place.latitude).raw("longitude", place.longitude).end();
        let data = Object::new()
            .text("orderId", &self.id)
            .raw("location", location)
            .raw("deliveryPartner", contact(&world.partners[self.partner]))
            .text("estimatedArrival", &format!("{minutes} minute{plural}"))
            .raw("distanceRemaining", degrees(metres * 1000))
            .time("timestamp", now);
        Draft::new("delivery.locationUpdated", &self.id, data)
    }

    fn arrived(&self, world: &World, now: i64) -> Draft {
        let partner = &world.partners[self.partner];
        let first = partner.name.split(' ').next().unwrap_or(&partner.name);
        let data = Object::new()
            .text("orderId", &self.id)
            .text("orderNumber", &self.number)
            .text("userId", &world.customers[self.customer].id)
            .raw("deliveryPartner", contact(partner))
            .text("message", &format!("{first} is at your door with order {}", self.number))
            .time("timestamp", now);
        Draft::new("delivery.arrived", &self.id, data)
    }

    /// Pays a part with coins, if there are any.
    fn pay(&mut self, rng: &mut Rng, world: &mut World, now: i64) -> Option<Draft> {
        let customer = &mut world.customers[self.customer];
        self.coins = (self.total / 10).min(customer.wallet.rez) * i64::from(rng.percent(60));
        (self.coins > 0).then(|| {
            customer.wallet.rez -= self.coins;
            let change = Change { amount: self.coins, coin: "rez_coins", credit: false, reason: "order_payment" };
            change.draft(&customer.id, customer.wallet, Some(&self.id), now)
        })
    }

    fn credit(&self, world: &mut World, amount: i64, reason: &'static str, now: i64) -> Draft {
        let customer = &mut world.customers[self.customer];
        customer.wallet.rez += amount;
        Change { amount, coin: "rez_coins", credit: true, reason }.draft(
            &customer.id,
            customer.wallet,
            Some(&self.id),
            now,
        )
    }
}

/// A change of a wallet that has happened.
pub(super) struct Change {
    pub(super) amount: i64,
    pub(super) coin: &'static str,
    pub(super) credit: bool,
    pub(super) reason: &'static str,
}

impl Change {
    pub(super) fn draft(&self, user: &str, wallet: Wallet, order: Option<&str>, now: i64) -> Draft {
        let balances = Object::new()
            .money("rezCoins", wallet.rez)
            .money("brandedCoins", wallet.branded)
            .money("promoCoins", wallet.promo)
            .money("total", wallet.rez + wallet.branded + wallet.promo);
        let mut change = Object::new()
            .money("amount", self.amount)
            .text("type", self.coin)
            .text("operation", if self.credit { "credit" } else { "debit" })
            .text("reason", self.reason);
        if let Some(order) = order {
            change = change.text("orderId", order);
        }
        let data = Object::new().text("userId", user).raw("balances", balances.end()).raw("change", change.end());
        Draft::new("wallet.balanceUpdated", user, data.time("timestamp", now))
    }
}

fn contact(partner: &Partner) -> String {
    Object::new().text("id", &partner.id).text("name", &partner.name).text("phone", &partner.phone).end()
}

/// A way along a grid of streets: turns by turns nearer, first one axis, then the other.
fn streets(rng: &mut Rng, from: Place, to: Place) -> Vec<Place> {
    let blocks = 4;
    let mut way = vec![from];
    let mut longitude = from.longitude;
    for block in 1..=blocks {
        let jitter = if block == blocks { 0.0 } else { degrees(rng.between(-80_000, 80_000)) };
        let part = f64::from(block) / f64::from(blocks) + jitter;
        let latitude = from.latitude + (to.latitude - from.latitude) * part;
        way.push(Place { latitude, longitude });
        longitude = from.longitude + (to.longitude - from.longitude) * part;
        way.push(Place { latitude, longitude });
    }
    way
}

/// Metres between two places of one city.
fn metres(a: Place, b: Place) -> f64 {
    let north = (b.latitude - a.latitude) * 111_195.0;
    let east = (b.longitude - a.longitude) * 111_195.0 * a.latitude.to_radians().cos();
    north.hypot(east)
}

/// The place after that part (0–1) of a way, in millionths of a degree, and the whole metres that remain.
fn along(way: &[Place], part: f64) -> (Place, i64) {
    let lengths: Vec<f64> = way.windows(2).map(|leg| metres(leg[0], leg[1])).collect();
    let total: f64 = lengths.iter().sum();
    let mut left = total * part;
    let mut place = way[way.len() - 1];
    for (leg, length) in way.windows(2).zip(&lengths) {
        if left <= *length && *length > 0.0 {
            let share = left / length;
            let between = |a: f64, b: f64| ((a + (b - a) * share) * 1e6).round() / 1e6;
            place = Place {
                latitude: between(leg[0].latitude, leg[1].latitude),
                longitude: between(leg[0].longitude, leg[1].longitude),
            };
            break;
        }
        left -= length;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a city is smaller than i64 metres")]
    let remaining = (total * (1.0 - part)).round() as i64;
    (place, remaining)
}
