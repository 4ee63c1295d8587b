//! Event → rooms, event names and payloads: the compiled form of `config/routes.toml`.

pub mod emission;
pub mod projection;
pub mod room;

pub use emission::{Class, Emission, EmitSpec, OrderFacts, OrderFigure, Routed};
pub use room::{Id, Room, RoomKind};
