//! The client's way: connect → authenticate → join → live → disconnect.

pub mod auth;
pub mod limits;
pub mod origin;
