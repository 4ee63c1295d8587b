//! Tokens: who a client is, and until when. A token is believed only when a key of ours signed it with the one algorithm
//! that this key is for; what its header says about that only selects among our keys.
//!
//! Nothing here logs or returns a token's text, and what the client is told is the gateway's business.

mod claims;
mod issue;
mod jwks;
mod keys;
#[cfg(test)]
mod tests;
mod verifier;

use std::path::PathBuf;

pub use claims::{Claims, Role};
pub use issue::{IssueError, TokenIssuer};
pub use verifier::Verifier;

/// Tokens longer than this are refused unread.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Why a token was refused: for logs and metrics, never for the client, who could learn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("token is too long")]
    TooLong,
    /// No JWT, or one whose parts cannot be read.
    #[error("token is malformed")]
    Malformed,
    /// An algorithm that no key of ours is for, `none` among them.
    #[error("token's algorithm fits none of the keys")]
    Algorithm,
    /// It names a key that we don't have.
    #[error("token names an unknown key")]
    UnknownKey,
    /// The signature is not by our key.
    #[error("token's signature is wrong")]
    Signature,
    /// `exp` is past.
    #[error("token has expired")]
    Expired,
    /// `exp` is missing, or is no time.
    #[error("token has no usable `exp`")]
    NoExpiry,
    /// `nbf` is still to come, or is no time.
    #[error("token is not valid yet")]
    NotYet,
    /// `iss` is not what is configured.
    #[error("token's issuer is not ours")]
    Issuer,
    /// `aud` is not what is configured.
    #[error("token is for another audience")]
    Audience,
    /// `sub` is missing or no id.
    #[error("token's subject is no id")]
    Subject,
    /// A merchant of the user is no id.
    #[error("token's merchants are not ids")]
    Merchants,
    /// Another claim has a type that it cannot have.
    #[error("a claim of the token has a wrong type")]
    Claim,
}

impl Refusal {
    /// All of them, so that metrics can show each from the start.
    pub const ALL: [Self; 13] = [
        Self::TooLong,
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NoExpiry,
        Self::NotYet,
        Self::Issuer,
        Self::Audience,
        Self::Subject,
        Self::Merchants,
        Self::Claim,
    ];

    /// The label in logs and metrics; stays the same from version to version.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NoExpiry => "token_no_expiry",
            Self::NotYet => "token_not_yet",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Subject => "token_subject",
            Self::Merchants => "token_merchants",
            Self::Claim => "token_claim",
        }
    }
}

/// Why tokens could not be checked at all with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// No source of keys.
    #[error("no key to check tokens with: set JWT_SECRET, auth.public_key_file or auth.jwks_file")]
    NoKey,
    /// A key's algorithm is none that is supported.
    #[error("auth.public_key_algorithm: {0:?} is not supported, use RS256, ES256 or EdDSA")]
    Algorithm(String),
    /// A key file that cannot be read.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file whose content is not what it should be.
    #[error("the key file {}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
}
