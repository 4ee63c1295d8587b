//! `routes check` and `routes explain`: what the route file says, and what a record would do.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;

use crate::codec::{DecodeError, Decoder, Schemas};
use crate::config::{self, Config};
use crate::event::{Headers, RecordView};
use crate::route::Routes;
use crate::route::explain::{check_report, explain};

/// What to do with the routes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a route file against the schemas; exit status 1 with every error and its place.
    Check {
        /// The file; else the one of `routes.file`, else the compiled-in one.
        file: Option<PathBuf>,
    },
    /// Shows what a record would do: rooms, events, payloads.
    Explain {
        /// The record's value: a JSON envelope `{"type", "data"}`, plain data with `--type`, or Avro bytes; `-` reads
        /// standard input.
        record: PathBuf,
        /// The event's type, as a `type` header would give it.
        #[arg(long)]
        r#type: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// With everything that is wrong with the routes, or why the record cannot be read.
pub fn run(config: &Config, command: &Command) -> anyhow::Result<ExitCode> {
    let schemas = Arc::new(match &config.codec.schemas {
        Some(folder) => Schemas::load(folder).with_context(|| format!("codec.schemas: {}", folder.display()))?,
        None => Schemas::builtin()?,
    });
    let routes = match command {
        Command::Check { file: Some(file) } => config::Routes { file: Some(file.clone()) },
        _ => config.routes.clone(),
    };
    let routes = Routes::from_config(&routes, &schemas)?;
    match command {
        Command::Check { .. } => print!("{}", check_report(&routes)),
        Command::Explain { record, r#type, json } => {
            let payload = read(record)?;
            let decoder = Decoder::new(&config.codec, schemas)?;
            let headers: Headers<'_> = r#type.iter().map(|kind| ("type", kind.as_bytes())).collect();
            let view = RecordView {
                topic: "explain",
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                key: None,
                payload: Some(&payload),
                headers,
            };
            let mut event = decoder.decode(&view);
            if let Err(DecodeError::NotYet { schema }) = event {
                super::block_on(async { Ok(decoder.resolve(schema).await?) })
                    .with_context(|| format!("schema {schema} cannot be had from codec.registry_url"))?;
                event = decoder.decode(&view);
            }
            let event = event.context("the record cannot be decoded")?;
            let explanation = explain(&routes, &event);
            if *json {
                println!("{}", serde_json::to_string_pretty(&explanation)?);
            } else {
                println!("{explanation}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
