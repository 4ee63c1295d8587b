//! The operator's way: one file per command.

pub mod demo;
pub mod seed;
