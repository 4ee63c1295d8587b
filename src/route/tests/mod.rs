//! Tests of the route table as a whole; what they share.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::codec::Schemas;
use crate::event::Event;

use super::table::{BUILTIN, Routes};

mod catalogue;
mod files;
mod projections;
mod records;

fn schemas() -> Schemas {
    Schemas::builtin().unwrap()
}

fn routes() -> &'static Routes {
    static ROUTES: LazyLock<Routes> =
        LazyLock::new(|| Routes::parse(BUILTIN, "config/routes.toml", &schemas()).unwrap());
    &ROUTES
}

fn event(kind: &str, data: impl Into<Vec<u8>>) -> Event {
    Event {
        kind: kind.into(),
        id: None,
        data: Bytes::from(data.into()),
        traceparent: None,
        unknown: smallvec::SmallVec::default(),
    }
}

/// A copy of the default routes with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(BUILTIN.contains(from), "{from} is not in the default routes");
    BUILTIN.replacen(from, to, 1)
}
