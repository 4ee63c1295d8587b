//! Tests of decoding as a whole.

mod avro_types;
mod cloud_events;
mod hostile;
mod refusals;
mod registry;
mod round_trip;
mod schema;
mod words;

use std::sync::Arc;

use super::{DecodeError, Decoder, Refusal, Schemas};
use crate::config;
use crate::event::{Event, RecordView};

/// The examples: event type and JSON.
const EXAMPLES: [(&str, &str); 12] = [
    ("order.created", include_str!("../../../schemas/examples/order.created.json")),
    ("order.created", include_str!("../../../schemas/examples/order.created.minimal.json")),
    ("order.statusChanged", include_str!("../../../schemas/examples/order.statusChanged.json")),
    ("order.statusChanged", include_str!("../../../schemas/examples/order.statusChanged.minimal.json")),
    ("wallet.balanceUpdated", include_str!("../../../schemas/examples/wallet.balanceUpdated.json")),
    ("wallet.balanceUpdated", include_str!("../../../schemas/examples/wallet.balanceUpdated.minimal.json")),
    ("wallet.coinsExpiring", include_str!("../../../schemas/examples/wallet.coinsExpiring.json")),
    ("delivery.locationUpdated", include_str!("../../../schemas/examples/delivery.locationUpdated.json")),
    ("delivery.arrived", include_str!("../../../schemas/examples/delivery.arrived.json")),
    ("promotion.flashSaleStarted", include_str!("../../../schemas/examples/promotion.flashSaleStarted.json")),
    ("promotion.flashSaleStarted", include_str!("../../../schemas/examples/promotion.flashSaleStarted.minimal.json")),
    ("promotion.stockUpdate", include_str!("../../../schemas/examples/promotion.stockUpdate.json")),
];

fn schemas() -> Arc<Schemas> {
    Arc::new(Schemas::builtin().unwrap())
}

/// A decoder whose registry is never asked.
fn decoder() -> Decoder {
    let config = config::Codec { registry_url: Some("http://127.0.0.1:1".into()), ..Default::default() };
    Decoder::new(&config, schemas()).unwrap()
}

fn record<'a>(payload: Option<&'a [u8]>, headers: &[(&'a str, &'a str)]) -> RecordView<'a> {
    RecordView {
        topic: "rtmn.orders",
        partition: 0,
        offset: 7,
        timestamp_ms: Some(0),
        key: None,
        payload,
        headers: headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
    }
}

fn decode(payload: &[u8], headers: &[(&str, &str)]) -> Result<Event, DecodeError> {
    decoder().decode(&record(Some(payload), headers))
}

/// Decodes a JSON record with a `type` header.
fn typed(kind: &str, json: &str) -> Result<Event, DecodeError> {
    decode(json.as_bytes(), &[("type", kind)])
}

fn refusal(outcome: Result<Event, DecodeError>) -> Refusal {
    match outcome {
        Err(DecodeError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn data(event: &Event) -> &str {
    std::str::from_utf8(&event.data).unwrap()
}

/// The same JSON without white space between tokens.
fn compact(json: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    json.chars()
        .filter(|c| {
            if inside {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                inside = !ends;
                return true;
            }
            inside = *c == '"';
            !c.is_ascii_whitespace()
        })
        .collect()
}
