//! Clients that behave as the apps do and write down what they hear, for the oracle.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rtmn_bridge::client::{AckError, Client, CloseReason, ConnectError, Emitter, Event, Incoming, Options, Transport};
use rtmn_bridge::demo::oracle::{self, Received, Stay};
use rtmn_bridge::demo::traffic::micros;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::bridge::Bridge;
use super::market::CLOSING;

const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(20);

/// What a customer's app does about an order that it hears is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// It subscribes, and stays.
    Orders,
    /// It subscribes, and leaves when the order is done.
    OrdersUntilDone,
}

/// Who a client is.
#[derive(Debug, Clone)]
pub struct Who {
    pub subject: String,
    pub role: &'static str,
    pub merchants: Vec<String>,
    pub transport: Transport,
    pub sales: Vec<String>,
    pub follows: Follows,
    /// Events that may wait in the client.
    pub buffer: usize,
}

impl Who {
    /// Somebody on a WebSocket who only listens.
    pub fn new(subject: impl Into<String>, role: &'static str) -> Self {
        Self {
            subject: subject.into(),
            role,
            merchants: Vec::new(),
            transport: Transport::WebSocket,
            sales: Vec::new(),
            follows: Follows::Nothing,
            buffer: 1024,
        }
    }

    pub fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    pub fn of(self, merchants: &[&str]) -> Self {
        Self { merchants: merchants.iter().map(|&merchant| merchant.to_owned()).collect(), ..self }
    }

    fn options(&self, bridge: &Bridge) -> Options {
        let token = Bridge::token(&self.subject, self.role, &self.merchants);
        let patient = Duration::from_mins(1);
        let options = Options::new(bridge.url(), &token).over(self.transport);
        Options { buffer: self.buffer, connect_timeout: patient, ack_timeout: patient, ..options }
    }

    /// A bare connection, which nobody reads from yet.
    pub async fn connect(&self, bridge: &Bridge) -> Result<Client, ConnectError> {
        Client::connect(&self.options(bridge)).await
    }

    /// Connects, joins its sales and listens.
    pub async fn listen(self, bridge: &Bridge) -> Listener {
        let asked = now_us();
        let name = format!("{} {} over {:?}", self.role, self.subject, self.transport);
        let client = self.connect(bridge).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let merchants: Vec<&str> = self.merchants.iter().map(String::as_str).collect();
        let stay = Stay::since(asked, now_us());
        let mut judged = oracle::Client::new(&self.subject, self.role, &merchants, stay);
        judged.name.clone_from(&name);
        let heard =
            Heard { client: judged, log: Vec::new(), following: Vec::new(), end: None, wrong: Vec::new(), closings: 0 };
        let heard = Arc::new(Mutex::new(heard));
        let emitter = client.emitter();
        let follower = Follower { emitter: emitter.clone(), heard: Arc::clone(&heard), follows: self.follows };
        let task = tokio::spawn(follower.run(client));
        let listener = Listener { name, emitter, heard, task };
        for sale in &self.sales {
            let asked = now_us();
            assert_eq!(listener.ask("join", &json!(format!("flash_sale:{sale}"))).await, Ok(true), "{}", listener.name);
            let stay = Stay::since(asked, now_us());
            let mut heard = listener.heard.lock();
            heard.client = heard.client.clone().sale(sale, stay);
        }
        listener
    }
}

pub fn now_us() -> i64 {
    micros(SystemTime::now())
}

#[derive(Debug)]
struct Heard {
    client: oracle::Client,
    log: Vec<Received>,
    following: Vec<(String, Stay)>,
    end: Option<CloseReason>,
    wrong: Vec<String>,
    closings: usize,
}

/// A connected client that writes down what it hears.
pub struct Listener {
    pub name: String,
    pub emitter: Emitter,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Whether the server says yes.
    pub async fn ask(&self, name: &str, argument: &Value) -> Result<bool, AckError> {
        Ok(answer(&self.emitter, name, argument).await?["ok"] == true)
    }

    /// The server's whole answer.
    pub async fn answer(&self, name: &str, argument: &Value) -> Value {
        answer(&self.emitter, name, argument).await.unwrap_or_else(|error| panic!("{}: {name}: {error}", self.name))
    }

    /// It follows an order from now on.
    pub async fn follow(&self, order: &str) {
        let asked = now_us();
        assert_eq!(self.ask("order:subscribe", &json!(order)).await, Ok(true), "{} and order {order}", self.name);
        self.heard.lock().following.push((order.to_owned(), Stay::since(asked, now_us())));
    }

