//! The demo page and what it loads: compiled in, nothing from outside, under a policy that allows only itself.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::stage::Stage;

const HTML: &str = include_str!("../http/pages/demo.html");
const CSS: &str = include_str!("../http/pages/demo.css");
const JS: &str = include_str!("../http/pages/demo.js");
const CLIENT: &str = include_str!("../http/pages/socket.io.min.js");

/// The page at `/demo` (and `/`), its parts below it, and `/demo/tokens.json`. The tokens are given to anybody who can
/// reach this router: only ever serve it with a demo.
pub fn router(stage: Arc<Stage>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/demo") }))
        .route("/demo", get(page))
        .route("/demo/demo.css", get(|| async { asset("text/css; charset=utf-8", CSS) }))
        .route("/demo/demo.js", get(|| async { asset("text/javascript; charset=utf-8", JS) }))
        .route("/demo/socket.io.min.js", get(|| async { asset("text/javascript; charset=utf-8", CLIENT) }))
        .route("/demo/tokens.json", get(tokens))
        .with_state(stage)
}

async fn page(State(stage): State<Arc<Stage>>) -> Response {
    let mut response = asset("text/html; charset=utf-8", HTML);
    // `ws:` beside `'self'`: not every browser takes the one for the other.
    let elsewhere = stage.bridge().map(|bridge| format!(" {bridge} {}", bridge.replacen("http", "ws", 1)));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:{}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        elsewhere.unwrap_or_default()
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

async fn tokens(State(stage): State<Arc<Stage>>) -> Response {
    match stage.tokens().map(|tokens| serde_json::to_string(&tokens)) {
        Ok(Ok(body)) => {
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}
