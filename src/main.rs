//! The `rtmn-bridge` binary.

fn main() {}
