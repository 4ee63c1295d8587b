//! The listeners: the public one with `/socket.io/` and health, the operators' with metrics. Slow and stalled peers are
//! cut here, before they cost a session.

pub mod health;
pub mod listener;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::gateway::{Gateway, engine};

/// The public routes: Socket.IO with CORS for the allowed origins, and health.
pub fn public(gateway: &Arc<Gateway>, health: health::Health) -> Router {
    let origins = gateway.origins.clone();
    // Browsers ask by CORS for polling; the gateway itself refuses other origins on every transport.
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| origins.allows(origin.as_bytes())))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true);
    Router::new()
        .route("/socket.io/", any(engine::serve))
        .route("/socket.io", any(engine::serve))
        .layer(cors)
        .with_state(Arc::clone(gateway))
        .merge(health::router(health))
}
