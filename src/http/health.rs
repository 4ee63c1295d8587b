//! `/healthz` (the process lives), `/readyz` (it follows every partition and its window is filled), `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::metrics::{CONTENT_TYPE, Metrics};

/// Whether the node should get traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Clients get everything now.
    Ready,
    /// Why not.
    NotReady(String),
}

/// What health is told from.
#[derive(Debug, Clone)]
pub struct Health {
    /// Changes with the follower's state and when the node goes down.
    pub readiness: watch::Receiver<Readiness>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// `/healthz` and `/readyz`.
pub fn router(health: Health) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(health)
}

/// The operators' routes: health and `/metrics`.
pub fn admin(health: Health) -> Router {
    router(health.clone()).route("/metrics", get(metrics).with_state(health))
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    match &*health.readiness.borrow() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], health.metrics.encode())
}
