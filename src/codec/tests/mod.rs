//! Tests of decoding as a whole.

mod schema;
