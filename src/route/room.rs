//! Rooms and the ids they are built from. A room is only ever made from parsed parts, so that no id can smuggle in
//! another room (`1:user:2`) and no two spellings name the same one.

use std::fmt;
use std::sync::Arc;

/// An id of the domain: 1–128 characters of `A–Z a–z 0–9 _ . -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or more than 128 characters.
    #[error("an id has 1 to 128 characters, this one has {0}")]
    Length(usize),
    /// A character outside the alphabet.
    #[error("an id has only letters, digits, `_`, `.` and `-`, this one has {0:?}")]
    Character(char),
}

impl Id {
    /// The most characters an id can have.
    pub const MAX_LEN: usize = 128;

    /// Parses an id.
    ///
    /// # Errors
    /// [`IdError`] when the length or a character is not an id's.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::check(text).map(|()| Self(text.into()))
    }

    pub(super) fn check(text: &str) -> Result<(), IdError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(IdError::Length(text.chars().count()));
        }
        match text.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))) {
            None => Ok(()),
            Some(_) => Err(IdError::Character(
                text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or('?'),
            )),
        }
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of room a name belongs to. The kind decides who may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomKind {
    /// `user:{id}`: one customer's (or anybody's) own devices.
    User,
    /// `merchant:{id}`: everybody who works for a merchant.
    Merchant,
    /// `order:{id}`: who follows one order.
    Order,
    /// `flash_sale:{id}`: public; a leading `flash_sale_` of the id is dropped.
    FlashSale,
    /// `admin:{name}`: staff.
    Admin,
    /// `everyone`: every connected socket.
    Everyone,
}

impl RoomKind {
    /// The kind's prefix, as it stands in the room's name and in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Merchant => "merchant",
            Self::Order => "order",
            Self::FlashSale => "flash_sale",
            Self::Admin => "admin",
            Self::Everyone => "everyone",
        }
    }

    fn from_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "user" => Self::User,
            "merchant" => Self::Merchant,
            "order" => Self::Order,
            "flash_sale" => Self::FlashSale,
            "admin" => Self::Admin,
            _ => return None,
        })
    }
}

/// A room: a set of sockets that an emission goes to. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Arc<str>);

/// Why a text is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The part before the colon is none of the known kinds.
    #[error("a room is `everyone` or `user:`, `merchant:`, `order:`, `flash_sale:` or `admin:` and an id")]
    Kind,
    /// The part after the colon is no id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Room {
    /// Parses a room's name, from a client or from a filled template. `flash_sale:flash_sale_1` is `flash_sale:1`.
    ///
    /// # Errors
    /// [`RoomError`] when the kind is unknown or the rest is no [`Id`].
    pub fn parse(text: &str) -> Result<Self, RoomError> {
        if text == "everyone" {
            return Ok(Self::everyone());
        }
        let (prefix, id) = text.split_once(':').ok_or(RoomError::Kind)?;
        let kind = RoomKind::from_prefix(prefix).ok_or(RoomError::Kind)?;
        Id::check(id)?;
        match kind {
            RoomKind::FlashSale if id.starts_with("flash_sale_") => Ok(Self::new(kind, &Id::parse(id)?)),
            _ => Ok(Self(text.into())),
        }
    }

    /// The room of that kind for that id; `everyone` has no id and ignores it.
    #[must_use]
    pub fn new(kind: RoomKind, id: &Id) -> Self {
        let id = id.as_str();
        match kind {
            RoomKind::Everyone => Self::everyone(),
            RoomKind::FlashSale => {
                // A sale whose whole id is the prefix keeps it: a room's id is never empty.
                let short = id.strip_prefix("flash_sale_").filter(|rest| !rest.is_empty()).unwrap_or(id);
                Self(format!("flash_sale:{short}").into())
            }
            _ => Self(format!("{}:{id}", kind.as_str()).into()),
        }
    }

    /// The room that every socket is in.
    #[must_use]
    pub fn everyone() -> Self {
        Self("everyone".into())
    }

    /// The room's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The room's kind.
    #[must_use]
    pub fn kind(&self) -> RoomKind {
        self.0.split_once(':').and_then(|(prefix, _)| RoomKind::from_prefix(prefix)).unwrap_or(RoomKind::Everyone)
    }

    /// The id after the colon; `None` for `everyone`.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.0.split_once(':').map(|(_, id)| Id(id.into()))
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
