//! What the integration tests share: real servers, and records for them.

pub mod produce;
pub mod servers;

pub use produce::Record;
pub use servers::{Kafka, Redis, Registry};
