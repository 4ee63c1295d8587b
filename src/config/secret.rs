//! A text that must never be shown: passwords, signing secrets, URLs with credentials in them. `Debug` and `Display`
//! give a placeholder; the text itself is read only where it is used, by [`Secret::expose`].

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A configured secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the secret's text as it is.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it; never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        /// The derived message would show the value ("invalid type: integer `1234`"): these never do.
        macro_rules! refuse {
            ($($visit:ident($kind:ty)),*) => {
                $(fn $visit<E: de::Error>(self, _: $kind) -> Result<Secret, E> {
                    Err(E::custom("must be a string in quotes (its value is not shown)"))
                })*
            };
        }

        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }

            refuse!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown() {
        let secret = Secret::new("hunter2hunter2");
        assert!(!format!("{secret:?} {secret}").contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2hunter2");
    }
}
