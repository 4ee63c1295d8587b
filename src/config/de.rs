//! From the untyped tree to the structs. A deserializer of our own, because it must do what serde's derive cannot:
//! collect every error instead of the first, give each the place of its value, take an environment variable as
//! whatever type its key has, and name the nearest key for an unknown one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::{ConfigError, Place};
use super::suggest;
use super::tree::{Node, Value};

/// The keys of each section, by the section's name; the sections themselves under the empty name.
pub(super) type KnownKeys = BTreeMap<String, &'static [&'static str]>;

/// What a pass over the tree leaves behind.
#[derive(Default)]
struct State {
    known: RefCell<KnownKeys>,
    unknown: RefCell<BTreeMap<String, Place>>,
    /// Keys whose values did not fit: left out in the next pass.
    skip: BTreeSet<String>,
}

/// Makes a `T` of the tree. What does not fit is left at its default and recorded in `errors`.
pub(super) fn decode<T: DeserializeOwned + Default>(tree: &Node, errors: &mut Vec<ConfigError>) -> (T, KnownKeys) {
    let mut state = State::default();
    let value = loop {
        match T::deserialize(Source { node: tree, path: "", free: false, state: &state }) {
            Ok(value) => break value,
            Err(error) => {
                let (path, place) = error.at.unwrap_or_default();
                let again = !path.is_empty() && state.skip.insert(path.clone());
                errors.push(ConfigError { path, place, message: with_example(error.message) });
                if !again {
                    // Nothing to leave out: the tree as a whole is wrong.
                    break T::default();
                }
            }
        }
    };
    let known = state.known.into_inner();
    errors.extend(state.unknown.into_inner().into_iter().map(|(path, place)| ConfigError {
        message: suggest::unknown_key(&path, &known),
        path,
        place,
    }));
    (value, known)
}

/// Adds an example to the messages that do not say what a right value looks like.
fn with_example(message: String) -> String {
    if message.contains("expected a duration") {
        message + ", for example \"25s\" or \"1m 30s\""
    } else if message.contains("socket address") {
        message + ", expected for example \"0.0.0.0:3001\""
    } else {
        message
    }
}

/// An error and, once it is known, its path and place.
#[derive(Debug)]
struct Error {
    message: String,
    at: Option<(String, Place)>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None }
    }
}

/// A node as serde sees it.
#[derive(Clone, Copy)]
struct Source<'a> {
    node: &'a Node,
    path: &'a str,
    /// Whether it is a value in a table of free names, whose values are texts however they are written.
    free: bool,
    state: &'a State,
}

impl Source<'_> {
    fn unfit(&self, expected: &str) -> Error {
        de::Error::custom(format_args!("expected {expected}, found {}", self.node.value.describe()))
    }

    fn integer(&self) -> Result<i64, Error> {
        match &self.node.value {
            Value::Integer(n) => Ok(*n),
            Value::Env(text) => text.replace('_', "").parse().map_err(|_| self.unfit("a whole number")),
            _ => Err(self.unfit("a whole number")),
        }
    }
}

/// Whole numbers: no sign where the key has none, and the key's own range in the message.
macro_rules! integers {
    ($($method:ident $visit:ident $kind:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let n = self.integer()?;
            let n = <$kind>::try_from(n)
                .map_err(|_| self.unfit(&format!("a whole number from {} to {}", <$kind>::MIN, <$kind>::MAX)))?;
            visitor.$visit(n)
        })*
    };
}

