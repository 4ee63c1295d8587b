//! One client of the demo's crowd: it connects as an app does, logs what it hears, follows its own orders and the flash
//! sales, and once tries an order that is not its own. Its log and its stays in rooms are what the oracle judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{AckError, Client, ConnectError, Emitter, Event, Incoming, Options, Transport};

use super::oracle::{self, Received, Stay};
use super::traffic::micros;

/// Who a client is.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) subject: String,
    pub(super) role: &'static str,
    pub(super) merchants: Vec<String>,
    pub(super) transport: Transport,
    /// Flash sales that it watches from the start.
    pub(super) sales: Vec<String>,
}

/// What all clients share.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    /// Events received so far, by all.
    pub(super) heard: Arc<AtomicU64>,
    /// The newest order and its customer.
    pub(super) newest_order: Arc<Mutex<Option<(String, String)>>>,
    /// Ends all clients.
    pub(super) stop: CancellationToken,
}

/// What became of one client.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) client: oracle::Client,
    pub(super) log: Vec<Received>,
    /// Joins that were acknowledged.
    pub(super) joined: usize,
    /// What went wrong, in words.
    pub(super) wrong: Vec<String>,
}

enum Wish {
    Order(String),
    LeaveOrder(String),
    Sale(String),
    Foreign(String),
}

struct Answer {
    wish: Wish,
    asked_us: i64,
    answered_us: i64,
    outcome: Result<bool, AckError>,
}

/// A client that is connected.
pub(super) struct Connected {
    member: Member,
    client: Client,
    told: Told,
    asks: JoinSet<Answer>,
    /// Orders that it follows: since when.
    following: Vec<(String, Stay)>,
    tried_foreign: bool,
}

impl Member {
    pub(super) async fn connect(self, bridge: &str, token: &str) -> Result<Connected, ConnectError> {
        let asked_us = micros(SystemTime::now());
        let client = Client::connect(&Options::new(bridge, token).over(self.transport)).await?;
        let stay = Stay::since(asked_us, micros(SystemTime::now()));
        let merchants: Vec<&str> = self.merchants.iter().map(String::as_str).collect();
        let mut oracle = oracle::Client::new(&self.subject, self.role, &merchants, stay);
        oracle.name = format!("{} over {:?}", oracle.name, self.transport);
        let told = Told { client: oracle, log: Vec::new(), joined: 0, wrong: Vec::new() };
        let sales = self.sales.clone();
        let mut connected =
            Connected { member: self, client, told, asks: JoinSet::new(), following: Vec::new(), tried_foreign: false };
        for sale in sales {
            connected.ask(Wish::Sale(sale));
        }
        // Nobody produces before all have joined: the answers are awaited while what comes in waits in the buffer.
        while let Some(answer) = connected.asks.join_next().await {
            connected.answered(answer.ok());
        }
        Ok(connected)
    }
}

impl Connected {
    /// Listens until the crowd is told to stop, or the connection ends.
    pub(super) async fn listen(mut self, crowd: Crowd) -> Told {
        loop {
            tokio::select! {
                incoming = self.client.next() => match incoming {
                    Some(Incoming::Event(event)) => {
                        crowd.heard.fetch_add(1, Ordering::Relaxed);
                        self.hear(event, &crowd);
                    }
                    end => {
                        self.wrong(&format!("the connection ended: {end:?}"));
                        break;
                    }
                },
                Some(answer) = self.asks.join_next() => self.answered(answer.ok()),
                () = crowd.stop.cancelled() => {
                    self.client.emitter().disconnect().await;
                    break;
                }
            }
        }
        for (order, stay) in std::mem::take(&mut self.following) {
            self.told.client = self.told.client.order(&order, stay);
        }
        self.told
    }

