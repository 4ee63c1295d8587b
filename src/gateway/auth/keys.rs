//! Keys, each with the one algorithm that it is for. That pair is made here, from the configuration or the key's own
//! description, and no token can change it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AuthSetupError, Refusal};
use crate::config::Secret;

/// Most keys that a JWKS may have; a token that names none is tried on all of its algorithm's.
const MAX_KEYS: usize = 32;
/// Greatest key file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// 2048 bits.
const MIN_RSA_BYTES: usize = 256;

/// A key and its algorithm.
#[derive(Debug)]
pub(super) struct Key {
    /// The name that tokens call it by; none for keys from the configuration.
    pub(super) id: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    fn new(id: Option<Box<str>>, algorithm: Algorithm, decoding: DecodingKey) -> Self {
        // The library checks the signature only: claims are checked by rules of our own, on a clock that is passed in.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { id, algorithm, decoding, validation }
    }

    /// The payload of a token that this key signed.
    pub(super) fn verify(&self, token: &str) -> Result<Map<String, Value>, Refusal> {
        use jsonwebtoken::errors::ErrorKind;
        jsonwebtoken::decode(token, &self.decoding, &self.validation).map(|data| data.claims).map_err(|error| {
            match error.kind() {
                ErrorKind::Json(_) | ErrorKind::Base64(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidToken => {
                    Refusal::Malformed
                }
                _ => Refusal::Signature,
            }
        })
    }
}

/// The HS256 key of a shared secret.
pub(super) fn from_secret(secret: &Secret) -> Key {
    Key::new(None, Algorithm::HS256, DecodingKey::from_secret(secret.expose().as_bytes()))
}

/// Reads a PEM file with one public key, for that algorithm.
pub(super) fn from_pem(path: &Path, algorithm: &str) -> Result<Key, AuthSetupError> {
    let text = read(path).map_err(|source| AuthSetupError::Read { path: path.into(), source })?;
    let wrong = |why: String| AuthSetupError::Content { path: path.into(), why };
    if text.contains("PRIVATE KEY") {
        let remedy = "`openssl pkey -in FILE -pubout` gives the public one";
        return Err(wrong(format!("holds a private key, which does not belong here: {remedy}")));
    }
    let (algorithm, key) = match algorithm {
        "RS256" => (Algorithm::RS256, DecodingKey::from_rsa_pem(text.as_bytes())),
        "ES256" => (Algorithm::ES256, DecodingKey::from_ec_pem(text.as_bytes())),
        "EdDSA" => (Algorithm::EdDSA, DecodingKey::from_ed_pem(text.as_bytes())),
        other => return Err(AuthSetupError::Algorithm(other.into())),
    };
    let key = key.map_err(|error| wrong(format!("holds no PEM public key for {algorithm:?} ({error})")))?;
    // A key of another curve, or a short one, would only show by every token being refused.
    let size = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let fits = match algorithm {
        Algorithm::ES256 => size == 65,
        Algorithm::EdDSA => size == 32,
        _ => size >= MIN_RSA_BYTES,
    };
    if !fits {
        return Err(wrong(format!(
            "its key does not fit {algorithm:?} (P-256 for ES256, 2048 bits or more for RS256)"
        )));
    }
    Ok(Key::new(None, algorithm, key))
}

/// Reads a key file; greater ones than any set of keys are refused.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

/// One entry of a JWKS; members that don't matter here are ignored.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<Box<str>>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Parses a JWKS (RFC 7517). Entries of other kinds are passed over, as the RFC wants it; what was passed over and why
/// is the second part of the answer.
///
/// # Errors
/// What is wrong with the set as a whole: no JSON, no usable key, too many.
pub(super) fn from_jwks(text: &str) -> Result<(Vec<Key>, Vec<String>), String> {
    let set: KeySet = serde_json::from_str(text).map_err(|error| format!("is no JWKS: {error}"))?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("has {} keys, at most {MAX_KEYS} are taken", set.keys.len()));
    }
    let mut keys = Vec::new();
    let mut passed = Vec::new();
    for (index, entry) in set.keys.into_iter().enumerate() {
        let key = serde_json::from_value::<Jwk>(entry).map_err(|error| error.to_string()).and_then(Jwk::key);
        match key {
            Ok(key) => keys.push(key),
            Err(why) => passed.push(format!("key {}: {why}", index + 1)),
        }
    }
    if keys.is_empty() {
        let why = if passed.is_empty() { "it is empty".into() } else { passed.join("; ") };
        return Err(format!("has no key that can be used: {why}"));
    }
    Ok((keys, passed))
}

impl Jwk {
    /// The key with its algorithm: its own `alg`, or that of its type.
    fn key(self) -> Result<Key, String> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("is not for signatures".into());
        }
        let default = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Algorithm::RS256,
            ("EC", Some("P-256")) => Algorithm::ES256,
            ("EC", Some("P-384")) => Algorithm::ES384,
            ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
            // A secret has no place among public keys, and would let HS256 in by a file.
            (kty, crv) => return Err(format!("has the type {kty} {}, which is not taken", crv.unwrap_or_default())),
        };
        let algorithm = match self.alg.as_deref() {
            None => default,
            Some(name) => name.parse().map_err(|_| format!("has the algorithm {name:?}, which is not supported"))?,
        };
        // RSA keys serve several algorithms; the others have one each.
        let own = algorithm == default || (default == Algorithm::RS256 && algorithm.family() == default.family());
        if !own {
            return Err(format!("has the type {} but the algorithm {algorithm:?}", self.kty));
        }
        let part = |name: &str, value: &Option<String>, fits: fn(usize) -> bool| {
            let text = value.clone().ok_or_else(|| format!("lacks `{name}`"))?;
            let bytes = URL_SAFE_NO_PAD.decode(&text).map_err(|_| format!("`{name}` is not base64url"))?;
            let size = bytes.iter().skip_while(|byte| **byte == 0).count();
            if fits(size) { Ok(text) } else { Err(format!("`{name}` has a wrong length")) }
        };
        let decoding = match default {
            Algorithm::RS256 => {
                let n = part("n", &self.n, |size| size >= MIN_RSA_BYTES)?;
                DecodingKey::from_rsa_components(&n, &part("e", &self.e, |size| size > 0)?)
            }
            Algorithm::EdDSA => DecodingKey::from_ed_components(&part("x", &self.x, |size| size <= 32)?),
            _ => DecodingKey::from_ec_components(
                &part("x", &self.x, |size| size <= 48)?,
                &part("y", &self.y, |size| size <= 48)?,
            ),
        };
        let decoding = decoding.map_err(|error| error.to_string())?;
        let size = decoding.try_get_as_bytes().map_or(0, <[u8]>::len);
        let whole = match default {
            Algorithm::ES256 => size == 65,
            Algorithm::ES384 => size == 97,
            Algorithm::EdDSA => size == 32,
            _ => true,
        };
        if !whole {
            return Err("its coordinates have a wrong length".into());
        }
        Ok(Key::new(self.kid, algorithm, decoding))
    }
}
