//! The route file as it is written: TOML read by hand, so that every mistake is found and each has its place. What the
//! names in it mean is not looked at here.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Everything that is wrong with a route file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteErrors {
    origin: Box<str>,
    problems: Vec<Problem>,
}

/// One thing that is wrong with a route file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; 0 when it concerns the whole file.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Which part of the file, for example ``route `order.created`, emit 2``; may be empty.
    pub part: Box<str>,
    /// What is wrong, and what would be right.
    pub message: Box<str>,
}

impl RouteErrors {
    /// A file that could not even be read.
    pub(super) fn unreadable(origin: &str, error: &std::io::Error) -> Self {
        let message = format!("cannot read the route file: {error}; set routes.file to a readable one").into();
        Self { origin: origin.into(), problems: vec![Problem { line: 0, column: 0, part: "".into(), message }] }
    }

    /// All of them, in the order of the file. Never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for RouteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.origin)?;
            if problem.line > 0 {
                write!(f, ":{}:{}", problem.line, problem.column)?;
            }
            if !problem.part.is_empty() {
                write!(f, ": {}", problem.part)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for RouteErrors {}

/// Collects problems with their places.
pub(super) struct Problems<'a> {
    text: &'a str,
    origin: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str, origin: &'a str) -> Self {
        Self { text, origin, found: Vec::new() }
    }

    /// Notes a problem at a byte of the file.
    pub(super) fn at(&mut self, byte: usize, part: &str, message: impl Into<String>) {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.found.push(Problem {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            part: part.into(),
            message: message.into().into(),
        });
    }

    /// Notes a problem at a byte of a string's value: exactly there, if the string is written without escapes.
    pub(super) fn within(&mut self, value: &Spanned<String>, byte: usize, part: &str, message: impl Into<String>) {
        let span = value.span();
        let written = self.text.get(span.clone()).and_then(|source| source.find(value.get_ref().as_str()));
        self.at(span.start + written.map_or(0, |start| start + byte), part, message);
    }

    pub(super) fn finish(mut self) -> Result<(), RouteErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        Err(RouteErrors { origin: self.origin.into(), problems: self.found })
    }
}

/// `[[route]]`.
pub(super) struct RawRoute {
    pub(super) part: String,
    pub(super) kind: Spanned<String>,
    pub(super) emits: Vec<RawEmit>,
}

/// `[[route.emit]]`; `ordinal` counts also those that could not be read.
pub(super) struct RawEmit {
    pub(super) part: String,
    pub(super) ordinal: usize,
    pub(super) to: Vec<Spanned<String>>,
    pub(super) event: Option<Spanned<String>>,
    pub(super) payload: Option<Spanned<String>>,
    pub(super) class: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) keep: Option<Spanned<String>>,
}

/// `[[order_access]]` or `[figures]`: a type, and fields by what they mean.
pub(super) struct RawFields {
    pub(super) part: String,
    pub(super) kind: Spanned<String>,
    pub(super) fields: Vec<(&'static str, Spanned<String>)>,
}

impl RawFields {
    pub(super) fn field(&self, name: &str) -> Option<&Spanned<String>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, path)| path)
    }
}

/// The whole file.
#[derive(Default)]
pub(super) struct RawFile {
    pub(super) routes: Vec<RawRoute>,
    pub(super) access: Vec<RawFields>,
    pub(super) figures: Option<RawFields>,
}

impl RawFile {
    /// Reads what can be read, and notes what cannot.
    pub(super) fn read(text: &str, problems: &mut Problems<'_>) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            problems.at(error.span().map_or(0, |span| span.start), "", error.message());
        }
        if !errors.is_empty() {
            // What a broken text was recovered to would only give errors that nobody made.
            return Self::default();
        }
        let mut reader = Reader { problems };
        let table = document.get_ref();
        reader.known(table, &["route", "order_access", "figures"], "");
        let mut file = Self::default();
        for (index, (span, route)) in reader.tables(table, "route", "").into_iter().enumerate() {
            file.routes.extend(reader.route(index + 1, &span, route));
        }
        for (index, (span, access)) in reader.tables(table, "order_access", "").into_iter().enumerate() {
            let part = format!("order_access {}", index + 1);
            file.access.extend(reader.fields(&part, &span, access, &["order"], &["customer", "merchant", "partner"]));
        }
        if let Some(figures) = table.get("figures") {
            match figures.get_ref() {
                DeValue::Table(table) => {
                    file.figures = reader.fields("figures", &figures.span(), table, &["amount", "time"], &[]);
                }
                other => reader.wrong("figures", figures.span(), "a table", other),
            }
        }
        file
    }
}

