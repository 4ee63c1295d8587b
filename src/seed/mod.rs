//! A believable marketplace, the same for the same seed: customers order, partners ride, wallets change, flash sales
//! sell out. It runs in virtual time and touches neither clock nor network; whoever sends its records decides the pace.
//! Every record has exactly the fields of `schemas/README.md`.

mod json;
mod order;
mod record;
mod rng;
mod sale;
mod world;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

pub use record::{Encoding, SeedRecord, Wire};
pub use world::{Customer, Merchant, Partner, Place, World};

use json::Object;
use order::{Change, Order};
use record::Draft;
use rng::Rng;
use sale::Sale;

/// How large the marketplace is, and how busy.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Number of customers.
    pub customers: usize,
    /// Number of merchants.
    pub merchants: usize,
    /// Number of delivery partners.
    pub partners: usize,
    /// Flash sales at a time.
    pub sales: usize,
    /// Records per second of virtual time, on average.
    pub rate: f64,
    /// Where virtual time begins: milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Whether the first customer always has an order on its way from the first merchant, for people who watch.
    pub spotlight: bool,
}

impl Profile {
    /// 2026-11-23 09:30 UTC: where virtual time begins unless told otherwise.
    pub const START_MS: i64 = 1_795_426_200_000;

    /// A quarter: 40 customers.
    #[must_use]
    pub fn small() -> Self {
        Self::sized(40, 8, 15, 3)
    }

    /// A town: 2,000 customers.
    #[must_use]
    pub fn medium() -> Self {
        Self::sized(2_000, 60, 200, 8)
    }

    /// A city: 100,000 customers.
    #[must_use]
    pub fn large() -> Self {
        Self::sized(100_000, 1_500, 6_000, 25)
    }

    fn sized(customers: usize, merchants: usize, partners: usize, sales: usize) -> Self {
        let (rate, start_ms) = (50.0, Self::START_MS);
        Self { customers, merchants, partners, sales, rate, start_ms, spotlight: false }
    }
}

/// Who acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Order(usize),
    Sale(usize),
    Wallets,
}

/// The marketplace: an endless iterator of records.
#[derive(Debug)]
pub struct Marketplace {
    rng: Rng,
    seed: u64,
    profile: Profile,
    world: World,
    orders: Vec<Option<Order>>,
    sales: Vec<Sale>,
    agenda: BinaryHeap<Reverse<(i64, u64, Actor)>>,
    waiting: VecDeque<Draft>,
    now_ms: i64,
    acts: u64,
    numbers: u64,
    placed: u64,
}

/// Between two records of one order, on average.
const ORDER_GAP_MS: i64 = 1_500;
/// The spotlight's order moves on a little faster: somebody is watching.
const SPOTLIGHT_GAP_MS: i64 = 900;

