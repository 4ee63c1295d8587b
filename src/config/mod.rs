//! The configuration: one documented struct per section. Defaults < file < environment; every error is reported at
//! once with its path. `config/default.toml` shows every key.

mod check;
mod de;
mod defaults;
mod error;
mod load;
pub mod origin;
mod secret;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use check::{MIN_SECRET_BYTES, RESERVED_PROPERTIES};
pub use error::{ConfigError, ConfigErrors, Place};
pub use load::{environment, load, load_for_serve};
pub use origin::{Origin, OriginError};
pub use secret::Secret;

/// The whole configuration of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public listener.
    pub server: Server,
    /// The operators' listener.
    pub admin: Admin,
    /// Which browser origins may connect.
    pub origins: Origins,
    /// Tokens.
    pub auth: Auth,
    /// Engine.IO and Socket.IO settings.
    pub socket: Socket,
    /// What one client may do.
    pub limits: Limits,
    /// Brokers and topics.
    pub kafka: Kafka,
    /// How records are decoded.
    pub codec: Codec,
    /// Where records go.
    pub routes: Routes,
    /// Shards and the window.
    pub hub: Hub,
    /// The admins' figures.
    pub dashboard: Dashboard,
    /// Redis.
    pub redis: Redis,
    /// Logging.
    pub log: Log,
}

/// `[server]`: the public listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port. `PORT` sets the port alone.
    pub listen: SocketAddr,
    /// The bridge's own public origin (`https://rt.example.com`), which React Native's WebSocket sends by default.
    pub public_origin: Option<String>,
    /// Most TCP connections at once; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// A request's head and body must be there within this time.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// SIGTERM to exit, whatever hangs.
    #[serde(with = "humantime_serde")]
    pub shutdown_deadline: Duration,
}

/// `[admin]`: health, readiness and metrics for operators.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port; loopback by default.
    pub listen: SocketAddr,
}

/// `[origins]`: the browser apps that may connect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origins {
    /// Origin of the customers' app (`CUSTOMER_APP_URL`).
    pub customer_app: Option<String>,
    /// Origin of the merchants' app (`MERCHANT_APP_URL`).
    pub merchant_app: Option<String>,
    /// Origin of the admins' app (`ADMIN_APP_URL`).
    pub admin_app: Option<String>,
    /// Further origins.
    pub also: Vec<String>,
    /// Whether a request without `Origin` (native apps, servers) may connect; its token decides then.
    pub allow_absent: bool,
}

/// `[auth]`: how tokens are checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// HS256 secret (`JWT_SECRET`), at least 32 bytes.
    pub secret: Option<Secret>,
    /// A PEM public key; its algorithm is `public_key_algorithm`.
    pub public_key_file: Option<PathBuf>,
    /// `RS256`, `ES256` or `EdDSA`.
    pub public_key_algorithm: Option<String>,
    /// A JWKS file; each key's algorithm is pinned by its `alg`, or by its type. Read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// Clock difference tolerated for `exp` and `nbf`.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// Whether a token must have `exp`.
    pub require_exp: bool,
    /// How long after `exp` a connection may stay, for the client to renew its token.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How long before `exp` the client is told by `auth:expiring`.
    #[serde(with = "humantime_serde")]
    pub expiring_notice: Duration,
    /// Claim that holds the role.
    pub role_claim: String,
    /// Claim that holds the merchant's ids (array).
    pub merchant_ids_claim: String,
    /// Claim that holds one merchant's id.
    pub merchant_id_claim: String,
}

/// `[socket]`: the protocol's timings and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Socket {
    /// Engine.IO ping interval.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// Engine.IO ping timeout.
    #[serde(with = "humantime_serde")]
    pub ping_timeout: Duration,
    /// Largest message a client may send, in bytes.
    pub max_payload: usize,
    /// How long a new transport may wait before it sends CONNECT; also how long one may stay after DISCONNECT.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a peer may take nothing of what is written to it before it is cut.
    #[serde(with = "humantime_serde")]
    pub write_deadline: Duration,
    /// Kernel send buffer (`SO_SNDBUF`), in bytes.
    pub send_buffer: usize,
    /// Most events that may wait for one socket.
    pub queue_messages: usize,
    /// Most bytes that may wait for one socket.
    pub queue_bytes: usize,
    /// How long events are held back after CONNECT, until the app has attached its listeners.
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The most that `auth.hold` may prolong it to.
    #[serde(with = "humantime_serde")]
    pub hold_max: Duration,
    /// How long a subscription to an order that is not known waits for its record.
    #[serde(with = "humantime_serde")]
    pub order_wait: Duration,
}

/// `[limits]`: what one client may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections of one user at once on this node.
    pub connections_per_user: usize,
    /// Rooms of one socket.
    pub rooms_per_socket: usize,
    /// Client events a second, sustained.
    pub events_per_second: u32,
    /// Client events at once, before the rate counts.
    pub events_burst: u32,
    /// Subscriptions of one socket that may wait for an unknown order at once.
    pub pending_subscriptions: usize,
}

/// `[kafka]`: brokers and topics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// `host:port,host:port` (`KAFKA_BROKERS`).
    pub brokers: String,
    /// The domain topics to follow.
    pub topics: Vec<String>,
    /// Any further librdkafka property, for example `security.protocol`; some are passwords, so none is ever shown.
    pub properties: BTreeMap<String, Secret>,
    /// How often topics are looked at for new partitions.
    #[serde(with = "humantime_serde")]
    pub metadata_refresh: Duration,
}

/// `[codec]`: how records are decoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Codec {
    /// A folder of `.avsc` files; the compiled-in catalogue when unset.
    pub schemas: Option<PathBuf>,
    /// Schema registry (Confluent API), for example `http://registry:8081`.
    pub registry_url: Option<String>,
    /// Basic auth for it.
    pub registry_user: Option<String>,
    /// Its password.
    pub registry_password: Option<Secret>,
    /// Time limit of one registry request.
    #[serde(with = "humantime_serde")]
    pub registry_timeout: Duration,
    /// How long a record that cannot be decoded yet holds its partition, before it is skipped as a told gap.
    #[serde(with = "humantime_serde")]
    pub hold_deadline: Duration,
    /// Largest record value that is handled, in bytes.
    pub max_record: usize,
}

/// `[routes]`: where records go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// The route file; the compiled-in default when unset.
    pub file: Option<PathBuf>,
}

/// `[hub]`: shards and the window.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hub {
    /// Number of shards; 0 means one per core.
    pub shards: usize,
    /// Most bytes of records in the window.
    pub window_bytes: usize,
    /// Greatest age of a record in the window.
    #[serde(with = "humantime_serde")]
    pub window_age: Duration,
    /// Most orders whose owners are remembered.
    pub owners: usize,
}

/// `[dashboard]`: the admins' figures.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// IANA name of the time zone whose midnight begins a day.
    pub time_zone: String,
    /// The topic that is read from midnight on at start, so that the day's figures are right again.
    pub topic: String,
    /// How often `dashboard.stats` is emitted.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
}

/// `[redis]`: not used yet by this version; a set URL is reported at start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://…` (`REDIS_URL`); secret, since it may hold a password.
    pub url: Option<Secret>,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A `tracing` filter, for example `info` or `rtmn_bridge=debug`.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
}
