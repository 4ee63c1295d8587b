//! Forged, stale and malformed tokens against every kind of key; `tests/data/keys` holds keys made for this only.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

mod claims;
mod forged;
mod key_files;

use super::*;
use crate::config::{self, Secret};
use crate::route::Id;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
/// The time of all tests: the clock is passed in.
const NOW: i64 = 1_790_000_000;

fn key_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name)
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).unwrap()
}

fn with_secret() -> config::Auth {
    config::Auth { secret: Some(Secret::new(SECRET)), leeway: Duration::ZERO, ..config::Auth::default() }
}

fn with_pem(file: &str, algorithm: &str) -> config::Auth {
    config::Auth {
        public_key_file: Some(key_file(file)),
        public_key_algorithm: Some(algorithm.into()),
        leeway: Duration::ZERO,
        ..config::Auth::default()
    }
}

fn with_jwks(path: &Path) -> config::Auth {
    config::Auth { jwks_file: Some(path.into()), leeway: Duration::ZERO, ..config::Auth::default() }
}

fn verify(auth: &config::Auth, token: &str) -> Result<Claims, Refusal> {
    Verifier::from_config(auth).unwrap().verify(token, NOW)
}

fn claims() -> Value {
    json!({"sub": "u1", "exp": NOW + 60})
}

fn token(header: &Header, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

fn hs256(claims: &Value) -> String {
    token(&Header::new(Algorithm::HS256), &EncodingKey::from_secret(SECRET.as_bytes()), claims)
}

fn named(algorithm: Algorithm, kid: &str) -> Header {
    Header { kid: Some(kid.into()), ..Header::new(algorithm) }
}

fn rsa(name: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(&pem(name)).unwrap()
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(&pem("ec.test.pem")).unwrap()
}

fn ed() -> EncodingKey {
    EncodingKey::from_ed_pem(&pem("ed.test.pem")).unwrap()
}

/// A token whose parts are given as they are, with the signature that `key` makes for them.
fn raw(header: &Value, payload: &[u8], key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", b64(header.to_string().as_bytes()), b64(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One entry of a JWKS, made of a public PEM file.
fn jwk(file: &str, kid: &str) -> Value {
    use der::{der_of, rsa_parts};
    let der = der_of(&pem(file));
    let mut jwk = match file {
        name if name.starts_with("rsa") => {
            let (n, e) = rsa_parts(&der);
            json!({"kty": "RSA", "alg": "RS256", "n": b64(&n), "e": b64(&e)})
        }
        name if name.starts_with("ec") => {
            let point = &der[der.len() - 64..];
            json!({"kty": "EC", "crv": "P-256", "x": b64(&point[..32]), "y": b64(&point[32..])})
        }
        _ => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&der[der.len() - 32..])}),
    };
    jwk["kid"] = kid.into();
    jwk["use"] = "sig".into();
    jwk
}

/// Just enough DER for the keys above.
mod der {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    pub(super) fn der_of(pem: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(pem).unwrap();
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(body).unwrap()
    }

    /// The content of the first element, and what follows it.
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match der[1] {
            short @ 0..=127 => (usize::from(short), 2),
            long => {
                let count = usize::from(long & 0x7f);
                (der[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
            }
        };
        (&der[start..start + length], &der[start + length..])
    }

    /// Modulus and exponent of a `SubjectPublicKeyInfo`.
    pub(super) fn rsa_parts(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (_, bits) = element(element(der).0);
        let (key, _) = element(&element(bits).0[1..]);
        let (n, rest) = element(key);
        let (e, _) = element(rest);
        let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        (trimmed(n), trimmed(e))
    }
}

struct KeyFile {
    path: PathBuf,
    written: u64,
    _dir: TempDir,
}

impl KeyFile {
    fn new(keys: &[Value]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut file = Self { path: dir.path().join("jwks.json"), written: 0, _dir: dir };
        file.write(&json!({"keys": keys}).to_string());
        file
    }

    /// Writes the file with a time of its own, so that a change shows however fast the test is.
    fn write(&mut self, text: &str) {
        self.written += 1;
        let mut file = std::fs::File::create(&self.path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.written)).unwrap();
    }
}
