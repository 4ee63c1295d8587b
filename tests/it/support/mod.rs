//! What the integration tests share: real servers, and records for them.

pub mod bridge;
pub mod listener;
pub mod market;
pub mod produce;
pub mod records;
pub mod servers;

pub use bridge::Bridge;
pub use listener::{Follows, Listener, Who};
pub use market::Market;
pub use produce::Record;
pub use servers::{Kafka, Redis, Registry};