impl<'de> Deserializer<'de> for Source<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Table(_) => self.deserialize_map(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Text(text) | Value::Env(text) => visitor.visit_str(text),
            Value::Integer(n) => visitor.visit_i64(*n),
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Boolean(b) => visitor.visit_bool(*b),
            Value::Date => Err(de::Error::custom("no key takes a date")),
        }
    }

    integers!(deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
              deserialize_u64 visit_u64 u64, deserialize_i64 visit_i64 i64);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Boolean(b) => visitor.visit_bool(*b),
            Value::Env(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => visitor.visit_bool(true),
                "false" | "0" => visitor.visit_bool(false),
                _ => Err(self.unfit("true or false")),
            },
            _ => Err(self.unfit("true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.free {
            return self.deserialize_any(visitor);
        }
        // Free names may stand for passwords: what is refused here is not shown.
        match &self.node.value {
            Value::Text(text) | Value::Env(text) => visitor.visit_str(text),
            Value::Integer(n) => visitor.visit_string(n.to_string()),
            Value::Boolean(b) => visitor.visit_string(b.to_string()),
            _ => Err(de::Error::custom("expected a string in quotes")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Env(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = &self.node.place;
        let nodes = match &self.node.value {
            Value::Array(nodes) => nodes.clone(),
            Value::Env(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Node { value: Value::Env(part.into()), place: place.clone() })
                .collect(),
            _ => return Err(self.unfit("a list")),
        };
        visitor.visit_seq(Items { nodes: nodes.iter().enumerate(), path: self.path, state: self.state })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Table(table) = &self.node.value else { return Err(self.unfit("a table of names and values")) };
        let mut entries = Vec::new();
        flatten(table, "", &mut entries);
        visitor.visit_map(Entries::new(entries, true, self.path, self.state))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Table(table) = &self.node.value else { return Err(self.unfit("a section with keys")) };
        self.state.known.borrow_mut().insert(self.path.into(), fields);
        let empty = Node::empty();
        let mut entries = Vec::new();
        for (key, node) in table {
            if fields.contains(&key.as_str()) {
                entries.push((key.clone(), node));
            } else {
                self.state.unknown.borrow_mut().insert(join(self.path, key), node.place.clone());
            }
        }
        if self.path.is_empty() {
            // Every section is visited, so that its keys are known when a name has to be suggested.
            let missing = fields.iter().filter(|field| !table.contains_key(**field));
            entries.extend(missing.map(|field| ((*field).to_owned(), &empty)));
        }
        visitor.visit_map(Entries::new(entries, false, self.path, self.state))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `security.protocol = "SSL"` is a table in TOML, but one name for librdkafka.
fn flatten<'a>(table: &'a BTreeMap<String, Node>, prefix: &str, entries: &mut Vec<(String, &'a Node)>) {
    for (key, node) in table {
        let key = join(prefix, key);
        match &node.value {
            Value::Table(inner) => flatten(inner, &key, entries),
            _ => entries.push((key, node)),
        }
    }
}

/// A list's items.
struct Items<'a, I> {
    nodes: I,
    path: &'a str,
    state: &'a State,
}

impl<'de, 'a, I: Iterator<Item = (usize, &'a Node)>> SeqAccess<'de> for Items<'a, I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        seed.deserialize(Source { node, path: self.path, free: false, state: self.state })
            .map(Some)
            .map_err(|error| Error { message: format!("item {}: {}", index + 1, error.message), ..error })
    }
}

/// A table's entries.
struct Entries<'a> {
    rest: std::vec::IntoIter<(String, &'a Node)>,
    next: Option<(String, &'a Node)>,
    free: bool,
    path: &'a str,
    state: &'a State,
}

impl<'a> Entries<'a> {
    fn new(entries: Vec<(String, &'a Node)>, free: bool, path: &'a str, state: &'a State) -> Self {
        Self { rest: entries.into_iter(), next: None, free, path, state }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let path = self.path;
        let skip = &self.state.skip;
        self.next = self.rest.find(|(key, _)| !skip.contains(&join(path, key)));
        match &self.next {
            None => Ok(None),
            Some((key, _)) => {
                let key: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
                seed.deserialize(key).map(Some)
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, node)) = self.next.take() else { return Err(de::Error::custom("a value without a key")) };
        let path = join(self.path, &key);
        seed.deserialize(Source { node, path: &path, free: self.free, state: self.state }).map_err(|error| Error {
            at: error.at.or_else(|| Some((path.clone(), node.place.clone()))),
            message: error.message,
        })
    }
}
