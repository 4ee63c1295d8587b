//! What of a record's data an audience sees.

use bytes::Bytes;

/// Why a projection failed on a record.
#[derive(Debug, thiserror::Error)]
#[error("projection failed: {0}")]
pub struct ProjectError(pub String);

/// A compiled projection.
#[derive(Debug)]
pub enum Projection {
    /// The data, untouched bytes.
    Identity,
}

impl Projection {
    /// Projects `data`, one JSON object.
    ///
    /// # Errors
    /// [`ProjectError`] when this record cannot be projected.
    pub fn apply(&self, data: &Bytes) -> Result<Bytes, ProjectError> {
        match self {
            Self::Identity => Ok(data.clone()),
        }
    }
}
