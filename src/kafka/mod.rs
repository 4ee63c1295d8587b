//! The broker's side: clients, the follower, topics, the embedded broker, and a producer for `seed` and `demo`.
//!
//! The [`follower`] reads every partition of every configured topic and hands each record, in partition order, to a
//! [`follower::RecordHandler`]. Nothing here decodes a record or knows of rooms; nothing here commits an offset.

pub mod admin;
pub mod client;
pub mod embedded;
pub mod follower;
pub mod producer;
mod record;

/// Where an operator's replay re-publishes records.
pub const REPLAY_TOPIC: &str = "rtmn.replay";
/// What every node must see: revocations, forced disconnects, membership changes, checkpoints.
pub const CONTROL_TOPIC: &str = "rtmn.control";
/// Records that could not be handled, with the reason.
pub const DEAD_LETTER_TOPIC: &str = "rtmn.dead-letters";
