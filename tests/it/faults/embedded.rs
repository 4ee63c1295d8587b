//! A bridge in this process on an embedded broker, its admin figures, and a peer that writes whatever it likes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rtmn_bridge::app::{App, Options};
use rtmn_bridge::client::{self, Client, Incoming};
use rtmn_bridge::config::{Config, Secret};
use rtmn_bridge::demo::Minter;
use rtmn_bridge::kafka::embedded::EmbeddedBroker;
use rtmn_bridge::kafka::producer::{OutRecord, Producer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

pub struct Embedded {
    pub public: SocketAddr,
    admin: SocketAddr,
    producer: Producer,
    minter: Minter,
    _stop: DropGuard,
    _broker: EmbeddedBroker,
}

impl Embedded {
    /// A bridge that lets clients in; `change` has the last word on its configuration.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        let topics: Vec<_> = config.kafka.topics.iter().map(|topic| (topic.as_str(), 1)).collect();
        let broker = EmbeddedBroker::start(&topics).unwrap();
        config.kafka = broker.configure(config.kafka);
        config.auth.secret = Some(Secret::new(SECRET));
        config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.server.shutdown_deadline = Duration::from_secs(3);
        config.admin.listen = config.server.listen;
        config.hub.shards = 2;
        config.socket.settle = Duration::from_millis(1);
        change(&mut config);
        let producer = Producer::new(&config.kafka).unwrap();
        let app = App::start(config, Options { no_time_lookup: true, pages: None }).await.unwrap();
        let (public, admin, filled) = (app.public, app.admin, app.filled());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(app.run_until(async move { stopped.cancelled().await }));
        timeout(PATIENCE, filled.cancelled()).await.expect("the bridge gets ready");
        let minter = Minter::new(SECRET.as_bytes(), Duration::from_hours(1));
        Self { public, admin, producer, minter, _stop: stop.drop_guard(), _broker: broker }
    }

    pub fn token(&self, user: &str) -> String {
        self.minter.mint(user, "customer", &[]).unwrap()
    }

    pub async fn client(&self, user: &str) -> Client {
        let options = client::Options::new(format!("http://{}", self.public), &self.token(user));
        Client::connect(&options).await.unwrap()
    }

    /// Produces flash sales with these numbers, which go to everyone; each is about `padding` bytes.
    pub async fn sales(&self, numbers: std::ops::Range<usize>, padding: usize) {
        let mut pending = Vec::new();
        let description = "x".repeat(padding);
        for number in numbers {
            let sale = serde_json::json!({
                "id": format!("flash_sale_{number}"), "title": "t", "description": description, "discount": 1.0,
                "category": "c", "endsAt": "2026-11-23T12:00:00.000Z",
            });
            let payload = sale.to_string();
            let record = OutRecord {
                topic: "rtmn.promotions",
                key: Some(b"k"),
                payload: Some(payload.as_bytes()),
                headers: &[("type", b"promotion.flashSaleStarted")],
                timestamp_ms: None,
                partition: Some(0),
            };
            pending.push(self.producer.enqueue(record).await.unwrap());
        }
        for pending in pending {
            pending.confirmed().await.unwrap();
        }
    }

    /// The sum of a metric's samples whose line has this text.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter(|line| line[name.len()..].starts_with(['{', ' ']))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until a metric is as wanted.
    pub async fn settles(&self, name: &str, label: &str, wanted: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.metric(name, label).await;
            if wanted(value) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} {label} stays at {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nothing is left but so many sockets of healthy clients.
    pub async fn is_at_baseline(&self, sockets: f64) {
        self.settles("rtmn_transports", "", |n| same(n, sockets)).await;
        self.settles("rtmn_sockets", "", |n| same(n, sockets)).await;
    }

    pub async fn peer(&self) -> Peer {
        Peer { stream: TcpStream::connect(self.public).await.unwrap() }
    }

    /// A peer on a WebSocket; `receive` sets a receive buffer.
    pub async fn websocket(&self, receive: Option<u32>) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let mut peer = Peer { stream: socket.connect(self.public).await.unwrap() };
        peer.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
              Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
        peer.until(b"\"maxPayload\"").await;
        peer
    }

    /// The same after CONNECT.
    pub async fn connected(&self, user: &str, receive: Option<u32>) -> Peer {
        let mut peer = self.websocket(receive).await;
        peer.text(&format!("40{{\"token\":\"{}\"}}", self.token(user))).await;
        peer.until(b"40{\"sid\"").await;
        peer
    }

    /// A whole HTTP exchange: the status and the body.
    pub async fn http(&self, method: &str, query: &str, body: &str) -> (u16, String) {
        let mut peer = self.peer().await;
        let length = body.len();
        let head = format!(
            "{method} /socket.io/?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        peer.write((head + body).as_bytes()).await;
        let answer = String::from_utf8_lossy(&peer.rest().await).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.5
}

/// A connection that sends whatever it likes.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    /// Writes; that the other side has closed meanwhile is no failure.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server reads or closes");
    }

    /// A masked frame (with the mask 0).
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.write(&frame).await;
    }

    pub async fn text(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    /// Reads until these bytes have come.
    pub async fn until(&mut self, wanted: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        let found = timeout(PATIENCE, async {
            let mut buffer = [0; 4096];
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return false,
                    Ok(read) => seen.extend(&buffer[..read]),
                }
            }
            true
        });
        let found = found.await.unwrap_or(false);
        assert!(found, "{:?} never came: {:?}", String::from_utf8_lossy(wanted), String::from_utf8_lossy(&seen));
        seen
    }

    /// Reads to the end, which has to come.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut seen = Vec::new();
        let end = timeout(PATIENCE, self.stream.read_to_end(&mut seen)).await;
        // A reset is an end, too.
        assert!(end.is_ok(), "the server never closed");
        seen
    }
}

/// The numbers of the sales that a client hears, up to and with `last`.
pub async fn hear(client: &mut Client, last: usize) -> Vec<usize> {
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        let next = timeout(PATIENCE, client.next()).await;
        match next.unwrap_or_else(|_| panic!("nothing after {:?} of {last}", heard.last())) {
            Some(Incoming::Event(event)) if event.name == "promotion.flashSaleStarted" => {
                let payload: serde_json::Value = serde_json::from_str(event.payload()).unwrap();
                let id = payload["id"].as_str().unwrap().strip_prefix("flash_sale_").unwrap().parse().unwrap();
                heard.push(id);
            }
            Some(Incoming::Event(_)) => {}
            end => panic!("{end:?} after {:?} of {last}", heard.last()),
        }
    }
    heard
}