struct Reader<'p, 'a> {
    problems: &'p mut Problems<'a>,
}

impl Reader<'_, '_> {
    fn wrong(&mut self, part: &str, span: Range<usize>, wanted: &str, found: &DeValue<'_>) {
        self.problems.at(span.start, part, format!("expected {wanted}, found {}", found.type_str()));
    }

    fn known(&mut self, table: &DeTable<'_>, keys: &[&str], part: &str) {
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let message = format!("unknown key `{}`; known here: {}", key.get_ref(), keys.join(", "));
                self.problems.at(key.span().start, part, message);
            }
        }
    }

    fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        part: &str,
    ) -> Vec<(Range<usize>, &'t DeTable<'i>)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(part, value.span(), &format!("tables `[[{key}]]`"), value.get_ref());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => tables.push((item.span(), table)),
                other => self.wrong(part, item.span(), "a table", other),
            }
        }
        tables
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str, part: &str) -> Option<Spanned<String>> {
        let value = table.get(key)?;
        if let DeValue::String(text) = value.get_ref() {
            return Some(Spanned::new(value.span(), text.to_string()));
        }
        self.wrong(part, value.span(), &format!("a text for `{key}`"), value.get_ref());
        None
    }

    fn needed(&mut self, table: &DeTable<'_>, at: usize, key: &str, part: &str) -> Option<Spanned<String>> {
        if !table.contains_key(key) {
            self.problems.at(at, part, format!("`{key}` is missing"));
        }
        self.text(table, key, part)
    }

    fn route(&mut self, number: usize, span: &Range<usize>, table: &DeTable<'_>) -> Option<RawRoute> {
        let part = format!("route {number}");
        let kind = self.needed(table, span.start, "type", &part);
        let part = kind.as_ref().map_or(part, |kind| format!("route `{}`", kind.get_ref()));
        self.known(table, &["type", "emit"], &part);
        let emits = self.tables(table, "emit", &part);
        if emits.is_empty() && !table.contains_key("emit") {
            self.problems.at(span.start, &part, "has no [[route.emit]]: its records would go nowhere");
        }
        let emits = emits.into_iter().enumerate();
        let emits = emits.filter_map(|(ordinal, (span, emit))| self.emit(&part, ordinal, &span, emit)).collect();
        Some(RawRoute { part, kind: kind?, emits })
    }

    fn emit(&mut self, route: &str, ordinal: usize, span: &Range<usize>, table: &DeTable<'_>) -> Option<RawEmit> {
        let part = format!("{route}, emit {}", ordinal + 1);
        self.known(table, &["to", "event", "payload", "class", "key", "keep"], &part);
        let to = self.rooms(table, span, &part);
        let event = self.text(table, "event", &part);
        let payload = self.text(table, "payload", &part);
        let class = self.text(table, "class", &part);
        let key = self.text(table, "key", &part);
        let keep = self.text(table, "keep", &part);
        Some(RawEmit { part, ordinal, to: to?, event, payload, class, key, keep })
    }

    fn rooms(&mut self, table: &DeTable<'_>, span: &Range<usize>, part: &str) -> Option<Vec<Spanned<String>>> {
        let Some(value) = table.get("to") else {
            self.problems.at(span.start, part, "`to` is missing: the rooms that it goes to");
            return None;
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(part, value.span(), "an array of rooms for `to`", value.get_ref());
            return None;
        };
        let mut rooms = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(room) => rooms.push(Spanned::new(item.span(), room.to_string())),
                other => self.wrong(part, item.span(), "a room", other),
            }
        }
        if items.is_empty() {
            self.problems.at(value.span().start, part, "`to` names no room");
        }
        Some(rooms)
    }

    fn fields(
        &mut self,
        part: &str,
        span: &Range<usize>,
        table: &DeTable<'_>,
        needed: &[&'static str],
        optional: &[&'static str],
    ) -> Option<RawFields> {
        let kind = self.needed(table, span.start, "type", part);
        let part = kind.as_ref().map_or(part.to_owned(), |kind| format!("{part} (`{}`)", kind.get_ref()));
        self.known(table, &[&["type"], needed, optional].concat(), &part);
        let mut fields = Vec::new();
        for name in needed {
            fields.extend(self.needed(table, span.start, name, &part).map(|path| (*name, path)));
        }
        for name in optional {
            fields.extend(self.text(table, name, &part).map(|path| (*name, path)));
        }
        Some(RawFields { part, kind: kind?, fields })
    }
}
