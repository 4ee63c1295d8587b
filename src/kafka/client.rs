//! The settings that every Kafka client of the bridge shares, and the context through which librdkafka's logs and
//! errors come back.
//!
//! An operator's `[kafka.properties]` go to librdkafka as they are, except for those that the bridge's promises rest on:
//! setting one of these is refused. Nothing here logs a property's value, since some are passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config;

/// Why a client could not be built. All of these are mistakes in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A property that the bridge must set itself.
    #[error("kafka property `{0}` is decided by the bridge: remove it from [kafka.properties]")]
    Reserved(String),
    /// librdkafka does not take the property; its value is left out, since it may be a secret.
    #[error("kafka property `{name}` is refused by librdkafka: {why}")]
    Property {
        /// The property's name.
        name: String,
        /// What librdkafka says about it.
        why: String,
    },
    /// Anything else.
    #[error("cannot create a kafka client: {0}")]
    Create(String),
}

impl From<KafkaError> for ClientError {
    fn from(error: KafkaError) -> Self {
        match error {
            // The third field is the value: never shown.
            KafkaError::ClientConfig(_, why, name, _) => Self::Property { name, why },
            other => Self::Create(other.to_string()),
        }
    }
}

/// Settings common to consumers, producers and admin clients.
///
/// # Errors
/// [`ClientError::Reserved`] if the configuration sets what the bridge decides.
pub fn base_config(kafka: &config::Kafka, role: &str) -> Result<ClientConfig, ClientError> {
    let mut client = ClientConfig::new();
    client
        .set("client.id", format!("rtmn-bridge-{role}"))
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        // An outage ends when the broker is back, not at the end of a long backoff.
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("retry.backoff.ms", "100")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in &kafka.properties {
        if config::RESERVED_PROPERTIES.contains(&name.as_str()) {
            return Err(ClientError::Reserved(name.clone()));
        }
        client.set(name.as_str(), value.expose());
    }
    client.set("bootstrap.servers", &kafka.brokers).set("statistics.interval.ms", "0");
    Ok(client)
}

/// Settings of the follower's consumer: explicit positions, nothing committed, errors instead of silent resets.
///
/// # Errors
/// As [`base_config`].
pub fn follower_config(kafka: &config::Kafka) -> Result<ClientConfig, ClientError> {
    let mut client = base_config(kafka, "follower")?;
    let bounded = [
        // librdkafka wants a group's name for an assignment; the group is never joined and nothing is committed to it.
        ("group.id", "rtmn-bridge-follower"),
        ("fetch.wait.max.ms", "50"),
        // Each partition has a queue of its own: this bounds what waits in one, also while it is held.
        ("queued.max.messages.kbytes", "2048"),
        ("queued.min.messages", "4000"),
        ("fetch.queue.backoff.ms", "20"),
        ("fetch.error.backoff.ms", "200"),
        ("max.partition.fetch.bytes", "1048576"),
        ("topic.metadata.refresh.interval.ms", "30000"),
        // A topic that was deleted and created again should be noticed soon.
        ("topic.metadata.propagation.max.ms", "2000"),
    ];
    for (name, value) in bounded {
        if client.get(name).is_none() {
            client.set(name, value);
        }
    }
    client
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("check.crcs", "true");
    Ok(client)
}

/// What a client's connections are known to be like; shared between librdkafka's callbacks and whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    all_down: AtomicBool,
    trouble: Mutex<Option<Arc<str>>>,
}

impl Health {
    /// What was noticed since the last call, as a sentence for a person; `None` if nothing was.
    pub fn take_trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().take()
    }

    /// A request was answered: brokers are there.
    pub fn answered(&self) {
        self.all_down.store(false, Ordering::Relaxed);
    }

    fn note(&self, why: impl Into<Arc<str>>) {
        *self.trouble.lock() = Some(why.into());
    }
}

/// Receives librdkafka's logs and errors.
#[derive(Debug, Clone, Default)]
pub struct Context {
    health: Arc<Health>,
}

impl Context {
    /// The state that this context keeps up.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if let Some(why) = describe(code, reason) {
            // Said again with every attempt to connect, ten times a second: once per outage is enough.
            let known = code == RDKafkaErrorCode::AllBrokersDown && self.health.all_down.swap(true, Ordering::Relaxed);
            if !known {
                tracing::warn!(target: "librdkafka", code = ?code, "{why}");
            }
            self.health.note(why);
        } else {
            tracing::debug!(target: "librdkafka", code = ?code, "{reason}");
        }
    }
}

impl ConsumerContext for Context {}

/// An error of a whole client as a sentence with its remedy; `None` for what librdkafka gets over by itself (a single
/// broker that went away, the group that we never join) and for what is said per partition.
fn describe(code: RDKafkaErrorCode, reason: &str) -> Option<String> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::AllBrokersDown => format!("no broker can be reached ({reason})"),
        Code::Authentication | Code::SaslAuthenticationFailed => {
            format!("the broker refuses our credentials: check [kafka.properties] sasl.* ({reason})")
        }
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            format!("the broker does not speak our SASL mechanism: check sasl.mechanism ({reason})")
        }
        Code::SSL => format!("TLS to the broker fails: check [kafka.properties] ssl.* ({reason})"),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            format!("the broker denies access: grant READ and DESCRIBE on the configured topics ({reason})")
        }
        Code::Resolve => format!("a broker's name cannot be resolved ({reason})"),
        Code::Fatal => format!("librdkafka gave up: {reason}"),
        _ => return None,
    })
}

/// A partition's or request's error as a sentence with its remedy.
#[must_use]
pub fn explain(code: RDKafkaErrorCode) -> String {
    describe(code, "").map_or_else(|| code.to_string(), |text| text.trim_end_matches(" ()").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka_with(name: &str, value: &str) -> config::Kafka {
        let toml = format!("[properties]\n\"{name}\" = \"{value}\"\n");
        toml::from_str(&toml).unwrap()
    }

    #[test]
    fn refuses_properties_that_promises_rest_on() {
        let error = follower_config(&kafka_with("isolation.level", "read_uncommitted")).unwrap_err();
        assert!(matches!(error, ClientError::Reserved(ref name) if name == "isolation.level"), "{error}");
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let config = follower_config(&kafka_with("sasl.pasword", "hunter2")).unwrap();
        let error = ClientError::from(config.create_native_config().err().unwrap());
        assert!(error.to_string().contains("sasl.pasword"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn operators_may_change_bounds() {
        let config = follower_config(&kafka_with("fetch.wait.max.ms", "7")).unwrap();
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn credentials_are_told_as_trouble_with_a_remedy() {
        let context = Context::default();
        context.error(KafkaError::Global(RDKafkaErrorCode::Authentication), "SASL handshake failed");
        let why = context.health().take_trouble().unwrap();
        assert!(why.contains("sasl."), "{why}");
        assert!(context.health().take_trouble().is_none(), "told once");
    }
}