impl Marketplace {
    /// Draws the marketplace of that seed.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed);
        let world = World::new(&mut rng, &profile);
        let rate = profile.rate.clamp(0.1, 1e6);
        // Orders make four fifths of the records: as many at once as that takes, each acting every ORDER_GAP_MS.
        let at_once = per_second(rate * 0.8, ORDER_GAP_MS).max(1);
        let sales: Vec<Sale> = (0..profile.sales).map(Sale::before_first).collect();
        let mut this = Self {
            orders: vec![None; at_once],
            agenda: BinaryHeap::new(),
            waiting: VecDeque::new(),
            now_ms: profile.start_ms,
            acts: 0,
            numbers: 0,
            placed: 0,
            rng,
            seed,
            world,
            sales,
            profile,
        };
        for slot in 0..at_once {
            let delay = this.rng.between(0, ORDER_GAP_MS);
            this.schedule(delay, Actor::Order(slot));
        }
        for slot in 0..this.sales.len() {
            let delay = this.rng.between(0, 400);
            this.schedule(delay, Actor::Sale(slot));
        }
        this.schedule(200, Actor::Wallets);
        this
    }

    /// Everybody who takes part.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    fn schedule(&mut self, delay_ms: i64, actor: Actor) {
        self.agenda.push(Reverse((self.now_ms + delay_ms, self.acts, actor)));
        self.acts += 1;
    }

    /// A delay around the mean: between 60 % and 140 % of it.
    fn about(&mut self, mean_ms: i64) -> i64 {
        self.rng.between(mean_ms * 6 / 10, mean_ms * 14 / 10).max(1)
    }

    fn act(&mut self, actor: Actor) {
        match actor {
            Actor::Order(slot) => {
                let spotlight = self.profile.spotlight && slot == 0;
                let mut order = match self.orders[slot].take() {
                    Some(order) => order,
                    None => self.place_order(spotlight),
                };
                let draft = order.step(&mut self.rng, &mut self.world, self.now_ms);
                let gap = if draft.is_some() { if spotlight { SPOTLIGHT_GAP_MS } else { ORDER_GAP_MS } } else { 1 };
                if let Some(draft) = draft {
                    self.orders[slot] = Some(order);
                    self.waiting.push_back(draft);
                }
                let delay = self.about(gap);
                self.schedule(delay, actor);
            }
            Actor::Sale(slot) => {
                let round = self.sales.len();
                let (draft, pause) = self.sales[slot].step(&mut self.rng, round, self.now_ms);
                self.waiting.push_back(draft);
                let delay = if pause { 4_000 } else { self.mean_gap(0.14, round) };
                let delay = self.about(delay);
                self.schedule(delay, actor);
            }
            Actor::Wallets => {
                let draft = self.wallet_event();
                self.waiting.push_back(draft);
                let gap = self.mean_gap(0.06, 1);
                let delay = self.about(gap);
                self.schedule(delay, actor);
            }
        }
    }

    /// Between two acts of one of `actors` that together make that share of all records.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "clamped to an hour, few actors")]
    fn mean_gap(&self, share: f64, actors: usize) -> i64 {
        (actors as f64 * 1000.0 / (self.profile.rate.clamp(0.1, 1e6) * share)).clamp(1.0, 3.6e6) as i64
    }

    fn place_order(&mut self, spotlight: bool) -> Order {
        let customers = self.world.customers.len();
        let who = if spotlight {
            (0, 0)
        } else {
            let first = usize::from(self.profile.spotlight && customers > 1);
            // The demo's merchant is a busy one.
            let busy = self.profile.spotlight && self.rng.percent(20);
            let merchant = if busy { 0 } else { self.rng.index(self.world.merchants.len()) };
            (first + self.rng.index(customers - first), merchant)
        };
        self.placed += 1;
        // An odd factor permutes the 40-bit numbers: ids look drawn, yet never repeat.
        let scrambled = (self.placed.wrapping_mul(0x9e_3779_b97f) ^ (self.seed << 8)) & 0xff_ffff_ffff;
        let day = json::rfc3339(self.now_ms)[..10].replace('-', "");
        let ids = (format!("ord_{scrambled:010x}"), format!("RZ-{day}-{:06}", self.placed));
        Order::place(&mut self.rng, &self.world, ids, who, spotlight)
    }

    fn wallet_event(&mut self) -> Draft {
        let spotlight = self.profile.spotlight && self.rng.percent(25);
        let index = if spotlight { 0 } else { self.rng.index(self.world.customers.len()) };
        let customer = &mut self.world.customers[index];
        let wallet = &mut customer.wallet;
        let (id, now) = (&customer.id, self.now_ms);
        let change = match self.rng.below(10) {
            0..=2 if wallet.promo > 0 => {
                let amount = self.rng.between(1, wallet.promo);
                let days = self.rng.between(0, 7);
                let data = Object::new()
                    .text("userId", id)
                    .money("amount", amount)
                    .text("coinType", "promo_coins")
                    .time("expiresAt", now + days * 86_400_000)
                    .raw("daysRemaining", days);
                return Draft::new("wallet.coinsExpiring", id, data);
            }
            3..=4 if wallet.promo > 0 => {
                let amount = self.rng.between(1, wallet.promo);
                wallet.promo -= amount;
                Change { amount, coin: "promo_coins", credit: false, reason: "expiry" }
            }
            5..=6 => {
                let amount = self.rng.between(100, 9_999);
                wallet.branded += amount;
                Change { amount, coin: "branded_coins", credit: true, reason: "promotion" }
            }
            _ => {
                let amount = self.rng.between(100, 4_999);
                wallet.promo += amount;
                Change { amount, coin: "promo_coins", credit: true, reason: "promotion" }
            }
        };
        change.draft(id, *wallet, None, now)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped before"
)]
fn per_second(rate: f64, gap_ms: i64) -> usize {
    (rate * gap_ms as f64 / 1000.0).round() as usize
}

impl Iterator for Marketplace {
    type Item = SeedRecord;

    fn next(&mut self) -> Option<SeedRecord> {
        loop {
            if let Some(draft) = self.waiting.pop_front() {
                let number = self.numbers;
                self.numbers += 1;
                let encoding = *self.rng.pick(&Encoding::ALL);
                let topic = draft.topic();
                let Draft { kind, key, json } = draft;
                return Some(SeedRecord { number, topic, key, kind, json, at_ms: self.now_ms, encoding });
            }
            // The wallets' actor always has a next act: the agenda is never empty.
            let Reverse((at_ms, _, actor)) = self.agenda.pop()?;
            self.now_ms = at_ms;
            self.act(actor);
        }
    }
}

#[cfg(test)]
mod tests;
