//! `serve`: runs a node until SIGTERM or Ctrl-C; and the same node inside the demo.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio_util::sync::CancellationToken;

use super::demo::Bridge;
use crate::app::{App, Options};
use crate::config::{self, Config};
use crate::lifecycle::Signals;
use crate::telemetry;

/// An embedded node has nothing to read: it is ready by then or never.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Runs the command.
///
/// # Errors
/// Whatever is wrong with the configuration, or what ended the node.
pub fn run(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = config::load_for_serve(file, config::environment())?;
    telemetry::init(&config.log)?;
    super::block_on(async {
        let mut signals = Signals::install()?;
        App::start(config, Options::default()).await?.run(&mut signals).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A node on an embedded broker, which ends with `stop`; ready when this returns.
///
/// # Errors
/// When it cannot be built, or is not ready in time.
pub async fn embedded(mut config: Config, pages: Router, stop: CancellationToken) -> anyhow::Result<Bridge> {
    // Clients end all at once: nobody waits for a drain here.
    config.server.shutdown_deadline = Duration::from_secs(5);
    let app = App::start(config, Options { no_time_lookup: true, pages: Some(pages) }).await?;
    let address = app.public;
    let ready = app.filled();
    let ended = tokio::spawn(app.run_until(async move { stop.cancelled().await }));
    tokio::time::timeout(READY_WITHIN, ready.cancelled()).await.context("the embedded bridge did not get ready")?;
    Ok(Bridge { address, ended: Box::pin(async move { ended.await.context("the bridge failed")? }) })
}
