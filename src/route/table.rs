//! The compiled route table: an event in, its emissions and facts out.
//!
//! Built once, from a route file and the schemas; then read by every record of every partition. Routing is one pass
//! over the event's data for all templates, keys and facts of its type together. It holds no state and does no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::codec::Schemas;
use crate::event::Event;

use super::build::Builder;
use super::emission::{Emission, EmitSpec, OrderFacts, OrderFigure, Routed};
use super::file::RouteErrors;
use super::room::{Id, IdError};
use super::scan::{Picks, ScanError, Slots};
use super::template::{IdField, Target};

/// The default routes, as they stand in the repository.
pub const BUILTIN: &str = include_str!("../../config/routes.toml");

/// Why a record cannot be routed. Permanent: the same record fails on every node, each time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A field that names a room or a key holds no id.
    #[error("field `{field}` holds no id: {error}")]
    BadId {
        /// The field.
        field: Arc<str>,
        /// Why it is none.
        error: IdError,
    },
    /// A field is absent that the schema requires.
    #[error("field `{0}` is missing")]
    MissingField(Arc<str>),
    /// A field holds something else than the schema says.
    #[error("field `{field}` is not {expected}")]
    WrongType {
        /// The field.
        field: Arc<str>,
        /// What it should be.
        expected: &'static str,
    },
    /// The data cannot be read.
    #[error(transparent)]
    Data(ScanError),
}

impl RouteError {
    /// A stable word for metrics, logs and dead letters.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BadId { .. } => "bad_id",
            Self::MissingField(_) => "missing_field",
            Self::WrongType { .. } | Self::Data(ScanError::NotObject(_)) => "wrong_type",
            Self::Data(ScanError::Malformed | ScanError::TooDeep) => "bad_data",
        }
    }
}

/// The compiled route table.
#[derive(Debug)]
pub struct Routes {
    pub(super) origin: Box<str>,
    pub(super) types: HashMap<Arc<str>, TypeRoute>,
    /// The types in the order of the file, for people.
    pub(super) order: Vec<Arc<str>>,
}

/// What happens to records of one type.
#[derive(Debug)]
pub(super) struct TypeRoute {
    pub(super) picks: Picks,
    pub(super) emits: Vec<Emit>,
    pub(super) access: Option<Access>,
    pub(super) figure: Option<Figure>,
}

/// One compiled `[[route.emit]]`.
#[derive(Debug)]
pub(super) struct Emit {
    pub(super) ordinal: u16,
    pub(super) to: SmallVec<[Target; 2]>,
    pub(super) key: Option<IdField>,
    pub(super) spec: Arc<EmitSpec>,
}

/// One compiled `[[order_access]]`.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) order: IdField,
    pub(super) customer: Option<IdField>,
    pub(super) merchant: Option<IdField>,
    pub(super) partner: Option<IdField>,
}

/// The compiled `[figures]`.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) amount: (usize, Arc<str>),
    pub(super) time: (usize, Arc<str>),
}

impl Routes {
    /// Compiles a route file and checks it against the schemas. `origin` names the file in messages.
    ///
    /// # Errors
    /// [`RouteErrors`] with everything that is wrong, each with its place.
    pub fn parse(text: &str, origin: &str, schemas: &Schemas) -> Result<Self, RouteErrors> {
        Builder::new(text, origin, schemas).build()
    }

    /// The routes that the configuration names, or the compiled-in ones.
    ///
    /// # Errors
    /// [`RouteErrors`] when the file cannot be read or is wrong.
    pub fn from_config(config: &crate::config::Routes, schemas: &Schemas) -> Result<Self, RouteErrors> {
        let Some(path) = &config.file else {
            return Self::parse(BUILTIN, "config/routes.toml (compiled in)", schemas);
        };
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| RouteErrors::unreadable(&origin, &error))?;
        Self::parse(&text, &origin, schemas)
    }

    /// The types of records that have a meaning here, in the order of the file.
    #[must_use]
    pub fn types(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.order.iter()
    }

    /// What an event means. `None`: no route knows its type.
    ///
    /// # Errors
    /// [`RouteError`] when nothing may be done with the record: it names what is no id, or is not what its schema says.
    pub fn route(&self, event: &Event) -> Result<Option<Routed>, RouteError> {
        let Some(route) = self.types.get(&*event.kind) else { return Ok(None) };
        let slots = route.picks.scan(&event.data).map_err(RouteError::Data)?;
        let mut routed = Routed::default();
        let mut buffer = String::new();
        for emit in &route.emits {
            match emit.resolve(&slots, &mut buffer)? {
                Some((rooms, latest_key)) => routed.emissions.push(Emission {
                    ordinal: emit.ordinal,
                    rooms,
                    latest_key,
                    spec: Arc::clone(&emit.spec),
                    data: event.data.clone(),
                }),
                None => routed.left_out.push(emit.ordinal),
            }
        }
        routed.order = route.access.as_ref().map(|access| access.facts(&slots)).transpose()?.flatten();
        routed.figure = route.figure.as_ref().map(|figure| figure.read(&slots)).transpose()?;
        Ok(Some(routed))
    }
}

type Resolved = (SmallVec<[super::Room; 2]>, Box<str>);

impl Emit {
    fn resolve(&self, slots: &Slots<'_>, buffer: &mut String) -> Result<Option<Resolved>, RouteError> {
        let mut rooms = SmallVec::new();
        for target in &self.to {
            let Some(room) = target.room(slots, buffer)? else { return Ok(None) };
            if !rooms.contains(&room) {
                rooms.push(room);
            }
        }
        let key = match &self.key {
            None => Box::default(),
            Some(field) => match field.read(slots)? {
                None => return Ok(None),
                Some(key) => key.into_owned().into_boxed_str(),
            },
        };
        Ok(Some((rooms, key)))
    }
}

impl Access {
    fn facts(&self, slots: &Slots<'_>) -> Result<Option<OrderFacts>, RouteError> {
        let read = |field: &Option<IdField>| -> Result<Option<Id>, RouteError> {
            Ok(field.as_ref().map(|field| field.id(slots)).transpose()?.flatten())
        };
        let Some(order) = self.order.id(slots)? else { return Ok(None) };
        Ok(Some(OrderFacts {
            order,
            customer: read(&self.customer)?,
            merchant: read(&self.merchant)?,
            partner: read(&self.partner)?,
        }))
    }
}

impl Figure {
    fn read(&self, slots: &Slots<'_>) -> Result<OrderFigure, RouteError> {
        let pick =
            |(slot, name): &(usize, Arc<str>)| slots[*slot].ok_or_else(|| RouteError::MissingField(Arc::clone(name)));
        let wrong = |name: &Arc<str>, expected| RouteError::WrongType { field: Arc::clone(name), expected };
        let amount = std::str::from_utf8(pick(&self.amount)?.raw).ok().and_then(decimal);
        let time = pick(&self.time)?.text().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Ok(OrderFigure {
            amount: amount.ok_or_else(|| wrong(&self.amount.1, "a number"))?,
            created_at_ms: time.ok_or_else(|| wrong(&self.time.1, "an RFC 3339 time"))?.as_millisecond(),
        })
    }
}

/// An exact decimal; `None` where the text is no number or has more digits than one can hold.
fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) }.ok()
}
