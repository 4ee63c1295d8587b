//! Signing tokens with the shared secret: for the `token` command, the demo and tests. A production system has its own
//! issuer; the bridge itself never hands out tokens to clients.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

use super::Claims;
use crate::config;

/// Signs tokens that a [`super::Verifier`] of the same configuration accepts.
#[derive(Debug)]
pub struct TokenIssuer {
    key: EncodingKey,
    issuer: Option<String>,
    audience: Option<String>,
    role_claim: String,
    merchant_ids_claim: String,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Only a shared secret can sign; public keys cannot.
    #[error("no secret to sign with: set JWT_SECRET or auth.secret")]
    NoSecret,
    /// The library refused.
    #[error("cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl TokenIssuer {
    /// An issuer with the configuration's secret, claim names, `iss` and `aud`.
    ///
    /// # Errors
    /// [`IssueError::NoSecret`] without a secret.
    pub fn from_config(auth: &config::Auth) -> Result<Self, IssueError> {
        let secret = auth.secret.as_ref().ok_or(IssueError::NoSecret)?;
        Ok(Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            role_claim: auth.role_claim.clone(),
            merchant_ids_claim: auth.merchant_ids_claim.clone(),
        })
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// [`IssueError::Sign`] when the library refuses.
    pub fn sign(&self, claims: &Claims) -> Result<String, IssueError> {
        let mut payload = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                payload.insert(name.into(), value);
            }
        };
        put("sub", Some(claims.subject.as_str().into()));
        put(&self.role_claim, Some(claims.role.as_str().into()));
        let merchants: Vec<Value> = claims.merchants.iter().map(|id| id.as_str().into()).collect();
        put(&self.merchant_ids_claim, (!merchants.is_empty()).then_some(merchants.into()));
        put("exp", claims.expires_at.map(Value::from));
        put("iat", claims.issued_at.map(Value::from));
        put("jti", claims.token_id.clone().map(Value::from));
        put("iss", self.issuer.clone().map(Value::from));
        put("aud", self.audience.clone().map(Value::from));
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &self.key)?)
    }
}
