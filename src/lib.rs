//! `rtmn-bridge`: a Kafka → Socket.IO bridge. Kafka is the only truth; this process shows it to sockets.
//!
//! ```text
//!            the record's way                                              the client's way
//!  Kafka ─► kafka::follower ─► codec ─► route ─► hub::window ─► hub::shard ─► gateway::outbox ─► socket
//!                                                                   ▲
//!                     http ─► gateway::engine ─► gateway::session ──┘  (connect → authenticate → join → live)
//!
//!            the operator's way: cli ─► app (build, run, drain) · http::health · metrics
//! ```
//!
//! Layers, lower first; a lower one never imports a higher one (`tests/layering.rs` keeps it so):
//! `event`, `position`, `metrics`, `config` · `codec` · `route` · `kafka` · `history` · `hub` · `gateway` · `http` ·
//! `app`, `lifecycle` · `demo` · `cli`.

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
