//! `seed`: the marketplace's records on real brokers, at a chosen rate, until a count, a time, or Ctrl-C.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::demo::traffic::{Pace, micros, send};
use crate::kafka::producer::Producer;
use crate::seed::{Marketplace, Profile};

/// Produces a believable marketplace's records, the same for the same seed.
#[derive(Debug, Clone, Args)]
pub struct SeedArgs {
    /// Brokers, `host:port,host:port`; else those of the configuration.
    #[arg(long, env = "KAFKA_BROKERS")]
    pub brokers: Option<String>,
    /// Records a second, on average.
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// As fast as the brokers take them; times still follow `--rate`.
    #[arg(long)]
    pub flood: bool,
    /// Stop after so many records.
    #[arg(long)]
    pub count: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Which marketplace.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How large it is.
    #[arg(long, value_enum, default_value_t = Size::Small)]
    pub profile: Size,
}

/// The marketplace's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// 40 customers.
    Small,
    /// 2,000 customers.
    Medium,
    /// 100,000 customers.
    Large,
}

/// Runs the command.
///
/// # Errors
/// When the rate is no rate, or the brokers do not take a record.
pub async fn run(args: SeedArgs, mut kafka: config::Kafka) -> anyhow::Result<()> {
    super::demo::check_rate(args.rate)?;
    if let Some(brokers) = args.brokers {
        kafka.brokers = brokers;
    }
    let size = match args.profile {
        Size::Small => Profile::small(),
        Size::Medium => Profile::medium(),
        Size::Large => Profile::large(),
    };
    let start_ms = micros(SystemTime::now()) / 1000;
    let market = Marketplace::new(args.seed, Profile { rate: args.rate, start_ms, ..size });
    let records = market.take(args.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX)));
    let client = Producer::new(&kafka)?;
    let stop = CancellationToken::new();
    let (seconds, ending) = (args.seconds, stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = super::demo::elapsed(seconds.map(Duration::from_secs)) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        ending.cancel();
    });
    let produced = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let progress = tokio::spawn(progress(Arc::clone(&produced), begun));
    let counted = Arc::clone(&produced);
    let pace = if args.flood { Pace::Full } else { Pace::Real };
    let sent = send(&client, records, pace, stop, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    })
    .await;
    progress.abort();
    let total = produced.load(Ordering::Relaxed);
    eprintln!("{}{total} records in {:.1} s", start_of_line(), begun.elapsed().as_secs_f64());
    let brokers = &kafka.brokers;
    sent.with_context(|| {
        format!("seeding {brokers} stopped after {total} records; is a broker there, and are the topics (`rtmn-bridge topics create`)?")
    })
}

async fn progress(produced: Arc<AtomicU64>, begun: Instant) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.tick().await;
    let mut before = 0;
    loop {
        tick.tick().await;
        let total = produced.load(Ordering::Relaxed);
        let line = format!("{total} records, {} in the last second, {} s", total - before, begun.elapsed().as_secs());
        if std::io::stderr().is_terminal() {
            eprint!("{}{line}", start_of_line());
            // Progress that cannot be shown is no reason to stop.
            std::io::stderr().flush().ok();
        } else {
            eprintln!("{line}");
        }
        before = total;
    }
}

/// On a terminal the next text replaces the line.
fn start_of_line() -> &'static str {
    if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" }
}
