//! The operator's way: one file per command. A command reads its configuration, does its work and says what it did;
//! whatever fails is told on stderr with what to do about it.

pub mod demo;
pub mod routes;
pub mod seed;
pub mod serve;
pub mod token;
pub mod topics;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{self, Config};

/// What still hangs after a command may not keep the process.
const RUNTIME_STOP: Duration = Duration::from_secs(1);

/// Kafka to Socket.IO: every record reaches exactly the right clients.
#[derive(Debug, Parser)]
#[command(name = "rtmn-bridge", version, about)]
struct Cli {
    /// Configuration file; without one, defaults and the environment.
    #[arg(long, short, global = true, env = "RTMN_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node.
    Serve,
    /// Runs everything in one process: embedded broker, traffic, bridge, and a page to look at.
    Demo(demo::DemoArgs),
    /// Produces a believable marketplace's records.
    Seed(seed::SeedArgs),
    /// Signs a token for tests and first tries.
    Token(token::TokenArgs),
    /// Checks the route file, or shows what a record would do.
    #[command(subcommand)]
    Routes(routes::Command),
    /// Creates or describes the topics.
    #[command(subcommand)]
    Topics(topics::Command),
}

/// Runs the command of the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = cli.config.as_deref();
    let result = match cli.command {
        Command::Serve => serve::run(config),
        Command::Demo(args) => block_on(demo::run(args, serve::embedded)),
        Command::Seed(args) => {
            load(config).and_then(|config| block_on(seed::run(args, config.kafka))).map(|()| ExitCode::SUCCESS)
        }
        Command::Token(args) => load(config).and_then(|config| token::run(&args, &config)).map(|()| ExitCode::SUCCESS),
        Command::Routes(command) => load(config).and_then(|config| routes::run(&config, &command)),
        Command::Topics(command) => load(config).and_then(|config| block_on(topics::run(config.kafka, command))),
    };
    result.unwrap_or_else(|error| {
        eprintln!("rtmn-bridge: {error:#}");
        ExitCode::FAILURE
    })
}

/// The configuration of a command that checks no tokens.
fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(config::load(file, config::environment())?)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("rtmn").build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_STOP);
    result
}
