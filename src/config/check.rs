//! What types alone cannot say: bounds, formats, and keys that only make sense together. Each finding names its key
//! and what would be right. Pure: nothing is opened or resolved here.

use std::time::Duration;

use super::origin::Origin;
use super::{Auth, Codec, Config, Dashboard, Hub, Kafka, Limits, Log, Origins, Redis, Server, Socket};

/// A key's path and what is wrong with it.
pub(super) type Finding = (String, String);

/// The shortest HS256 secret: as long as the hash (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// Parts of secrets that stand in somebody's documentation, this one's included: known to everybody.
const KNOWN_SECRETS: [&str; 9] = [
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "your-secret",
    "your_secret",
    "256-bit-secret",
    "example",
];

/// Properties of librdkafka that are not the operator's to set: that no record is lost rests on them, and brokers and
/// statistics have keys of their own.
pub const RESERVED_PROPERTIES: [&str; 10] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "isolation.level",
    "metadata.broker.list",
    "statistics.interval.ms",
];

/// All findings that hold for every command.
pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut list = List(Vec::new());
    server(&config.server, config.admin.listen, &mut list);
    origins(&config.origins, &mut list);
    auth(&config.auth, &mut list);
    socket(&config.socket, &mut list);
    limits(&config.limits, &mut list);
    kafka(&config.kafka, &mut list);
    codec(&config.codec, &mut list);
    hub(&config.hub, &mut list);
    dashboard(&config.dashboard, &mut list);
    redis(&config.redis, &mut list);
    log(&config.log, &mut list);
    list.0
}

/// What a server needs besides.
pub(super) fn serve(config: &Config) -> Vec<Finding> {
    let auth = &config.auth;
    if auth.secret.is_some() || auth.public_key_file.is_some() || auth.jwks_file.is_some() {
        return Vec::new();
    }
    vec![(
        "auth".into(),
        "no key to check tokens with: set JWT_SECRET (32 bytes or more), auth.public_key_file or auth.jwks_file".into(),
    )]
}

struct List(Vec<Finding>);

