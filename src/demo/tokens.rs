//! Tokens for the demo's own people, signed with the secret that the demo made up for its bridge.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// Signs tokens; never shows its key.
#[derive(Clone)]
pub struct Minter {
    key: EncodingKey,
    lifetime: Duration,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    role: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    merchant_ids: &'a [String],
    iat: u64,
    exp: u64,
}

impl Minter {
    /// Signs with an HS256 secret.
    #[must_use]
    pub fn new(secret: &[u8], lifetime: Duration) -> Self {
        Self { key: EncodingKey::from_secret(secret), lifetime }
    }

    /// A token for that user and role.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn mint(&self, sub: &str, role: &str, merchants: &[String]) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims { sub, role, merchant_ids: merchants, iat, exp: iat + self.lifetime.as_secs() };
        encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}

impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minter").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
