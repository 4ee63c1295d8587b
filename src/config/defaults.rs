//! The defaults, in one place. `config/default.toml` repeats them for people; a test keeps the two equal.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Admin, Auth, Codec, Dashboard, Hub, Kafka, Limits, Log, Origins, Server, Socket};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3001)),
            public_origin: None,
            max_connections: 100_000,
            request_timeout: secs(10),
            shutdown_deadline: secs(25),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9401)) }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self { customer_app: None, merchant_app: None, admin_app: None, also: Vec::new(), allow_absent: true }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: None,
            public_key_file: None,
            public_key_algorithm: None,
            jwks_file: None,
            issuer: None,
            audience: None,
            leeway: secs(5),
            require_exp: true,
            grace: secs(30),
            expiring_notice: secs(60),
            role_claim: "role".into(),
            merchant_ids_claim: "merchant_ids".into(),
            merchant_id_claim: "merchant_id".into(),
        }
    }
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            ping_interval: secs(25),
            ping_timeout: secs(60),
            max_payload: 1_000_000,
            connect_timeout: secs(10),
            write_deadline: secs(20),
            send_buffer: 128 * 1024,
            queue_messages: 1024,
            queue_bytes: 512 * 1024,
            settle: Duration::from_millis(250),
            hold_max: secs(10),
            order_wait: secs(2),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_user: 20,
            rooms_per_socket: 200,
            events_per_second: 20,
            events_burst: 300,
            pending_subscriptions: 32,
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            topics: ["rtmn.orders", "rtmn.wallet", "rtmn.delivery", "rtmn.promotions"].map(String::from).to_vec(),
            properties: BTreeMap::new(),
            metadata_refresh: secs(5),
        }
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self {
            schemas: None,
            registry_url: None,
            registry_user: None,
            registry_password: None,
            registry_timeout: secs(3),
            hold_deadline: secs(300),
            max_record: 1_048_576,
        }
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self { shards: 0, window_bytes: 256 * 1024 * 1024, window_age: secs(600), owners: 1_000_000 }
    }
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { time_zone: "UTC".into(), topic: "rtmn.orders".into(), interval: secs(30) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), json: false }
    }
}