impl List {
    fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push((path.into(), message.into()));
    }

    fn need(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, message());
        }
    }

    fn duration(&mut self, path: &str, value: Duration, least: Duration, most: Duration) {
        self.need(least <= value && value <= most, path, || {
            format!("must be from {least:?} to {most:?}, is {value:?}")
        });
    }

    fn number(&mut self, path: &str, value: usize, least: usize, most: usize) {
        self.need(least <= value && value <= most, path, || format!("must be from {least} to {most}, is {value}"));
    }

    fn origin(&mut self, path: &str, value: Option<&String>) {
        if let Some(text) = value
            && let Err(error) = Origin::parse(text)
        {
            self.add(path, format!("{text:?}: {error}"));
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn server(server: &Server, admin: std::net::SocketAddr, list: &mut List) {
    list.origin("server.public_origin", server.public_origin.as_ref());
    list.number("server.max_connections", server.max_connections, 1, 10_000_000);
    list.duration("server.request_timeout", server.request_timeout, 100 * MILLISECOND, 5 * MINUTE);
    list.duration("server.shutdown_deadline", server.shutdown_deadline, SECOND, HOUR);
    let same = server.listen.port() == admin.port() && server.listen.port() != 0;
    let overlap =
        server.listen.ip() == admin.ip() || server.listen.ip().is_unspecified() || admin.ip().is_unspecified();
    list.need(!(same && overlap), "admin.listen", || {
        format!("{admin} is also server.listen ({}): the operators' listener needs a port of its own", server.listen)
    });
}

fn origins(origins: &Origins, list: &mut List) {
    list.origin("origins.customer_app", origins.customer_app.as_ref());
    list.origin("origins.merchant_app", origins.merchant_app.as_ref());
    list.origin("origins.admin_app", origins.admin_app.as_ref());
    for origin in &origins.also {
        list.origin("origins.also", Some(origin));
    }
}

fn auth(auth: &Auth, list: &mut List) {
    if let Some(message) = auth.secret.as_ref().and_then(|secret| weak_secret(secret.expose())) {
        list.add("auth.secret", message);
    }
    match (&auth.public_key_file, auth.public_key_algorithm.as_deref()) {
        (_, Some(name)) if !matches!(name, "RS256" | "ES256" | "EdDSA") => {
            list.add("auth.public_key_algorithm", format!("must be RS256, ES256 or EdDSA, is {name:?}"));
        }
        (Some(_), None) => list.add(
            "auth.public_key_algorithm",
            "is needed beside auth.public_key_file: RS256, ES256 or EdDSA, whichever the key is for",
        ),
        (None, Some(_)) => list.add("auth.public_key_file", "is needed beside auth.public_key_algorithm"),
        _ => {}
    }
    for (path, value) in [("auth.issuer", &auth.issuer), ("auth.audience", &auth.audience)] {
        list.need(value.as_deref() != Some(""), path, || "is empty: leave it out to accept any".into());
    }
    list.duration("auth.leeway", auth.leeway, Duration::ZERO, 10 * MINUTE);
    list.duration("auth.grace", auth.grace, Duration::ZERO, DAY);
    list.duration("auth.expiring_notice", auth.expiring_notice, Duration::ZERO, DAY);
    for (path, value) in [
        ("auth.role_claim", &auth.role_claim),
        ("auth.merchant_ids_claim", &auth.merchant_ids_claim),
        ("auth.merchant_id_claim", &auth.merchant_id_claim),
    ] {
        list.need(!value.is_empty(), path, || "is empty: name the claim".into());
    }
}

/// Why a secret is none, without a word of its text.
fn weak_secret(secret: &str) -> Option<String> {
    const REMEDY: &str = "make one with `openssl rand -base64 48`";
    let lower = secret.to_ascii_lowercase();
    let distinct = secret.bytes().collect::<std::collections::BTreeSet<_>>().len();
    if secret.len() < MIN_SECRET_BYTES {
        Some(format!("has {} bytes, HS256 needs {MIN_SECRET_BYTES} or more: {REMEDY}", secret.len()))
    } else if KNOWN_SECRETS.iter().any(|known| lower.contains(known)) {
        Some(format!("is an example from somebody's documentation: {REMEDY}"))
    } else if distinct < 8 {
        Some(format!("repeats {distinct} characters and can be guessed: {REMEDY}"))
    } else {
        None
    }
}

fn socket(socket: &Socket, list: &mut List) {
    list.duration("socket.ping_interval", socket.ping_interval, 10 * MILLISECOND, HOUR);
    list.duration("socket.ping_timeout", socket.ping_timeout, 10 * MILLISECOND, HOUR);
    // Below 16 KiB a CONNECT with the longest token would not fit.
    list.number("socket.max_payload", socket.max_payload, 16 * KIB, 100 * MIB);
    list.duration("socket.connect_timeout", socket.connect_timeout, 10 * MILLISECOND, 10 * MINUTE);
    list.duration("socket.write_deadline", socket.write_deadline, 10 * MILLISECOND, 10 * MINUTE);
    list.number("socket.send_buffer", socket.send_buffer, 4 * KIB, 64 * MIB);
    list.number("socket.queue_messages", socket.queue_messages, 1, 1_000_000);
    list.number("socket.queue_bytes", socket.queue_bytes, 4 * KIB, 1024 * MIB);
    list.duration("socket.settle", socket.settle, Duration::ZERO, MINUTE);
    list.duration("socket.hold_max", socket.hold_max, Duration::ZERO, 10 * MINUTE);
    list.need(socket.settle <= socket.hold_max, "socket.hold_max", || {
        format!("{:?} is less than socket.settle ({:?}), which it may prolong", socket.hold_max, socket.settle)
    });
    list.duration("socket.order_wait", socket.order_wait, Duration::ZERO, MINUTE);
}

fn limits(limits: &Limits, list: &mut List) {
    list.number("limits.connections_per_user", limits.connections_per_user, 1, 1_000_000);
    list.number("limits.rooms_per_socket", limits.rooms_per_socket, 1, 100_000);
    list.number("limits.events_per_second", limits.events_per_second as usize, 1, 1_000_000);
    list.number("limits.events_burst", limits.events_burst as usize, 1, 1_000_000);
    list.number("limits.pending_subscriptions", limits.pending_subscriptions, 1, 100_000);
}

fn kafka(kafka: &Kafka, list: &mut List) {
    for broker in kafka.brokers.split(',').map(str::trim) {
        if let Err(message) = broker_address(broker) {
            list.add("kafka.brokers", message);
        }
    }
    list.need(!kafka.topics.is_empty(), "kafka.topics", || "is empty: name at least one topic to follow".into());
    for (index, topic) in kafka.topics.iter().enumerate() {
        list.need(is_topic(topic), "kafka.topics", || {
            format!("{topic:?} is no topic's name: 1 to 249 letters, digits, `.`, `_` and `-`")
        });
        list.need(!kafka.topics[..index].contains(topic), "kafka.topics", || format!("{topic:?} is named twice"));
    }
    for name in kafka.properties.keys() {
        let path = format!("kafka.properties.{name}");
        if name == "bootstrap.servers" || name == "metadata.broker.list" {
            list.add(&path, "is set by kafka.brokers");
        } else if RESERVED_PROPERTIES.contains(&name.as_str()) {
            list.add(&path, "is the bridge's own to set: remove it");
        }
    }
    list.duration("kafka.metadata_refresh", kafka.metadata_refresh, 10 * MILLISECOND, HOUR);
}

/// Whether Kafka takes it for a topic's name.
fn is_topic(name: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(alphabet) && name != "." && name != ".."
}

/// `host:port`, `[v6]:port`, either with a listener's protocol before it.
fn broker_address(broker: &str) -> Result<(), String> {
    if broker.is_empty() {
        return Err("has an empty entry: write \"host:port,host:port\"".into());
    }
    let address = match broker.split_once("://") {
        Some(("PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL", address)) => address,
        Some((protocol, _)) => return Err(format!("{broker:?}: {protocol:?} is no protocol of Kafka's listeners")),
        None => broker,
    };
    let (host, port) = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
        .ok_or_else(|| format!("{broker:?} has no port: write for example \"{address}:9092\""))?;
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@')) {
        return Err(format!("{broker:?} has no host name: write \"host:port\""));
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("{broker:?}: the port must be a number from 1 to 65535")),
    }
}

