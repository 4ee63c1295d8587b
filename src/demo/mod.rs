//! The demo: the marketplace as traffic, and somebody who watches it: a page with stock clients, or a crowd of clients
//! of our own whose logs an oracle judges. It knows of the bridge only its address and its broker, as any client does.

mod measure;
mod member;
pub mod oracle;
pub mod pages;
mod stage;
mod tokens;
pub mod traffic;

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::client::ConnectError;
use crate::kafka::producer::Producer;
use crate::seed::{Marketplace, Profile};

pub use measure::{Outcome, measure};
pub use stage::Stage;
pub use tokens::Minter;
use traffic::TrafficError;

/// What is played.
#[derive(Debug, Clone)]
pub struct Act {
    /// The marketplace's seed.
    pub seed: u64,
    /// Records a second.
    pub rate: f64,
}

impl Act {
    /// The marketplace, beginning now, with somebody in the spotlight.
    #[must_use]
    pub fn market(&self) -> Marketplace {
        let start_ms = traffic::micros(SystemTime::now()) / 1000;
        Marketplace::new(self.seed, Profile { rate: self.rate, spotlight: true, start_ms, ..Profile::small() })
    }
}

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A client could not connect.
    #[error("a demo client could not connect: {0}")]
    Connect(#[from] ConnectError),
    /// The records cannot be sent.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// No token could be signed.
    #[error("cannot sign a demo token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// A client's task died.
    #[error("a demo client failed: {0}")]
    Client(String),
}

/// Plays the marketplace until `stop`, telling the stage what is on.
///
/// # Errors
/// [`DemoError::Traffic`] when the broker takes no more.
pub async fn perform(
    producer: &Producer,
    market: Marketplace,
    stage: Arc<Stage>,
    stop: CancellationToken,
) -> Result<(), DemoError> {
    let note = move |produced: traffic::Produced| stage.note(&produced.record);
    Ok(traffic::send(producer, market, traffic::Pace::Real, stop, note).await?)
}
