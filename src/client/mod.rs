//! A small Socket.IO v4 client that speaks what stock clients speak: for the demo, the tests and the benchmarks, which
//! must see what the server really sends. WebSocket, long-polling, or polling with an upgrade, as a stock client without
//! options does. It never reconnects by itself and keeps no state beyond its connection; every channel is bounded and
//! every wait has an end. Plain `http` only: it talks to this machine.

mod packet;
mod polling;
mod session;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Uri};
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{error::Elapsed, timeout};

pub use packet::{Connected, EnginePacket, Handshake, PacketError, Refusal, SEPARATOR, SocketPacket};
pub use session::{CloseReason, Event, Incoming};

use session::{Command, Session};

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// WebSocket from the first byte.
    WebSocket,
    /// Long-polling, for good.
    Polling,
    /// Long-polling that moves to a WebSocket: the stock client's default.
    Upgrade,
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://host:port`, with a path when the server is not at `/socket.io/`.
    pub url: String,
    /// How to reach it.
    pub transport: Transport,
    /// What CONNECT carries: `{"token": …}`, for a recovery also `pid` and `offset`; `None` sends a bare CONNECT.
    pub auth: Option<serde_json::Value>,
    /// `Origin` header, as a browser sends it.
    pub origin: Option<String>,
    /// Limit for everything from the first byte to the server's answer to CONNECT.
    pub connect_timeout: Duration,
    /// How long [`Emitter::ask`] waits.
    pub ack_timeout: Duration,
    /// Events that may wait for the reader; a full buffer stops reading from the server, as a hanging app does.
    pub buffer: usize,
}

impl Options {
    /// A WebSocket connection with a token, everything else as usual.
    #[must_use]
    pub fn new(url: impl Into<String>, token: &str) -> Self {
        Self {
            url: url.into(),
            transport: Transport::WebSocket,
            auth: Some(serde_json::json!({ "token": token })),
            origin: None,
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(10),
            buffer: 1024,
        }
    }

    /// The same over another transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `connect_error`: the server refuses this client.
    #[error("refused: {}", .0.message)]
    Refused(Refusal),
    /// An HTTP status instead of a session.
    #[error("HTTP status {status}: {body}")]
    Http {
        /// The status.
        status: u16,
        /// The answer's text.
        body: String,
    },
    /// The transport failed, or ended before the answer.
    #[error("no connection: {0}")]
    Transport(String),
    /// The server spoke nonsense.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// No answer within `connect_timeout`.
    #[error("no answer in time")]
    Timeout,
    /// The URL is not `http://host:port/…`, or the origin is no header value.
    #[error("{0:?} is no http:// address or origin")]
    Address(String),
}

impl From<Elapsed> for ConnectError {
    fn from(_: Elapsed) -> Self {
        Self::Timeout
    }
}

/// Why an emit got no ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// No ack within `ack_timeout`.
    #[error("no ack in time")]
    Timeout,
}

/// A connected client: what comes, and the handle for what goes.
#[derive(Debug)]
pub struct Client {
    /// Ids that the server gave.
    pub connected: Connected,
    emitter: Emitter,
    incoming: mpsc::Receiver<Incoming>,
}

impl Client {
    /// Connects and waits for the server's answer to CONNECT.
    ///
    /// # Errors
    /// [`ConnectError`], within `connect_timeout`.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        timeout(options.connect_timeout, Self::dial(options)).await?
    }

    async fn dial(options: &Options) -> Result<Self, ConnectError> {
        let target = Target::parse(options)?;
        let connect = match &options.auth {
            Some(auth) => format!("40{auth}"),
            None => "40".into(),
        };
        let (admission, admitted) = oneshot::channel();
        let (events, incoming) = mpsc::channel(options.buffer.max(1));
        let (commands, orders) = mpsc::channel(64);
        let upgraded = Arc::new(AtomicBool::new(options.transport == Transport::WebSocket));
        let emitter = Emitter { commands, ack_timeout: options.ack_timeout, upgraded: Arc::clone(&upgraded) };
        if options.transport == Transport::WebSocket {
            let mut ws = websocket::dial(&target, None).await?;
            let open = match websocket::read(&mut ws).await {
                Some(Ok(open)) => open,
                end => return Err(ConnectError::Transport(format!("no open packet: {end:?}"))),
            };
            let session = Session::new(&opened(&open)?, admission, events);
            let written = websocket::write(&mut ws, connect).await;
            written.map_err(|e| ConnectError::Transport(format!("{e:?}")))?;
            tokio::spawn(websocket::run(ws, session, orders));
        } else {
            let (open, first) = polling::open(&target).await?;
            let handshake = opened(&open)?;
            let upgrade =
                options.transport == Transport::Upgrade && handshake.upgrades.iter().any(|other| other == "websocket");
            let session = Session::new(&handshake, admission, events);
            let polling = polling::Polling { first, waiting: vec![connect], target, sid: handshake.sid, upgrade };
            tokio::spawn(polling::run(polling, session, orders, move || upgraded.store(true, Ordering::Release)));
        }
        match admitted.await {
            Ok(Ok(connected)) => Ok(Self { connected, emitter, incoming }),
            Ok(Err(refusal)) => Err(ConnectError::Refused(refusal)),
            Err(_) => Err(ConnectError::Transport("closed before CONNECT was answered".into())),
        }
    }

    /// The next event, or the connection's end; `None` after the end.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// A handle for emitting, usable beside [`Client::next`].
    #[must_use]
    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }
}

