//! The check of a token: find the keys that may have signed it, verify, then look at the claims.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::Rules;
use super::jwks::JwksFile;
use super::keys::{self, Key};
use super::{AuthSetupError, Claims, MAX_TOKEN_BYTES, Refusal};
use crate::config;

/// Checks tokens. One for the process, shared; a check takes some 10 to 100 µs of processor time.
#[derive(Debug)]
pub struct Verifier {
    /// Keys from the configuration.
    fixed: Vec<Key>,
    jwks: Option<JwksFile>,
    rules: Rules,
}

/// What a token's header says. It only selects among our keys.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; we know none.
    crit: Option<IgnoredAny>,
}

impl Verifier {
    /// Reads the keys that the configuration names.
    ///
    /// # Errors
    /// [`AuthSetupError`] when there is no key, or one cannot be used.
    pub fn from_config(auth: &config::Auth) -> Result<Self, AuthSetupError> {
        let mut fixed: Vec<Key> = auth.secret.iter().map(keys::from_secret).collect();
        if let Some(path) = &auth.public_key_file {
            fixed.push(keys::from_pem(path, auth.public_key_algorithm.as_deref().unwrap_or_default())?);
        }
        let jwks = auth.jwks_file.as_deref().map(|path| JwksFile::open(path, Instant::now())).transpose()?;
        if fixed.is_empty() && jwks.is_none() {
            return Err(AuthSetupError::NoKey);
        }
        Ok(Self { fixed, jwks, rules: Rules::from_config(auth) })
    }

    /// Checks a token at that time, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Refusal`], for logs and metrics; never to be told to the client.
    pub fn verify(&self, token: &str, now: i64) -> Result<Claims, Refusal> {
        self.verify_at(token, now, Instant::now())
    }

    pub(super) fn verify_at(&self, token: &str, now: i64, instant: Instant) -> Result<Claims, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let header = Header::of(token)?;
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let algorithm: Algorithm = header.alg.parse().map_err(|_| Refusal::Algorithm)?;
        let from_file = self.jwks.as_ref().map(|jwks| jwks.keys(instant));
        let from_file = from_file.as_deref().unwrap_or_default();
        let named =
            || from_file.iter().filter(|key| header.kid.is_none() || key.id.as_deref() == header.kid.as_deref());
        let mut refusal = if header.kid.is_some() && self.jwks.is_some() && named().next().is_none() {
            Refusal::UnknownKey
        } else {
            Refusal::Algorithm
        };
        for key in self.fixed.iter().chain(named()).filter(|key| key.algorithm == algorithm) {
            match key.verify(token) {
                Ok(claims) => return self.rules.check(&claims, now),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

impl Header {
    fn of(token: &str) -> Result<Self, Refusal> {
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::Malformed);
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal::Malformed)?;
        serde_json::from_slice(&header).map_err(|_| Refusal::Malformed)
    }
}
