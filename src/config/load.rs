//! Reading the configuration: defaults < file < environment. Everything that is wrong is reported at once.

use std::path::Path;

use super::error::{ConfigError, ConfigErrors, Place};
use super::tree::{self, Node};
use super::{Config, check, de};

/// What the configuration is for: a server needs more than a command that only looks at a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Command,
    Serve,
}

/// Reads the configuration: the defaults, then the file, then the environment (`RTMN__SECTION__KEY`, and the short
/// names of the usual secrets and addresses).
///
/// # Errors
/// Everything that is wrong, each with its path and place.
pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigErrors> {
    read(Purpose::Command, file, env)
}

/// As [`load`], and what a server needs besides: a key to check tokens with.
///
/// # Errors
/// Everything that is wrong or missing, each with its path and place.
pub fn load_for_serve(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    read(Purpose::Serve, file, env)
}

/// The process's environment; variables that are no Unicode are left out, as no key can take them.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn read(
    purpose: Purpose,
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let mut tree = match file.map(read_file) {
        None => Node::empty(),
        Some(Ok(tree)) => tree,
        Some(Err(list)) => {
            errors.extend(list);
            Node::empty()
        }
    };
    // With a file that cannot be read, what is missing may stand in it: only what is known to be wrong is told then.
    let whole = errors.is_empty();
    tree::overlay(&mut tree, env, &mut errors);
    let (config, _): (Config, _) = de::decode(&tree, &mut errors);
    if whole {
        let mut findings = check::all(&config);
        if purpose == Purpose::Serve {
            findings.extend(check::serve(&config));
        }
        // A key whose value did not fit stands at its default now: nothing more is said about it.
        let told: Vec<String> = errors.iter().map(|error| error.path.clone()).collect();
        errors.extend(
            findings.into_iter().filter(|(path, _)| !told.contains(path)).map(|(path, message)| ConfigError {
                place: tree.place_of(&path),
                path,
                message,
            }),
        );
    }
    ConfigErrors::from_list(errors).map_or(Ok(config), Err)
}

fn read_file(file: &Path) -> Result<Node, Vec<ConfigError>> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read the configuration file {}: {error}", file.display());
        vec![ConfigError { path: String::new(), place: Place::Unset, message }]
    })?;
    tree::from_toml(&text, file)
}
