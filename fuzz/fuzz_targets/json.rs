//! JSON under every known type, and under none.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    common::decode(payload, &[]);
    for event in common::DECODER.schemas().events() {
        common::decode(payload, &[("type", event.kind().as_bytes())]);
    }
});
