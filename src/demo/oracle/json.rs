//! JSON whose numbers keep their digits. Two payloads are the same when they have the same fields with the same values,
//! in whatever order; money must agree in every digit, any other number in its value.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields that hold money or coins, wherever they stand.
const MONEY: [&str; 7] = ["amount", "total", "price", "rezCoins", "brandedCoins", "promoCoins", "todayRevenue"];

/// One JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`, `true` or `false`.
    Word(Box<str>),
    /// A number, as it was written.
    Number(Box<str>),
    /// A string, unescaped.
    Text(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value.
    ///
    /// # Errors
    /// When it is no JSON, or an object names a field twice.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let text = text.trim();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let fields: Fields = serde_json::from_str(text)?;
                let parsed = fields.0.into_iter().map(|(name, raw)| Ok((name, Self::parse(raw.get())?)));
                Self::Object(parsed.collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
                Self::Array(items.iter().map(|raw| Self::parse(raw.get())).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str::<String>(text)?.into()),
            Some(b'-' | b'0'..=b'9') => {
                serde_json::from_str::<&RawValue>(text)?;
                Self::Number(text.into())
            }
            _ => {
                serde_json::from_str::<&RawValue>(text)?;
                Self::Word(text.into())
            }
        })
    }

    /// The field of that name, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An object of those fields that are there.
    #[must_use]
    pub fn pick(&self, names: &[&str]) -> Self {
        let field = |name: &&str| self.get(name).map(|value| ((*name).to_owned(), value.clone()));
        Self::Object(names.iter().filter_map(field).collect())
    }

    /// This object with one more field, if there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<Self>) -> Self {
        if let (Self::Object(fields), Some(value)) = (&mut self, value) {
            fields.insert(name.to_owned(), value);
        }
        self
    }

    /// One text for all that counts as the same value.
    #[must_use]
    pub fn canonical(&self) -> String {
        Canonical(self, false).to_string()
    }
}

struct Canonical<'a>(&'a Json, bool);

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Json::Word(word) => f.write_str(word),
            Json::Number(digits) if self.1 => f.write_str(digits),
            Json::Number(digits) => match digits.parse::<f64>() {
                Ok(value) => write!(f, "{value}"),
                Err(_) => f.write_str(digits),
            },
            Json::Text(text) => write!(f, "{text:?}"),
            Json::Array(items) => {
                f.write_str("[")?;
                items.iter().try_for_each(|item| write!(f, "{},", Canonical(item, false)))?;
                f.write_str("]")
            }
            Json::Object(fields) => {
                f.write_str("{")?;
                let mut fields = fields.iter();
                fields.try_for_each(|(name, value)| {
                    let money = MONEY.contains(&name.as_str());
                    write!(f, "{name:?}:{},", Canonical(value, money))
                })?;
                f.write_str("}")
            }
        }
    }
}

/// An object's fields, none of them twice.
struct Fields(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Json::parse(a).unwrap().canonical() == Json::parse(b).unwrap().canonical()
    }

    #[test]
    fn money_counts_by_digit_other_numbers_by_value() {
        assert!(!same(r#"{"total":1250.50}"#, r#"{"total":1250.5}"#));
        assert!(!same(r#"{"balances":{"rezCoins":1}}"#, r#"{"balances":{"rezCoins":1.0}}"#));
        assert!(same(r#"{"percentageRemaining":50.0}"#, r#"{"percentageRemaining":50}"#));
        assert!(!same(r#"{"percentageRemaining":50.1}"#, r#"{"percentageRemaining":50}"#));
    }

    #[test]
    fn order_of_fields_does_not_count_but_presence_and_kind_do() {
        assert!(same(r#"{"a":"x","b":[1,{"c":"\u0041"}]}"#, r#" {"b": [1, {"c": "A"}], "a": "x"} "#));
        assert!(!same(r#"{"a":null}"#, "{}"));
        assert!(!same(r#"{"a":"1"}"#, r#"{"a":1}"#));
        assert!(!same(r#"{"a":"null"}"#, r#"{"a":null}"#));
        assert!(!same("[[1],2]", "[[1,2]]"));
    }

    #[test]
    fn refuses_nonsense_and_fields_that_stand_twice() {
        for bad in ["", "{", "nul", "1 2", "--1", r#"{"a":1,"a":1}"#] {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
    }
}
