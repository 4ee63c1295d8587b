//! What all targets share: a decoder of the catalogue, and what must hold of every event that it gives.

use std::sync::{Arc, LazyLock};

use rtmn_bridge::codec::{Decoder, Schemas};
use rtmn_bridge::config;
use rtmn_bridge::event::RecordView;

pub static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let schemas = Schemas::builtin().expect("the catalogue");
    Decoder::new(&config::Codec::default(), Arc::new(schemas)).expect("a decoder without a registry")
});

/// Decodes; an event must be one JSON object.
pub fn decode(payload: &[u8], headers: &[(&str, &[u8])]) {
    let record = RecordView {
        topic: "fuzz",
        partition: 0,
        offset: 0,
        timestamp_ms: None,
        key: None,
        payload: Some(payload),
        headers: headers.iter().copied().collect(),
    };
    if let Ok(event) = DECODER.decode(&record) {
        assert!(event.data.starts_with(b"{") && event.data.ends_with(b"}"));
        // Decoding what came out as JSON gives the same bytes.
        let again = RecordView {
            payload: Some(&event.data),
            headers: [("type", event.kind.as_bytes())].into_iter().collect(),
            ..record
        };
        assert_eq!(DECODER.decode(&again).expect("an event's data is its event's").data, event.data);
    }
}
