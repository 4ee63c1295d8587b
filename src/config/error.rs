//! What is wrong with a configuration: all of it at once, each finding with the place where it was set, so that one
//! look is enough to mend it. Values of secrets never get in here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, at this line (from 1).
    File {
        /// The file as it was named.
        name: Arc<PathBuf>,
        /// Line, from 1.
        line: usize,
    },
    /// By an environment variable of this name.
    Env(Arc<str>),
    /// Nowhere: it is missing, or the default does not fit what was set elsewhere.
    #[default]
    Unset,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Section and key, for example `socket.ping_interval`; empty when the file as a whole is meant.
    pub path: String,
    /// Where it was set.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { name, line } => write!(f, "{}:{line}: ", name.display())?,
            Place::Env(name) => write!(f, "{name}: ")?,
            Place::Unset => {}
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts the findings by place; `None` when there are none.
    pub(super) fn from_list(mut list: Vec<ConfigError>) -> Option<Self> {
        list.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
        list.dedup();
        (!list.is_empty()).then_some(Self(list))
    }

    /// The findings: those of the file by line, then those of the environment, then what is missing.
    #[must_use]
    pub fn list(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration has an error: {one}"),
            many => {
                write!(f, "the configuration has {} errors:", many.len())?;
                many.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
