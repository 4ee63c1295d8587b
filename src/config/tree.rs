//! The configuration before it has types: a tree of values, each with the place where it was set. The file fills it,
//! the environment is laid over it. It only gathers; whether a key exists and a value fits is decided in [`super::de`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::Server;
use super::error::{ConfigError, Place};

/// A value and where it was set.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A value without its type.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Table(BTreeMap<String, Node>),
    Array(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time, which no key takes.
    Date,
    /// From the environment: its type is what the key wants.
    Env(String),
}

impl Value {
    /// What to call it in a message, with its value where that is short and no secret.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Table(_) => "a table".into(),
            Self::Array(_) => "a list".into(),
            Self::Text(text) | Self::Env(text) => format!("{text:?}"),
            Self::Integer(n) => format!("the number {n}"),
            Self::Float(n) => format!("the number {n}"),
            Self::Boolean(b) => format!("`{b}`"),
            Self::Date => "a date".into(),
        }
    }
}

impl Node {
    /// An empty table that was set nowhere.
    pub(super) fn empty() -> Self {
        Self { value: Value::Table(BTreeMap::new()), place: Place::Unset }
    }

    fn table(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The node at `section.key`.
    pub(super) fn find(&self, section: &str, key: &str) -> Option<&Node> {
        self.table()?.get(section)?.table()?.get(key)
    }

    /// Where `section.key` was set; a key within a table of free names is looked up under its whole dotted name.
    pub(super) fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut rest = path;
        while let Some(table) = node.table() {
            let step = table.iter().find(|(name, _)| {
                rest.strip_prefix(name.as_str()).is_some_and(|tail| tail.is_empty() || tail.starts_with('.'))
            });
            let Some((name, child)) = step else { return Place::Unset };
            rest = rest[name.len()..].trim_start_matches('.');
            node = child;
            if rest.is_empty() {
                break;
            }
        }
        node.place.clone()
    }

    /// Sets a value in place of what stood there. Where a section was given as a plain value, that error is told
    /// instead.
    fn set(&mut self, path: &[String], node: Node) {
        let Some((last, way)) = path.split_last() else { return };
        let mut at = self;
        for step in way {
            let Value::Table(table) = &mut at.value else { return };
            at = table
                .entry(step.clone())
                .or_insert_with(|| Self { value: Value::Table(BTreeMap::new()), place: node.place.clone() });
        }
        if let Value::Table(table) = &mut at.value {
            table.insert(last.clone(), node);
        }
    }
}

/// Parses a file's text.
///
/// # Errors
/// Every syntax error, with its line.
pub(super) fn from_toml(text: &str, name: &Path) -> Result<Node, Vec<ConfigError>> {
    let name = Arc::new(name.to_path_buf());
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // Only the message, not the library's `Display`: that shows the line, which may hold a secret.
        let list = errors.iter().map(|error| ConfigError {
            path: String::new(),
            place: Place::File {
                name: Arc::clone(&name),
                line: error.span().map_or(lines.count(), |span| lines.number(span.start)),
            },
            message: error.message().replace('\n', ", "),
        });
        return Err(list.collect());
    }
    let span = table.span();
    Ok(convert(DeValue::Table(table.into_inner()), span.start, &lines, &name))
}

fn convert(value: DeValue<'_>, start: usize, lines: &Lines, name: &Arc<PathBuf>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::Integer(n),
            // Greater than any key takes; as a text it is refused with its digits shown.
            Err(_) => Value::Text(n.as_str().into()),
        },
        DeValue::Float(n) => Value::Float(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Value::Boolean(b),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(array) => Value::Array(
            array
                .into_iter()
                .map(|item| {
                    let start = item.span().start;
                    convert(item.into_inner(), start, lines, name)
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(key, item)| {
                    let start = key.span().start;
                    (key.into_inner().into_owned(), convert(item.into_inner(), start, lines, name))
                })
                .collect(),
        ),
    };
    Node { value, place: Place::File { name: Arc::clone(name), line: lines.number(start) } }
}

/// The places of a text's line ends.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    fn number(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }

    fn count(&self) -> usize {
        self.0.len() + 1
    }
}

/// What the environment calls by a short name, and where it belongs.
const SHORT_NAMES: [(&str, &str, &str); 6] = [
    ("JWT_SECRET", "auth", "secret"),
    ("REDIS_URL", "redis", "url"),
    ("KAFKA_BROKERS", "kafka", "brokers"),
    ("CUSTOMER_APP_URL", "origins", "customer_app"),
    ("MERCHANT_APP_URL", "origins", "merchant_app"),
    ("ADMIN_APP_URL", "origins", "admin_app"),
];

const PREFIX: &str = "RTMN__";

/// Lays the environment over the tree: short names first, so that an explicit `RTMN__SECTION__KEY` wins. An empty
/// short name counts as not set, as composed environments leave them.
pub(super) fn overlay(tree: &mut Node, env: impl Iterator<Item = (String, String)>, errors: &mut Vec<ConfigError>) {
    let mut explicit = Vec::new();
    for (name, value) in env {
        if let Some(path) = name.strip_prefix(PREFIX) {
            explicit.push((name.clone(), path_of(path), value));
        } else if value.is_empty() {
        } else if name == "PORT" {
            set_port(tree, &value, errors);
        } else if let Some((_, section, key)) = SHORT_NAMES.iter().find(|(short, _, _)| *short == name) {
            tree.set(&[(*section).into(), (*key).into()], from_env(&name, value));
        }
    }
    // In a fixed order, whatever order the environment has.
    explicit.sort();
    for (name, path, value) in explicit {
        tree.set(&path, from_env(&name, value));
    }
}

fn from_env(name: &str, value: String) -> Node {
    Node { value: Value::Env(value), place: Place::Env(name.into()) }
}

/// `SOCKET__PING_INTERVAL` is `socket.ping_interval`; below `KAFKA__PROPERTIES` one underscore is a dot, as
/// librdkafka's names have dots and the environment's cannot.
fn path_of(name: &str) -> Vec<String> {
    let mut path: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
    if path.len() > 2 && path[0] == "kafka" && path[1] == "properties" {
        let property = path.split_off(2).join(".").replace('_', ".");
        path.push(property);
    }
    path
}

/// `PORT` sets the port alone: the address stays what the file or the default says.
fn set_port(tree: &mut Node, value: &str, errors: &mut Vec<ConfigError>) {
    let place = Place::Env("PORT".into());
    let Ok(port) = value.parse::<u16>() else {
        let message = format!("expected a port from 0 to 65535, found {value:?}");
        errors.push(ConfigError { path: "server.listen".into(), place, message });
        return;
    };
    let mut listen = match tree.find("server", "listen").map(|node| &node.value) {
        Some(Value::Text(text)) => match text.parse::<SocketAddr>() {
            Ok(listen) => listen,
            Err(_) => return, // The file's value is reported where it stands.
        },
        _ => Server::default().listen,
    };
    listen.set_port(port);
    tree.set(&["server".into(), "listen".into()], Node { value: Value::Text(listen.to_string()), place });
}
