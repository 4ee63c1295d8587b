//! Schemas that come from a registry: a small one in this process, on a loopback port.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::encode::avro_confluent;
use super::super::schema::BUILTIN;
use super::super::{DecodeError, ResolveError, SchemaId, SetupError};
use super::*;
use crate::config::Secret;

#[derive(Default)]
struct Registry {
    answers: Mutex<HashMap<String, Value>>,
    requests: AtomicUsize,
    authorization: Mutex<Option<String>>,
}

impl Registry {
    fn put(&self, path: &str, answer: Value) {
        self.answers.lock().insert(path.into(), answer);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    registry.requests.fetch_add(1, Ordering::SeqCst);
    let authorization = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
    *registry.authorization.lock() = authorization;
    // All who ask at the same time are there before the first is answered.
    tokio::task::yield_now().await;
    match registry.answers.lock().get(request.uri().path()) {
        Some(Value::Number(status)) => {
            StatusCode::from_u16(u16::try_from(status.as_u64().unwrap()).unwrap()).unwrap().into_response()
        }
        Some(answer) => axum::Json(answer.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, axum::Json(json!({"error_code": 40403}))).into_response(),
    }
}

/// Serves the registry's answers; gives its URL.
async fn serve(registry: &Arc<Registry>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v7/", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(registry));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn start() -> (Arc<Registry>, Arc<Decoder>) {
    let registry = Arc::<Registry>::default();
    let config = config::Codec {
        registry_url: Some(serve(&registry).await),
        registry_user: Some("bridge".into()),
        registry_password: Some(Secret::new("secret")),
        ..Default::default()
    };
    (registry, Arc::new(Decoder::new(&config, schemas()).unwrap()))
}

const ID: SchemaId = SchemaId::new(258);
const KIND: &str = "promotion.stockUpdate";

fn encoded() -> Vec<u8> {
    avro_confluent(&schemas(), ID, KIND, EXAMPLES[11].1).unwrap()
}

fn outcome(decoder: &Decoder) -> Result<Event, DecodeError> {
    decoder.decode(&record(Some(&encoded()), &[]))
}

#[tokio::test]
async fn a_schema_that_is_not_there_yet_is_decoded_once_it_is() {
    let (registry, decoder) = start().await;
    let not_yet = Err(DecodeError::NotYet { schema: ID });
    assert_eq!(outcome(&decoder).map(|e| e.kind), not_yet.clone());
    assert_eq!(decoder.resolve(ID).await, Err(ResolveError::NotThere(ID)));
    assert_eq!(outcome(&decoder).map(|e| e.kind), not_yet);

    registry.put("/api/v7/schemas/ids/258", json!({"schema": BUILTIN[7].1}));
    assert_eq!(decoder.resolve(ID).await, Ok(()));
    assert_eq!(registry.authorization.lock().as_deref(), Some("Basic YnJpZGdlOnNlY3JldA=="));
    let requests = registry.requests();
    for _ in 0..3 {
        let event = outcome(&decoder).unwrap();
        assert_eq!((&*event.kind, data(&event)), (KIND, &*compact(EXAMPLES[11].1)));
        assert_eq!(decoder.resolve(ID).await, Ok(()));
    }
    assert_eq!(registry.requests(), requests, "what is known is never asked again");
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_request() {
    let (registry, decoder) = start().await;
    registry.put("/api/v7/schemas/ids/258", json!({"schema": BUILTIN[7].1}));
    let all: Vec<_> = (0..50)
        .map(|_| {
            let decoder = Arc::clone(&decoder);
            tokio::spawn(async move { decoder.resolve(ID).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(registry.requests(), 1);
}

#[tokio::test]
async fn one_who_gives_up_takes_nothing_from_the_others() {
    let (registry, decoder) = start().await;
    registry.put("/api/v7/schemas/ids/258", json!({"schema": BUILTIN[7].1}));
    let mut first = Box::pin(decoder.resolve(ID));
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    assert_eq!(decoder.resolve(ID).await, Ok(()));
    assert!(outcome(&decoder).is_ok());
}

#[tokio::test]
async fn a_schema_may_refer_to_others() {
    let (registry, decoder) = start().await;
    let schema = r#"{"type":"record","name":"Outer","namespace":"a","fields":[{"name":"x","type":"b.Mid"}]}"#;
    let mid = r#"{"type":"record","name":"Mid","namespace":"b","fields":[{"name":"y","type":"c.In"},{"name":"z","type":"c.In"}]}"#;
    let inner = r#"{"type":"record","name":"In","namespace":"c","fields":[{"name":"n","type":"int"}]}"#;
    let inner_reference = json!({"name": "c.In", "subject": "in", "version": 1});
    registry.put(
        "/api/v7/schemas/ids/1",
        json!({"schema": schema, "references": [{"name": "b.Mid", "subject": "mid/x", "version": 3}, inner_reference]}),
    );
    registry.put("/api/v7/subjects/mid%2Fx/versions/3", json!({"schema": mid, "references": [inner_reference]}));
    registry.put("/api/v7/subjects/in/versions/1", json!({"schema": inner}));
    assert_eq!(decoder.resolve(SchemaId::new(1)).await, Ok(()));
    let event = decoder.decode(&record(Some(&[0, 0, 0, 0, 1, 2, 4]), &[])).unwrap();
    assert_eq!((&*event.kind, data(&event)), ("a.Outer", r#"{"x":{"y":{"n":1},"z":{"n":2}}}"#));
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_final() {
    let registry = Arc::<Registry>::default();
    let url = serve(&registry).await;
    let twice = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#;
    for answer in [
        json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}),
        json!({"schema": "{\"type\":\"strin\"}"}),
        json!({"schema": "\"string\""}),
        json!({"schema": twice}),
    ] {
        registry.put("/api/v7/schemas/ids/258", answer);
        let config = config::Codec { registry_url: Some(url.clone()), ..Default::default() };
        let decoder = Decoder::new(&config, schemas()).unwrap();
        assert_eq!(decoder.resolve(ID).await, Ok(()), "settled");
        let refusal = refusal(outcome(&decoder));
        assert_eq!(refusal.as_str(), "bad_schema", "{refusal}");
    }
}

#[tokio::test]
async fn a_json_schemas_value_is_json() {
    let (registry, decoder) = start().await;
    registry.put("/api/v7/schemas/ids/258", json!({"schema": "{}", "schemaType": "JSON"}));
    assert_eq!(decoder.resolve(ID).await, Ok(()));
    let value = [&[0, 0, 0, 1, 2], EXAMPLES[11].1.as_bytes()].concat();
    let event = decoder.decode(&record(Some(&value), &[("type", KIND)])).unwrap();
    assert_eq!(data(&event), EXAMPLES[11].1.trim());
    assert_eq!(refusal(decoder.decode(&record(Some(&value), &[]))), Refusal::NoType);
}

#[tokio::test]
async fn a_registry_that_refuses_or_babbles_may_be_asked_again() {
    let (registry, decoder) = start().await;
    registry.put("/api/v7/schemas/ids/258", json!(401));
    assert_eq!(decoder.resolve(ID).await, Err(ResolveError::Status { schema: ID, status: 401 }));
    registry.put("/api/v7/schemas/ids/258", json!(503));
    assert_eq!(decoder.resolve(ID).await, Err(ResolveError::Status { schema: ID, status: 503 }));
    registry.put("/api/v7/schemas/ids/258", json!(["?"]));
    assert!(matches!(decoder.resolve(ID).await, Err(ResolveError::Unreachable { .. })));
    registry.put("/api/v7/schemas/ids/258", json!({"schema": "x".repeat(2 << 20)}));
    assert!(matches!(decoder.resolve(ID).await, Err(ResolveError::Unreachable { .. })));
    registry.put("/api/v7/schemas/ids/258", json!({"schema": BUILTIN[7].1}));
    assert_eq!(decoder.resolve(ID).await, Ok(()));
    assert!(outcome(&decoder).is_ok());
}

#[tokio::test]
async fn a_registry_that_is_silent_costs_the_time_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config::Codec {
        registry_url: Some(format!("http://user:hunter2@{}", listener.local_addr().unwrap())),
        registry_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let decoder = Decoder::new(&config, schemas()).unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(10), decoder.resolve(ID)).await.unwrap();
    let error = outcome.unwrap_err();
    assert!(matches!(error, ResolveError::Unreachable { .. }));
    assert!(!error.to_string().contains("hunter2"), "{error}");
    drop(listener);
    let error = decoder.resolve(ID).await.unwrap_err();
    assert!(matches!(error, ResolveError::Unreachable { .. }), "nobody listens: {error}");
}

#[tokio::test]
async fn without_a_usable_url_there_is_no_registry() {
    let offline = Decoder::new(&config::Codec::default(), schemas()).unwrap();
    assert_eq!(offline.resolve(ID).await, Err(ResolveError::NoRegistry));
    for url in ["registry:8081", "ftp://registry", "http://"] {
        let config = config::Codec { registry_url: Some(url.into()), ..Default::default() };
        let refused = Decoder::new(&config, schemas()).unwrap_err();
        assert!(matches!(&refused, SetupError::Url { url: named, .. } if named == url), "{refused}");
    }
}
