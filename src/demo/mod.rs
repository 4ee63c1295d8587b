//! The demo.

pub mod oracle;