fn codec(codec: &Codec, list: &mut List) {
    if let Some(url) = &codec.registry_url {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        match rest {
            // The URL may hold a password here: it is not repeated.
            Some(rest) if rest.split('/').next().unwrap_or_default().contains('@') => list.add(
                "codec.registry_url",
                "holds credentials: move them to codec.registry_user and codec.registry_password",
            ),
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => {}
            _ => list.add("codec.registry_url", format!("must be an http:// or https:// URL, is {url:?}")),
        }
    }
    match (&codec.registry_user, &codec.registry_password) {
        (Some(_), None) => list.add("codec.registry_password", "is needed beside codec.registry_user"),
        (None, Some(_)) => list.add("codec.registry_user", "is needed beside codec.registry_password"),
        _ => {}
    }
    list.duration("codec.registry_timeout", codec.registry_timeout, 10 * MILLISECOND, MINUTE);
    list.duration("codec.hold_deadline", codec.hold_deadline, Duration::ZERO, 7 * DAY);
    list.number("codec.max_record", codec.max_record, KIB, 100 * MIB);
}

fn hub(hub: &Hub, list: &mut List) {
    list.number("hub.shards", hub.shards, 0, 1024);
    list.number("hub.window_bytes", hub.window_bytes, 64 * KIB, usize::MAX / 2);
    list.duration("hub.window_age", hub.window_age, SECOND, 7 * DAY);
    list.number("hub.owners", hub.owners, 1, 1_000_000_000);
}

fn dashboard(dashboard: &Dashboard, list: &mut List) {
    let zone = &dashboard.time_zone;
    list.need(jiff::tz::TimeZone::get(zone).is_ok(), "dashboard.time_zone", || {
        format!(
            "{zone:?} is no time zone of this system: write an IANA name, for example \"Asia/Kolkata\" \
             (other names than \"UTC\" need the system's tzdata)"
        )
    });
    list.need(is_topic(&dashboard.topic), "dashboard.topic", || {
        format!("{:?} is no topic's name: 1 to 249 letters, digits, `.`, `_` and `-`", dashboard.topic)
    });
    list.duration("dashboard.interval", dashboard.interval, 100 * MILLISECOND, DAY);
}

fn redis(redis: &Redis, list: &mut List) {
    if let Some(url) = &redis.url {
        let known = ["redis://", "rediss://", "redis+unix://", "unix://"];
        // Not repeated: a URL may hold a password.
        list.need(known.iter().any(|scheme| url.expose().starts_with(scheme)), "redis.url", || {
            "must begin with redis:// or rediss:// (its value is not shown)".into()
        });
    }
}

fn log(log: &Log, list: &mut List) {
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log.filter) {
        list.add("log.filter", format!("{:?} is no filter ({error}); write for example \"info\"", log.filter));
    }
}
