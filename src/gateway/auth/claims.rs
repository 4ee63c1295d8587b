//! From a verified payload to [`Claims`]. A claim of the wrong type is never taken for an absent one: `"exp": "never"`
//! must not become a token without end.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Refusal;
use crate::config;
use crate::route::Id;

/// What a user is. Decides about rooms; unknown roles are customers, who may least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A customer; also everybody whose role is missing or unknown.
    Customer,
    /// Owns one merchant or several.
    MerchantOwner,
    /// Works for one merchant or several.
    MerchantStaff,
    /// Delivers orders.
    DeliveryPartner,
    /// Staff: runs the marketplace.
    Operator,
    /// Staff: administers it.
    Admin,
    /// Staff: may do everything.
    SuperAdmin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Customer,
        Self::MerchantOwner,
        Self::MerchantStaff,
        Self::DeliveryPartner,
        Self::Operator,
        Self::Admin,
        Self::SuperAdmin,
    ];

    /// The role as a claim and as a label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::MerchantOwner => "merchant_owner",
            Self::MerchantStaff => "merchant_staff",
            Self::DeliveryPartner => "delivery_partner",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::SuperAdmin => "super_admin",
        }
    }

    /// The role of that name, written exactly so; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What a token says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user (`sub`).
    pub subject: Id,
    /// What the user is.
    pub role: Role,
    /// The user's merchants, each once, in the token's order. Whether the role lets them count is decided elsewhere.
    pub merchants: Vec<Id>,
    /// End of the token (`exp`), in seconds since the Unix epoch.
    pub expires_at: Option<i64>,
    /// The token's own id (`jti`).
    pub token_id: Option<String>,
    /// When it was issued (`iat`), in seconds since the Unix epoch.
    pub issued_at: Option<i64>,
}

/// What is demanded of claims.
#[derive(Debug)]
pub(super) struct Rules {
    issuer: Option<String>,
    audience: Option<String>,
    leeway: i64,
    require_exp: bool,
    role: String,
    merchant_ids: String,
    merchant_id: String,
}

/// Year 9999. A greater `exp` is milliseconds by mistake, and would never come.
const LAST_SECOND: i64 = 253_402_300_799;

impl Rules {
    pub(super) fn from_config(auth: &config::Auth) -> Self {
        Self {
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            leeway: whole_seconds(auth.leeway),
            require_exp: auth.require_exp,
            role: auth.role_claim.clone(),
            merchant_ids: auth.merchant_ids_claim.clone(),
            merchant_id: auth.merchant_id_claim.clone(),
        }
    }

    /// Checks the claims of a verified token. `now` is in seconds since the Unix epoch.
    pub(super) fn check(&self, claims: &Map<String, Value>, now: i64) -> Result<Claims, Refusal> {
        let expires_at = time(claims, "exp").map_err(|()| Refusal::NoExpiry)?;
        match expires_at {
            None if self.require_exp => return Err(Refusal::NoExpiry),
            Some(exp) if now >= exp.saturating_add(self.leeway) => return Err(Refusal::Expired),
            _ => {}
        }
        if let Some(nbf) = time(claims, "nbf").map_err(|()| Refusal::NotYet)?
            && now.saturating_add(self.leeway) < nbf
        {
            return Err(Refusal::NotYet);
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Refusal::Issuer);
        }
        if let Some(audience) = &self.audience
            && !is_for(claims.get("aud"), audience)
        {
            return Err(Refusal::Audience);
        }
        let subject = claims.get("sub").and_then(Value::as_str).ok_or(Refusal::Subject)?;
        let token_id = match claims.get("jti") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Refusal::Claim),
        };
        Ok(Claims {
            subject: Id::parse(subject).map_err(|_| Refusal::Subject)?,
            role: claims.get(&self.role).and_then(Value::as_str).and_then(Role::parse).unwrap_or(Role::Customer),
            merchants: self.merchants(claims)?,
            expires_at,
            token_id,
            issued_at: time(claims, "iat").map_err(|()| Refusal::Claim)?,
        })
    }

    fn merchants(&self, claims: &Map<String, Value>) -> Result<Vec<Id>, Refusal> {
        let many = match claims.get(&self.merchant_ids) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(ids)) => ids.as_slice(),
            Some(_) => return Err(Refusal::Merchants),
        };
        // Many issuers always write the claim, and `null` where there is no merchant.
        let one = claims.get(&self.merchant_id).filter(|id| !id.is_null());
        let mut merchants: Vec<Id> = Vec::with_capacity(many.len() + 1);
        let mut seen = std::collections::HashSet::new();
        for id in many.iter().chain(one) {
            let id = id.as_str().and_then(|id| Id::parse(id).ok()).ok_or(Refusal::Merchants)?;
            if seen.insert(id.clone()) {
                merchants.push(id);
            }
        }
        Ok(merchants)
    }
}

/// Rounded up, so that a leeway of half a second is one.
fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A time claim: a number (RFC 7519 lets it have a fraction, which is dropped), never a text, at most year 9999.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, ()> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_number().ok_or(())?;
    let seconds = match number.as_i64() {
        Some(seconds) => seconds,
        None => whole(number.as_f64().ok_or(())?).ok_or(())?,
    };
    if seconds.unsigned_abs() <= LAST_SECOND.unsigned_abs() { Ok(Some(seconds)) } else { Err(()) }
}

fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "dropping the fraction is meant, and the range is checked")]
    #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
    (number.abs() <= LAST_SECOND as f64).then_some(number.floor() as i64)
}

fn is_for(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}
