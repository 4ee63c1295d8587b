//! stub
use crate::config::Config;
/// .
#[derive(Debug, clap::Args)]
pub struct TokenArgs {}
/// .
/// # Errors
/// .
pub fn run(_: &TokenArgs, _: &Config) -> anyhow::Result<()> { anyhow::bail!("stub") }
