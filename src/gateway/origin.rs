//! Which web pages may connect. Browsers send `Origin` with every WebSocket and cross-site request, and CORS does not
//! apply to a WebSocket: so it is compared here, before the upgrade, on every transport.
//!
//! React Native's WebSocket sends the origin of the URL it connects to: the bridge's own public origin is allowed too.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;
use tracing::warn;

use crate::config::{self, Origin};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may connect, if its token is good.
    Allowed,
    /// It gets 403 before anything else is looked at.
    Refused,
}

/// The allowed origins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    allowed: Arc<HashSet<Origin>>,
    allow_absent: bool,
}

impl OriginPolicy {
    /// The policy of the configuration, with the bridge's own public origin. Texts that are no origins allow nothing;
    /// a loaded configuration has none.
    #[must_use]
    pub fn from_config(origins: &config::Origins, public_origin: Option<&str>) -> Self {
        let apps = [&origins.customer_app, &origins.merchant_app, &origins.admin_app];
        let listed = apps.into_iter().flatten().chain(&origins.also).map(String::as_str).chain(public_origin);
        let allowed = listed.filter_map(|text| {
            Origin::parse(text)
                .inspect_err(|error| warn!(event = "origin.ignored", origin = text, %error, "not an origin"))
                .ok()
        });
        Self { allowed: Arc::new(allowed.collect()), allow_absent: origins.allow_absent }
    }

    /// Decides about a request by its `Origin` header, `None` when it has none. An empty header is one that is there.
    #[must_use]
    pub fn decide(&self, origin: Option<&[u8]>) -> Decision {
        let allowed = origin.map_or(self.allow_absent, |origin| self.allows(origin));
        if allowed { Decision::Allowed } else { Decision::Refused }
    }

    /// Whether a page of that origin may connect. `null` is nobody's and never may.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        std::str::from_utf8(origin)
            .ok()
            .and_then(|text| Origin::parse(text).ok())
            .is_some_and(|origin| self.allowed.contains(&origin))
    }

    /// The value of `Access-Control-Allow-Origin` for that origin: itself, as with credentials `*` is not possible
    /// (`Access-Control-Allow-Credentials: true` and `Vary: Origin` belong beside it). `None` where it is not allowed.
    #[must_use]
    pub fn cors_value(&self, origin: &[u8]) -> Option<HeaderValue> {
        if self.allows(origin) { HeaderValue::from_bytes(origin).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow_absent: bool) -> OriginPolicy {
        let origins = config::Origins {
            customer_app: Some("https://app.example.com/".into()),
            merchant_app: Some("https://Merchant.example.com:443".into()),
            admin_app: None,
            also: vec!["http://localhost:8081".into(), "http://localhost:80".into()],
            allow_absent,
        };
        OriginPolicy::from_config(&origins, Some("https://rt.example.com"))
    }

    #[test]
    fn listed_apps_may_connect_however_they_are_spelt() {
        for origin in [
            "https://app.example.com",
            "https://APP.example.com:443",
            "https://merchant.example.com",
            "http://localhost:8081",
            "http://localhost",
        ] {
            assert_eq!(policy(false).decide(Some(origin.as_bytes())), Decision::Allowed, "{origin}");
        }
    }

    #[test]
    fn others_may_not() {
        for origin in [
            "https://evil.example",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evil.example/?https://app.example.com",
            "https://app.example.com@evil.example",
            "https://sub.app.example.com",
            "http://localhost:8082",
            "null",
            "",
            "*",
        ] {
            assert_eq!(policy(true).decide(Some(origin.as_bytes())), Decision::Refused, "{origin}");
        }
        assert_eq!(policy(true).decide(Some(b"https://app.example.com\xff")), Decision::Refused);
    }

    #[test]
    fn react_native_connects_with_the_bridges_own_origin() {
        assert_eq!(policy(false).decide(Some(b"https://rt.example.com")), Decision::Allowed);
        // A WebSocket URL's scheme is another spelling only where the page's is: it is not taken for https.
        assert_eq!(policy(false).decide(Some(b"wss://rt.example.com")), Decision::Refused);
        let without = OriginPolicy::from_config(&config::Origins::default(), None);
        assert_eq!(without.decide(Some(b"https://rt.example.com")), Decision::Refused);
    }

    #[test]
    fn an_absent_origin_is_decided_by_the_setting() {
        assert_eq!(policy(true).decide(None), Decision::Allowed);
        assert_eq!(policy(false).decide(None), Decision::Refused);
    }

    #[test]
    fn cors_answers_with_the_origin_itself_or_nothing() {
        let value = policy(true).cors_value(b"https://app.example.com");
        assert_eq!(value.unwrap(), "https://app.example.com");
        assert_eq!(policy(true).cors_value(b"https://evil.example"), None);
    }
}
