//! stub
use crate::route::Class;
#[derive(Debug, Default)]
/// stub
pub struct Metrics;
#[allow(missing_docs)]
impl Metrics {
    pub fn projection_failed(&self) {}
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
}
