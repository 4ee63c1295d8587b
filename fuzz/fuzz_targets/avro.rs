//! A datum behind each schema's fingerprint.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datum: &[u8]| {
    for event in common::DECODER.schemas().events() {
        let payload = [&[0xc3, 0x01], &event.fingerprint().to_le_bytes()[..], datum].concat();
        common::decode(&payload, &[]);
    }
});
