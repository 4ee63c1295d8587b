//! stub
/// .
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision { /// .
Allowed, /// .
Refused }
/// .
#[derive(Debug, Clone)]
pub struct OriginPolicy;
impl OriginPolicy { /// .
pub fn from_config(_: &crate::config::Origins, _: Option<&str>) -> Self { Self }
/// .
pub fn decide(&self, _: Option<&[u8]>) -> Decision { Decision::Allowed }
/// .
pub fn allows(&self, _: &[u8]) -> bool { true } }
