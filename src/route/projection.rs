//! What of a record's data an audience sees.
//!
//! A projection leaves out, at every depth, members that are null, and objects of which nothing is left by that: the
//! catalogue's optional fields are absent, never null. Items of arrays keep their places. Without a projection the
//! data goes out untouched.

use std::fmt;

use bytes::Bytes;

use super::copy::{Copied, CopyError};
use super::jq::{Jq, JqError};
use super::scan::ScanError;

/// Why an emission has no payload for a record.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Not a failure: the projection gives nothing for this record, and the emission is left out.
    #[error("the projection gives nothing for this record")]
    Nothing,
    /// The data cannot be read as the projection needs it.
    #[error(transparent)]
    Data(#[from] ScanError),
    /// The filter failed on this record.
    #[error("the projection failed on this record; `routes explain` shows why")]
    Filter(Hidden),
    /// The filter gave more than one value.
    #[error("the projection gives more than one value for this record")]
    Several,
    /// The payload is much larger than the record.
    #[error("the projection gives more than {0} bytes for this record")]
    TooLarge(usize),
    /// The filter gave something that JSON has no form for.
    #[error("the projection gives a value that is no JSON")]
    NotJson,
}

impl ProjectError {
    /// A stable word for metrics and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Data(_) => "bad_data",
            Self::Filter(_) => "filter_failed",
            Self::Several => "several_values",
            Self::TooLarge(_) => "too_large",
            Self::NotJson => "not_json",
        }
    }

    /// Whether the emission is left out because the record has nothing for it, which is no failure.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// A filter's own error text. It may quote the record, so no log shows it; `routes explain` does.
pub struct Hidden(String);

impl Hidden {
    /// The text, for an operator who has the record anyway.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// A projection compiled to copying byte ranges.
#[derive(Debug)]
pub struct CopyPlan(Box<Copied>);

/// A projection run by jaq.
#[derive(Debug)]
pub struct JqPlan(Box<Jq>);

impl From<Box<Copied>> for CopyPlan {
    fn from(plan: Box<Copied>) -> Self {
        Self(plan)
    }
}

impl From<Box<Jq>> for JqPlan {
    fn from(plan: Box<Jq>) -> Self {
        Self(plan)
    }
}

/// A compiled projection.
#[derive(Debug)]
pub enum Projection {
    /// The data, untouched bytes.
    Identity,
    /// Picked fields, copied as they stand.
    Copied(CopyPlan),
    /// Anything else: a jq filter.
    Jq(JqPlan),
}

impl Projection {
    /// How it is done: `untouched`, `copied` or `jq`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Identity => "untouched",
            Self::Copied(_) => "copied",
            Self::Jq(_) => "jq",
        }
    }

    /// Projects `data`, one JSON object.
    ///
    /// # Errors
    /// [`ProjectError`] when this record cannot be projected, or has nothing to be projected.
    pub fn apply(&self, data: &Bytes) -> Result<Bytes, ProjectError> {
        let payload = match self {
            Self::Identity => return Ok(data.clone()),
            Self::Copied(CopyPlan(plan)) => plan.apply(data)?,
            Self::Jq(JqPlan(plan)) => plan.apply(data)?,
        };
        payload.map(Bytes::from).ok_or(ProjectError::Nothing)
    }
}

impl From<CopyError> for ProjectError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Scan(error) => Self::Data(error),
            CopyError::Length => Self::Filter(Hidden("`length` of a value that has none".into())),
        }
    }
}

impl From<JqError> for ProjectError {
    fn from(error: JqError) -> Self {
        match error {
            JqError::Scan(error) => Self::Data(error),
            JqError::Failed(text) => Self::Filter(Hidden(text)),
            JqError::Panicked => Self::Filter(Hidden("jaq panicked".into())),
            JqError::Several => Self::Several,
            JqError::TooLarge(limit) => Self::TooLarge(limit),
            JqError::NotJson => Self::NotJson,
        }
    }
}
