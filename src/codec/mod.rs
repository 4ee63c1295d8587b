//! Bytes → event: JSON, Avro, `CloudEvents`, the schema registry.