    fn hear(&mut self, event: Event, crowd: &Crowd) {
        let at_us = micros(event.at);
        let received =
            Received { payload: event.payload().to_owned(), position: event.position(), event: event.name, at_us };
        match received.event.as_str() {
            "order.statusChanged" if self.member.role == "customer" => {
                self.follow(&serde_json::from_str(&received.payload).unwrap_or_default());
                self.try_foreign(crowd);
            }
            "promotion.flashSaleStarted" if !self.member.sales.is_empty() => {
                let sale: Value = serde_json::from_str(&received.payload).unwrap_or_default();
                let id = sale["id"].as_str().unwrap_or_default().to_owned();
                if !self.member.sales.contains(&id) {
                    self.member.sales.push(id.clone());
                    self.ask(Wish::Sale(id));
                }
            }
            _ => {}
        }
        self.told.log.push(received);
    }

    /// As the app does: an order is followed while it is on its way.
    fn follow(&mut self, change: &Value) {
        let Some(order) = change["orderId"].as_str().map(str::to_owned) else { return };
        match change["status"].as_str() {
            Some("placed") => self.ask(Wish::Order(order)),
            Some("delivered" | "cancelled") if self.following.iter().any(|(id, _)| *id == order) => {
                self.ask(Wish::LeaveOrder(order));
            }
            _ => {}
        }
    }

    fn try_foreign(&mut self, crowd: &Crowd) {
        if self.tried_foreign {
            return;
        }
        let newest = crowd.newest_order.lock().clone();
        if let Some((order, _)) = newest.filter(|(_, customer)| *customer != self.member.subject) {
            self.tried_foreign = true;
            self.ask(Wish::Foreign(order));
        }
    }

    fn ask(&mut self, wish: Wish) {
        let emitter = self.client.emitter();
        self.asks.spawn(async move {
            let asked_us = micros(SystemTime::now());
            let outcome = wish.send(&emitter).await;
            Answer { wish, asked_us, answered_us: micros(SystemTime::now()), outcome }
        });
    }

    fn answered(&mut self, answer: Option<Answer>) {
        let Some(Answer { wish, asked_us, answered_us, outcome }) = answer else { return };
        match (wish, outcome) {
            (Wish::Foreign(_), Ok(false)) => {}
            (Wish::Foreign(order), Ok(true)) => self.wrong(&format!("was let into the foreign order {order}")),
            (Wish::Order(order), Ok(true)) => {
                self.told.joined += 1;
                self.following.push((order, Stay::since(asked_us, answered_us)));
            }
            (Wish::LeaveOrder(order), Ok(true)) => {
                if let Some(at) = self.following.iter().position(|(id, stay)| *id == order && stay.left_us.is_none()) {
                    self.following[at].1.left_us = Some((asked_us, answered_us));
                }
            }
            (Wish::Sale(sale), Ok(true)) => {
                self.told.joined += 1;
                self.told.client = self.told.client.clone().sale(&sale, Stay::since(asked_us, answered_us));
            }
            (wish, outcome) => {
                let outcome = outcome.map_or_else(|error| error.to_string(), |_| "refused".to_owned());
                self.wrong(&format!("{}: {outcome}", wish.words()));
            }
        }
    }

    fn wrong(&mut self, what: &str) {
        self.told.wrong.push(format!("{}: {what}", self.told.client.name));
    }
}

impl Wish {
    async fn send(&self, emitter: &Emitter) -> Result<bool, AckError> {
        let answer = match self {
            Self::Order(order) | Self::Foreign(order) => emitter.ask("order:subscribe", &json!(order)).await?,
            Self::LeaveOrder(order) => emitter.ask("order:unsubscribe", &json!(order)).await?,
            Self::Sale(sale) => emitter.ask("join", &json!(format!("flash_sale:{sale}"))).await?,
        };
        let answer = answer.first().map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap_or_default());
        Ok(answer.is_some_and(|answer| answer["ok"] == true))
    }

    fn words(&self) -> String {
        match self {
            Self::Order(order) | Self::Foreign(order) => format!("subscribing to order {order}"),
            Self::LeaveOrder(order) => format!("leaving order {order}"),
            Self::Sale(sale) => format!("joining sale {sale}"),
        }
    }
}
