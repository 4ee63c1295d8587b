//! Room templates and id fields: how a record's ids become rooms. What a field holds is parsed as an id before it is
//! put in, so that no record can name a room that its route does not.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::room::{Id, IdError, Room, RoomError};
use super::scan::Slots;
use super::table::RouteError;

/// A field of the record that must hold an id.
#[derive(Debug, Clone)]
pub(super) struct IdField {
    pub(super) name: Arc<str>,
    pub(super) slot: usize,
    /// Whether the schema lets it be absent.
    pub(super) optional: bool,
}

impl IdField {
    /// The id's text; `None` when it is absent and may be.
    pub(super) fn read<'a>(&self, slots: &Slots<'a>) -> Result<Option<Cow<'a, str>>, RouteError> {
        let Some(picked) = slots[self.slot] else {
            return if self.optional { Ok(None) } else { Err(RouteError::MissingField(Arc::clone(&self.name))) };
        };
        let text = picked
            .text()
            .ok_or_else(|| RouteError::WrongType { field: Arc::clone(&self.name), expected: "a string" })?;
        Id::check(&text).map_err(|error| self.bad(error))?;
        Ok(Some(text))
    }

    /// The id.
    pub(super) fn id(&self, slots: &Slots<'_>) -> Result<Option<Id>, RouteError> {
        let text = self.read(slots)?;
        text.map(|text| Id::parse(&text)).transpose().map_err(|error| self.bad(error))
    }

    fn bad(&self, error: IdError) -> RouteError {
        RouteError::BadId { field: Arc::clone(&self.name), error }
    }
}

/// Where an emission goes.
#[derive(Debug)]
pub(super) enum Target {
    /// Always the same room.
    Fixed(Room),
    /// A room by the record's ids.
    Template { name: Arc<str>, parts: SmallVec<[Part; 2]> },
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Part {
    Text(Box<str>),
    Field(IdField),
}

impl Target {
    /// Parses a room or template; `field` looks up the fields that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place within `text`.
    pub(super) fn parse(
        text: &str,
        mut field: impl FnMut(&str) -> Result<IdField, String>,
    ) -> Result<Self, Vec<(usize, String)>> {
        let (mut parts, mut errors) = (SmallVec::new(), Vec::new());
        // What the template gives when each field holds `x`: a room, or it never gives one.
        let mut sample = String::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let open = rest.find('{').unwrap_or(rest.len());
            let (fixed, rest) = rest.split_at(open);
            if !fixed.is_empty() {
                sample.push_str(fixed);
                parts.push(Part::Text(fixed.into()));
            }
            at += fixed.len();
            let Some(inner) = rest.strip_prefix('{') else { continue };
            let Some(close) = inner.find('}') else {
                errors.push((at, "`{` without `}`".into()));
                break;
            };
            match field(&inner[..close]) {
                Ok(field) => parts.push(Part::Field(field)),
                Err(error) => errors.push((at + 1, error)),
            }
            sample.push('x');
            at += close + 2;
        }
        if errors.is_empty() {
            match (Room::parse(&sample), parts.iter().any(|part| matches!(part, Part::Field(_)))) {
                (Ok(room), false) => return Ok(Self::Fixed(room)),
                (Ok(_), true) => return Ok(Self::Template { name: text.into(), parts }),
                (Err(error), _) => errors.push((0, format!("`{text}` is no room: {error}"))),
            }
        }
        Err(errors)
    }

    /// The room for a record; `None` when a field that may be absent is. `buffer` is only there to be used again.
    pub(super) fn room(&self, slots: &Slots<'_>, buffer: &mut String) -> Result<Option<Room>, RouteError> {
        let (name, parts) = match self {
            Self::Fixed(room) => return Ok(Some(room.clone())),
            Self::Template { name, parts } => (name, parts),
        };
        buffer.clear();
        for part in parts {
            match part {
                Part::Text(text) => buffer.push_str(text),
                Part::Field(field) => match field.read(slots)? {
                    Some(id) => buffer.push_str(&id),
                    None => return Ok(None),
                },
            }
        }
        Room::parse(buffer).map(Some).map_err(|error| match error {
            RoomError::Id(error) => RouteError::BadId { field: Arc::clone(name), error },
            RoomError::Kind => RouteError::BadId { field: Arc::clone(name), error: IdError::Length(0) },
        })
    }

    /// As it is written.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Fixed(room) => room.as_str(),
            Self::Template { name, .. } => name,
        }
    }
}
