//! Bytes → event: JSON, Avro, `CloudEvents`, the schema registry.

mod canonical;
mod plan;
pub mod schema;

pub use schema::{EventSchema, FieldType, SchemaError, Schemas, Shape};
