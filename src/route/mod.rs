//! Event → rooms, event names and payloads: the compiled form of `config/routes.toml`.
//!
//! [`Routes::parse`] reads and checks the file (`file`, `build`, `template`, `filter`); [`Routes::route`] is the hot
//! path (`table`, `scan`); [`Emission::payload`] projects (`projection`: `copy` or `jq`). Nothing here knows of sockets.

mod build;
mod copy;
pub mod emission;
pub mod explain;
mod file;
mod filter;
mod jq;
pub mod projection;
pub mod room;
mod scan;
pub mod table;
mod template;
#[cfg(test)]
mod tests;

pub use emission::{Class, Emission, EmitSpec, OrderFacts, OrderFigure, Routed};
pub use file::{Problem, RouteErrors};
pub use projection::{ProjectError, Projection};
pub use room::{Id, Room, RoomKind};
pub use scan::ScanError;
pub use table::{RouteError, Routes};
