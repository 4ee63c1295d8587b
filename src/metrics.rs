//! stub
use crate::route::Class;
#[derive(Debug, Default)]
/// stub
pub struct Metrics;
#[allow(missing_docs, clippy::all)]
impl Metrics {
    pub fn new() -> Self { Self }
    pub fn encode(&self) -> String { String::new() }
    pub fn projection_failed(&self, _: &'static str) {}
    pub fn fell_behind(&self) {}
    pub fn delivered(&self, _class: Class, _n: u64) {}
    pub fn written(&self, _frames: u64, _bytes: u64) {}
    pub fn latency(&self, _class: Class, _ms: i64) {}
    pub fn refused_request(&self, _: &str) {}
    pub fn refused_connect(&self, _: &str) {}
    pub fn session_opened(&self) {}
    pub fn session_closed(&self, _: &str) {}
    pub fn connected(&self, _: &str, _: &str) {}
    pub fn disconnected(&self, _: &str, _: &str) {}
    pub fn client_event(&self, _: &str, _: &str) {}
    pub fn record_read(&self, _: &str) {}
    pub fn record_refused(&self, _: &str) {}
    pub fn gap(&self) {}
    pub fn discontinuity(&self, _: &str) {}
    pub fn window(&self, _: usize, _: usize, _: Option<i64>) {}
    pub fn rooms(&self, _: usize) {}
    pub fn partition(&self, _: &str, _: i32, _: i64, _: i64, _: u64) {}
}
