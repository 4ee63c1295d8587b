//! `rtmn-bridge`: a Kafka → Socket.IO bridge. Kafka is the only truth; this process shows it to sockets.
//!
//! ```text
//!            the record's way                                               the client's way
//!  Kafka ─► kafka::follower ─► pipeline (codec → route → learn)      http ─► gateway::engine ─► gateway::session
//!                                  │                                                               │
//!                                  ├─► hub::window ◄── what was missed ──┐                         │ join, leave
//!                                  └─► hub::shard × n ───────────────────┴─► hub::outbox ─► socket │
//!                                             ▲────────────────────────────────────────────────────┘
//!
//!            the operator's way: cli ─► app (build, run, drain) · lifecycle · http::health · metrics
//! ```
//!
//! A lower layer never imports a higher one; `tests/layering.rs` has the order and keeps it. `ARCHITECTURE.md` leads
//! through the files.

pub mod app;
pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod event;
pub mod gateway;
pub mod history;
pub mod http;
pub mod hub;
pub mod kafka;
pub mod lifecycle;
pub mod metrics;
pub mod pipeline;
pub mod position;
pub mod route;
pub mod seed;
pub mod telemetry;
