//! Bytes → event: JSON, Avro, `CloudEvents`, the schema registry.
//!
//! ```text
//!  record ─► meta (headers) ─► decoder ─┬─► check (JSON: validated, bytes untouched) ──┬─► Event
//!                                       └─► avro (plan: bytes straight to JSON) ───────┘
//!  schema / registry ─► plan (an Avro schema, compiled once)
//! ```
//!
//! Decoding never waits and never panics, whatever the bytes. What it cannot do yet it says so
//! ([`DecodeError::NotYet`]); what it never will, it refuses with a reason that holds none of the data ([`Refusal`]).

mod avro;
mod canonical;
mod check;
mod conform;
mod decimal;
mod decoder;
pub mod encode;
mod keys;
mod meta;
mod plan;
mod refusal;
mod registry;
mod scan;
pub mod schema;
#[cfg(test)]
mod tests;
mod time;

pub use decoder::Decoder;
pub use encode::EncodeError;
pub use refusal::{DecodeError, Path, Refusal};
pub use registry::{ResolveError, SchemaId, SetupError};
pub use schema::{EventSchema, FieldType, SchemaError, Schemas, Shape};
