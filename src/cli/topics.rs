//! `topics create` and `topics describe`: the domain topics and the bridge's own, with the settings they need.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::config;
use crate::kafka::admin::{Admin, Layout, Outcome, plan};

/// What to do with the topics.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates what is missing; says what exists and differs. Running it twice does no harm.
    Create(LayoutArgs),
    /// Says what exists, what is missing and what differs from the plan.
    Describe(LayoutArgs),
}

/// The plan's numbers.
#[derive(Debug, Clone, Copy, Args)]
pub struct LayoutArgs {
    /// Partitions of each domain topic.
    #[arg(long, default_value_t = 6)]
    pub partitions: i32,
    /// Copies of each partition.
    #[arg(long, default_value_t = 1)]
    pub replication: i32,
}

/// Runs the command; exit status 1 when a topic is missing afterwards.
///
/// # Errors
/// When the brokers do not answer.
pub async fn run(kafka: config::Kafka, command: Command) -> anyhow::Result<ExitCode> {
    let (Command::Create(args) | Command::Describe(args)) = command;
    let plan = plan(&kafka, Layout { partitions: args.partitions, replication: args.replication });
    let admin = Admin::new(&kafka)?;
    let outcomes = match command {
        Command::Create(_) => admin.create(&plan).await,
        Command::Describe(_) => admin.describe(&plan).await,
    };
    let outcomes = outcomes.with_context(|| format!("kafka.brokers (KAFKA_BROKERS): {}", kafka.brokers))?;
    let mut status = ExitCode::SUCCESS;
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Created => println!("{name}: created"),
            Outcome::Exists(differences) if differences.is_empty() => println!("{name}: exists, as planned"),
            Outcome::Exists(differences) => {
                println!("{name}: exists, but");
                for difference in differences {
                    println!("  {} is {}, planned {}", difference.what, difference.have, difference.want);
                }
            }
            Outcome::Failed(why) => {
                println!("{name}: cannot be created: {why}");
                status = ExitCode::FAILURE;
            }
            Outcome::Missing => {
                println!("{name}: missing; run `rtmn-bridge topics create`");
                status = ExitCode::FAILURE;
            }
        }
    }
    Ok(status)
}
