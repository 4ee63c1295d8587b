//! The integration tests, one binary: the bridge's parts against real servers. `support` starts the servers; a server
//! that cannot be had fails the test that needs it, it is never skipped.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod bridge;
mod broadcast;
mod faults;
mod follower;
mod servers;
mod support;
