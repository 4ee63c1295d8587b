//! stub
use crate::route::Id;
/// .
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role { /// .
Customer, /// .
MerchantOwner, /// .
MerchantStaff, /// .
DeliveryPartner, /// .
Operator, /// .
Admin, /// .
SuperAdmin }
impl Role { /// .
pub fn as_str(self) -> &'static str { "x" } }
/// .
#[derive(Debug, Clone)]
pub struct Claims { /// .
pub subject: Id, /// .
pub role: Role, /// .
pub merchants: Vec<Id>, /// .
pub expires_at: Option<i64>, /// .
pub token_id: Option<String>, /// .
pub issued_at: Option<i64> }
/// .
#[derive(Debug, Clone, Copy)]
pub enum Refusal { /// .
X }
impl Refusal { /// .
pub fn as_str(self) -> &'static str { "x" } }
/// .
#[derive(Debug)]
pub struct Verifier;
impl Verifier { /// .
pub fn from_config(_: &crate::config::Auth) -> Result<Self, std::io::Error> { Ok(Self) }
/// .
pub fn verify(&self, _t: &str, _now: i64) -> Result<Claims, Refusal> { Err(Refusal::X) } }
