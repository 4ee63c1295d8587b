//! `demo`: broker, traffic, bridge and audience in one process, with nothing installed. Either a page to look at, or
//! (`--json`) a crowd of clients whose verdict is the last line.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Secret};
use crate::demo::{Act, Minter, Stage, measure, pages, perform};
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::producer::Producer;

/// Plays a marketplace over an embedded broker and shows what arrives. Neither a configuration file nor the environment
/// changes it.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Port of the page and the bridge, on this machine only. With `--json` any free one unless given.
    #[arg(long)]
    pub port: Option<u16>,
    /// End after so many seconds; with `--json` 20 unless given.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// No page: connect clients of every role, and print what they received against what was produced as one line of
    /// JSON. Exit status 1 if anything was lost or misrouted.
    #[arg(long)]
    pub json: bool,
    /// Records a second.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Which marketplace.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A bridge that is ready: where it listens, and its end, which comes after the token given at the start is cancelled.
pub struct Bridge {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Resolves when it is down.
    pub ended: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
}

/// Port of the page unless another is asked for.
const PORT: u16 = 3001;
/// What helps when the bridge does not start: nothing else of it is the user's to choose.
const ANOTHER_PORT: &str = "the demo does not start (`--port` chooses another port)";
/// Partitions of each domain topic: enough that order across them is nobody's accident.
const PARTITIONS: i32 = 3;
/// The demo's tokens outlive any demo.
const TOKENS_LIVE: Duration = Duration::from_hours(24);

/// Runs the command. `start` builds the bridge with that configuration, serves the extra routes on its public
/// listener, and returns once it is ready.
///
/// # Errors
/// When the broker, the bridge, a client or the traffic fails.
pub async fn run<F, Fut>(args: DemoArgs, start: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Config, Router, CancellationToken) -> Fut,
    Fut: Future<Output = anyhow::Result<Bridge>>,
{
    check_rate(args.rate)?;
    let mut config = Config::default();
    let topics: Vec<_> = config.kafka.topics.iter().map(|topic| (topic.as_str(), PARTITIONS)).collect();
    let broker = EmbeddedBroker::start(&topics)?;
    config.kafka = broker.configure(config.kafka);
    let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let minter = Minter::new(secret.as_bytes(), TOKENS_LIVE);
    config.auth.secret = Some(Secret::new(secret));
    let port = match args.port.unwrap_or(if args.json { 0 } else { PORT }) {
        // The page's origin must be known beforehand: a free port is looked for here, not by the listener.
        0 => std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
        port => port,
    };
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config.server.public_origin = Some(format!("http://127.0.0.1:{port}"));
    config.origins.also = vec![format!("http://localhost:{port}")];
    config.admin.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Somebody is watching: the figures must not take half a minute.
    config.dashboard.interval = Duration::from_secs(3);

    let act = Act { seed: args.seed, rate: args.rate };
    let producer = Producer::new(&config.kafka)?;
    let stop = CancellationToken::new();
    let _stop_on_return = stop.clone().drop_guard();
    if args.json {
        let bridge = start(config, Router::new(), stop.clone()).await.context(ANOTHER_PORT)?;
        let time = Duration::from_secs(args.seconds.unwrap_or(20));
        let url = format!("http://{}", bridge.address);
        eprintln!("measuring for {} s at {url}", time.as_secs());
        let outcome = measure(&url, &producer, &minter, &act, time).await?;
        stop.cancel();
        bridge.ended.await.context("the bridge did not end well")?;
        println!("{}", outcome.to_json());
        return Ok(if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }

    let market = act.market();
    let stage = Arc::new(Stage::new(&market, minter, None));
    let bridge = start(config, pages::router(Arc::clone(&stage)), stop.clone()).await.context(ANOTHER_PORT)?;
    println!("The demo is at http://{}/demo (Ctrl-C ends it)", bridge.address);
    let limit = elapsed(args.seconds.map(Duration::from_secs));
    let mut ended = bridge.ended;
    let outcome = tokio::select! {
        result = perform(&producer, market, stage, stop.child_token()) => result.map_err(Into::into),
        result = &mut ended => return result.context("the bridge ended by itself").map(|()| ExitCode::FAILURE),
        () = limit => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    stop.cancel();
    ended.await.context("the bridge did not end well")?;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Resolves after that time; never without one.
pub(super) async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// A rate is a positive number that one machine can reach.
pub(super) fn check_rate(rate: f64) -> anyhow::Result<()> {
    if !(0.1..=1e6).contains(&rate) {
        bail!("--rate {rate}: a rate is between 0.1 and 1000000 records a second");
    }
    Ok(())
}
