//! Headers and value both from the input: the first byte says how many bytes each header has.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = ["content-type", "ce_type", "ce_id", "type", "traceparent", "ce_traceparent"];

fuzz_target!(|input: &[u8]| {
    common::decode(input, &[("content-type", b"application/cloudevents+json")]);
    let Some((length, rest)) = input.split_first() else { return };
    let length = usize::from(*length);
    if let Some((headers, payload)) = rest.split_at_checked(length * NAMES.len()) {
        let values = headers.chunks(length.max(1));
        let headers: Vec<(&str, &[u8])> = NAMES.into_iter().zip(values).collect();
        common::decode(payload, &headers);
    }
});