    /// How the connection ended, if it did.
    pub fn end(&self) -> Option<CloseReason> {
        self.heard.lock().end.clone()
    }

    /// How many events of that name it heard.
    pub fn count(&self, event: &str) -> usize {
        self.heard.lock().log.iter().filter(|received| received.event == event).count()
    }

    /// The payloads of that event, in order.
    pub fn payloads(&self, event: &str) -> Vec<Value> {
        let heard = self.heard.lock();
        let of_event = heard.log.iter().filter(|received| received.event == event);
        of_event.map(|received| serde_json::from_str(&received.payload).expect("JSON")).collect()
    }

    /// Waits until it has heard so many.
    pub async fn until_heard(&self, event: &str, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        while self.count(event) < count {
            assert_eq!(self.end(), None, "{} is disconnected", self.name);
            let heard = self.count(event);
            assert!(begun.elapsed() < PATIENCE, "{}: {heard} of {count} {event} in {PATIENCE:?}", self.name);
            tokio::time::sleep(LOOK).await;
        }
        self.payloads(event)
    }

    /// How many of [`super::Market::close`]'s closing records it has heard.
    pub fn closings(&self) -> usize {
        self.heard.lock().closings
    }

    /// Ends it; returns what the oracle wants, and what went wrong besides.
    pub fn told(self) -> ((oracle::Client, Vec<Received>), Vec<String>) {
        let mut heard = self.heard.lock();
        let mut wrong = std::mem::take(&mut heard.wrong);
        if let Some(end) = &heard.end {
            wrong.push(format!("{}: the connection ended: {end:?}", self.name));
        }
        let following = std::mem::take(&mut heard.following);
        let client =
            following.into_iter().fold(heard.client.clone(), |client, (order, stay)| client.order(&order, stay));
        ((client, std::mem::take(&mut heard.log)), wrong)
    }
}

async fn answer(emitter: &Emitter, name: &str, argument: &Value) -> Result<Value, AckError> {
    let answer = emitter.ask(name, argument).await?;
    Ok(answer.first().map(|raw| serde_json::from_str(raw.get()).expect("JSON")).unwrap_or_default())
}

#[derive(Clone)]
struct Follower {
    emitter: Emitter,
    heard: Arc<Mutex<Heard>>,
    follows: Follows,
}

impl Follower {
    async fn run(self, mut client: Client) {
        loop {
            match client.next().await {
                Some(Incoming::Event(event)) => self.hear(event),
                Some(Incoming::Closed(reason)) => {
                    self.heard.lock().end = Some(reason);
                    return;
                }
                None => return,
            }
        }
    }

    fn hear(&self, event: Event) {
        let at_us = micros(event.at);
        let received =
            Received { payload: event.payload().to_owned(), position: event.position(), event: event.name, at_us };
        if self.follows != Follows::Nothing && received.event == "order.statusChanged" {
            let change: Value = serde_json::from_str(&received.payload).expect("JSON");
            let order = change["orderId"].as_str().expect("an order").to_owned();
            match change["status"].as_str() {
                Some("placed") => drop(tokio::spawn(self.clone().subscribe(order))),
                Some("delivered" | "cancelled") if self.follows == Follows::OrdersUntilDone => {
                    drop(tokio::spawn(self.clone().unsubscribe(order)));
                }
                _ => {}
            }
        }
        let mut heard = self.heard.lock();
        heard.closings += usize::from(received.payload.contains(CLOSING));
        heard.log.push(received);
    }

    async fn subscribe(self, order: String) {
        let asked = now_us();
        let outcome = answer(&self.emitter, "order:subscribe", &json!(order)).await;
        let mut heard = self.heard.lock();
        match outcome {
            Ok(answer) if answer["ok"] == true => heard.following.push((order, Stay::since(asked, now_us()))),
            other => heard.wrong.push(format!("subscribing to its own order {order}: {other:?}")),
        }
    }

    async fn unsubscribe(self, order: String) {
        // Only what it is in by now; a subscription that is still under way just stays.
        if !self.heard.lock().following.iter().any(|(id, _)| *id == order) {
            return;
        }
        let asked = now_us();
        let outcome = answer(&self.emitter, "order:unsubscribe", &json!(order)).await;
        let mut heard = self.heard.lock();
        if !matches!(&outcome, Ok(answer) if answer["ok"] == true) {
            heard.wrong.push(format!("leaving order {order}: {outcome:?}"));
        }
        for (id, stay) in &mut heard.following {
            if *id == order {
                stay.left_us = Some((asked, now_us()));
            }
        }
    }
}
