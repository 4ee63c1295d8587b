//! What is known beside the log itself: who may follow which order, who is connected. In memory, learned from the log
//! and from the connections; bounded.

pub mod owners;
pub mod presence;

pub use owners::Owners;
pub use presence::Presence;
