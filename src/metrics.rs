//! stub
use crate::route::Class;
#[derive(Debug, Default)]
/// stub
pub struct Metrics;
impl Metrics {
    /// .
    pub fn projection_failed(&self) {}
    /// .
    pub fn fell_behind(&self) {}
    /// .
    pub fn delivered(&self, _class: Class, _n: u64) {}
    /// .
    pub fn written(&self, _frames: u64, _bytes: u64) {}
    /// .
    pub fn latency(&self, _class: Class, _ms: i64) {}
}
