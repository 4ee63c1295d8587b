//! A browser origin in its one form: scheme, host in lower case, and the port only where it is not the scheme's own.
//! What the configuration lists and what a browser sends are compared as such, never as texts.

use std::fmt;
use std::net::Ipv6Addr;

/// An origin, for example `https://app.example.com` or `http://localhost:8081`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Box<str>);

/// Why a text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// `null` is what sandboxed frames and local files send: anybody could.
    #[error("the origin `null` can be anybody's")]
    Null,
    /// `*` cannot be combined with credentials.
    #[error("`*` is no origin: name each app, for example \"https://app.example.com\"")]
    Wildcard,
    /// No `scheme://`.
    #[error("an origin begins with a scheme, for example \"https://app.example.com\"")]
    Scheme,
    /// A host that is none.
    #[error("an origin has a host name or address after its scheme")]
    Host,
    /// A port that is none.
    #[error("an origin's port is a number from 1 to 65535")]
    Port,
    /// More than scheme, host and port.
    #[error("an origin has no user, path or query, only scheme, host and port")]
    Rest,
}

impl Origin {
    /// Longer texts are no origins; host names end at 253 characters.
    const MAX_LEN: usize = 300;

    /// Parses an origin, or a URL that is nothing more (one slash at the end is taken for none). Schemes of native
    /// shells (`capacitor://localhost`) are origins too.
    ///
    /// # Errors
    /// [`OriginError`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        if text == "*" {
            return Err(OriginError::Wildcard);
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let well_formed = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !well_formed || text.len() > Self::MAX_LEN {
            return Err(OriginError::Scheme);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) {
            return Err(OriginError::Rest);
        }
        let (host, port) = split_port(rest)?;
        let default_port = match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        Ok(Self(match port.filter(|port| Some(*port) != default_port) {
            Some(port) => format!("{scheme}://{host}:{port}").into(),
            None => format!("{scheme}://{host}").into(),
        }))
    }

    /// The origin as a browser writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Host in lower case, and the port if there is one.
fn split_port(text: &str) -> Result<(String, Option<u16>), OriginError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, tail) = rest.split_once(']').ok_or(OriginError::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| OriginError::Host)?;
        let port = match tail {
            "" => None,
            tail => Some(tail.strip_prefix(':').ok_or(OriginError::Port)?),
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        // One dot at the end names the same host.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && !host.contains("..");
        if !named {
            return Err(OriginError::Host);
        }
        (host, port)
    };
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse() {
            Ok(0) | Err(_) => return Err(OriginError::Port),
            Ok(port) => Some(port),
        },
        Some(_) => return Err(OriginError::Port),
    };
    Ok((host, port))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_origin_are_equal() {
        for (spelling, canonical) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://app.example.com.", "https://app.example.com"),
            ("http://app.example.com:80/", "http://app.example.com"),
            ("http://localhost:8081", "http://localhost:8081"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(Origin::parse(spelling).unwrap().as_str(), canonical, "{spelling}");
        }
    }

    #[test]
    fn scheme_and_port_distinguish() {
        let parse = |text| Origin::parse(text).unwrap();
        assert_ne!(parse("http://a.example"), parse("https://a.example"));
        assert_ne!(parse("https://a.example:8443"), parse("https://a.example"));
        assert_ne!(parse("http://a.example:443"), parse("https://a.example"));
        assert_ne!(parse("https://a.example"), parse("https://b.a.example"));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_reason() {
        for (text, error) in [
            ("null", OriginError::Null),
            ("*", OriginError::Wildcard),
            ("", OriginError::Scheme),
            ("app.example.com", OriginError::Scheme),
            ("://app.example.com", OriginError::Scheme),
            ("https://", OriginError::Host),
            ("https://a b", OriginError::Host),
            ("https://*.example.com", OriginError::Host),
            ("https://a..b", OriginError::Host),
            ("https://ä.example", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://[::g]", OriginError::Host),
            ("https://a.example:", OriginError::Port),
            ("https://a.example:0", OriginError::Port),
            ("https://a.example:+80", OriginError::Port),
            ("https://a.example:65536", OriginError::Port),
            ("https://[::1]80", OriginError::Port),
            ("https://a.example/path", OriginError::Rest),
            ("https://user@a.example", OriginError::Rest),
            ("https://a.example?x", OriginError::Rest),
            ("https://a.example\\evil", OriginError::Rest),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text:?}");
        }
    }
}