/// Emits events; cheap to clone. Its methods return [`AckError::Closed`] once the connection is gone.
#[derive(Clone, Debug)]
pub struct Emitter {
    commands: mpsc::Sender<Command>,
    ack_timeout: Duration,
    upgraded: Arc<AtomicBool>,
}

impl Emitter {
    /// Emits an event without asking for an ack.
    ///
    /// # Errors
    /// [`AckError::Closed`].
    pub async fn emit(&self, name: &str, argument: &serde_json::Value) -> Result<(), AckError> {
        self.order(Command::Emit(arguments(name, argument), None)).await
    }

    /// Emits an event and returns the ack's arguments. Somebody must read [`Client::next`] meanwhile, or a full buffer
    /// keeps the ack from being read.
    ///
    /// # Errors
    /// [`AckError`].
    pub async fn ask(&self, name: &str, argument: &serde_json::Value) -> Result<Vec<Box<RawValue>>, AckError> {
        let (answer, answered) = oneshot::channel();
        self.order(Command::Emit(arguments(name, argument), Some(answer))).await?;
        let answer = timeout(self.ack_timeout, answered).await.map_err(|_| AckError::Timeout)?;
        answer.map_err(|_| AckError::Closed)
    }

    /// Sends a raw Engine.IO packet, for what no stock client sends.
    ///
    /// # Errors
    /// [`AckError::Closed`].
    pub async fn raw(&self, packet: impl Into<String>) -> Result<(), AckError> {
        self.order(Command::Raw(packet.into())).await
    }

    /// Says goodbye and closes.
    pub async fn disconnect(&self) {
        // Gone already is as good.
        self.order(Command::Disconnect).await.ok();
    }

    /// Drops the connection without a word, as a dying process does.
    pub async fn cut(&self) {
        self.order(Command::Cut).await.ok();
    }

    /// Whether the connection is on a WebSocket by now.
    #[must_use]
    pub fn on_websocket(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    async fn order(&self, command: Command) -> Result<(), AckError> {
        match timeout(self.ack_timeout, self.commands.send(command)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(AckError::Closed),
            Err(_) => Err(AckError::Timeout),
        }
    }
}

fn arguments(name: &str, argument: &serde_json::Value) -> String {
    serde_json::json!([name, argument]).to_string()
}

fn opened(packet: &str) -> Result<Handshake, ConnectError> {
    match EnginePacket::parse(packet)? {
        EnginePacket::Open(body) => Ok(packet::json(body)?),
        other => Err(PacketError(format!("{other:?} where the open packet should be")).into()),
    }
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    authority: String,
    path: String,
    origin: Option<HeaderValue>,
}

impl Target {
    fn parse(options: &Options) -> Result<Self, ConnectError> {
        let wrong = |text: &str| ConnectError::Address(text.to_owned());
        let uri: Uri = options.url.parse().map_err(|_| wrong(&options.url))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong(&options.url));
        };
        let port = authority.port_u16().unwrap_or(80);
        let origin = match &options.origin {
            Some(origin) => Some(HeaderValue::from_str(origin).map_err(|_| wrong(origin))?),
            None => None,
        };
        let path = if uri.path() == "/" { "/socket.io/" } else { uri.path() };
        Ok(Self { authority: format!("{}:{port}", authority.host()), path: path.to_owned(), origin })
    }

    fn query(&self, transport: &str, sid: Option<&str>) -> String {
        let path = &self.path;
        match sid {
            Some(sid) => format!("{path}?EIO=4&transport={transport}&sid={sid}"),
            None => format!("{path}?EIO=4&transport={transport}"),
        }
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|e| ConnectError::Transport(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| ConnectError::Transport(e.to_string()))?;
        Ok(stream)
    }
}
