//! Writing the records' JSON. Money goes from integer paise straight to digits: no binary float ever holds it.

use std::fmt::{Display, Write as _};

/// One JSON object, written field by field.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A value that is JSON already: a number, an array, another object.
    pub(super) fn raw(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
        self
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, serde_json::Value::from(value))
    }

    pub(super) fn money(self, name: &str, paise: i64) -> Self {
        self.raw(name, Money(paise))
    }

    pub(super) fn time(self, name: &str, at_ms: i64) -> Self {
        self.text(name, &rfc3339(at_ms))
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Paise as rupees with two decimals.
pub(super) struct Money(pub(super) i64);

impl Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100)
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn rfc3339(at_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_both_decimals() {
        let texts = [0, 5, 50, 125_050, -5, -12_345].map(|paise| Money(paise).to_string());
        assert_eq!(texts, ["0.00", "0.05", "0.50", "1250.50", "-0.05", "-123.45"]);
    }

    #[test]
    fn times_always_have_milliseconds() {
        assert_eq!(rfc3339(1_795_426_200_000), "2026-11-23T09:30:00.000Z");
        assert_eq!(rfc3339(7), "1970-01-01T00:00:00.007Z");
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(Object::new().text("a", "\"\n").raw("b", 1).end(), r#"{"a":"\"\n","b":1}"#);
        assert_eq!(Object::new().end(), "{}");
    }
}
