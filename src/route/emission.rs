//! What routing makes of one event: emissions, and the facts that the bridge itself learns from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::metrics::DeliveryClass;

use super::projection::{ProjectError, Projection};
use super::room::{Id, Room};

/// How an emission is delivered to a socket that cannot take it at once, and to one that joins later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Each one, in order.
    #[default]
    Every,
    /// State: only the newest per room and key matters.
    Latest,
    /// A nudge: never queued for who is behind, never replayed.
    Transient,
}

impl From<Class> for DeliveryClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Every => Self::Every,
            Class::Latest => Self::Latest,
            Class::Transient => Self::Transient,
        }
    }
}

/// The part of an emission that is the same for all events of its route: shared, never copied per record.
#[derive(Debug)]
pub struct EmitSpec {
    /// The name of the event that clients hear.
    pub event: Arc<str>,
    /// Delivery class.
    pub class: Class,
    /// How long the room's history keeps it; `None` keeps nothing.
    pub keep: Option<Duration>,
    /// What of the record's data the audience sees.
    pub projection: Projection,
}

/// One emission of one record: an event name, the rooms it goes to, and a payload that is computed only when somebody
/// is there to receive it.
pub struct Emission {
    /// Place within the record, from 0: part of the emission's id, the same on every node. Counts the emits of the
    /// route, also those that this record leaves out.
    pub ordinal: u16,
    /// Target rooms, in the order of the route.
    pub rooms: SmallVec<[Room; 2]>,
    /// For [`Class::Latest`]: what distinguishes states within one room (for example the product's id); empty when the
    /// room has only one.
    pub latest_key: Box<str>,
    /// What it shares with all others of its route.
    pub spec: Arc<EmitSpec>,
    /// The event's data, from which the payload is projected.
    pub data: Bytes,
}

impl Emission {
    /// The payload for clients: one JSON value. Computed anew at each call; the hub calls it once per record.
    ///
    /// # Errors
    /// [`ProjectError`] when the projection fails on this record; nothing is emitted then. Neither is with
    /// [`ProjectError::Nothing`], which is no failure.
    pub fn payload(&self) -> Result<Bytes, ProjectError> {
        self.spec.projection.apply(&self.data)
    }
}

impl fmt::Debug for Emission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No data: payloads never reach a log.
        f.debug_struct("Emission")
            .field("ordinal", &self.ordinal)
            .field("event", &self.spec.event)
            .field("rooms", &self.rooms)
            .finish_non_exhaustive()
    }
}

/// Who may follow an order, as one record tells it. `None` leaves what was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// The order.
    pub order: Id,
    /// Its customer.
    pub customer: Option<Id>,
    /// Its merchant.
    pub merchant: Option<Id>,
    /// Its delivery partner.
    pub partner: Option<Id>,
}

/// What the dashboard's figures are folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFigure {
    /// The order's total, exact.
    pub amount: Decimal,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// Everything that one event means to the bridge.
#[derive(Debug, Default)]
pub struct Routed {
    /// Emissions in the order of the route file; the first that names an event wins for a socket in several rooms.
    pub emissions: SmallVec<[Emission; 3]>,
    /// Who may follow the order that it speaks of.
    pub order: Option<OrderFacts>,
    /// A new order's figure.
    pub figure: Option<OrderFigure>,
    /// Ordinals of the emissions that are left out, because the record has not the optional field that they need.
    pub left_out: SmallVec<[u16; 2]>,
}
