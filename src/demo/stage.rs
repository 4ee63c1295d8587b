//! What the demo page must know before its first event: who is who, which order is on its way, which sale is on. Learned
//! from the marketplace's records as they go by.

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use crate::seed::{Marketplace, Place, SeedRecord};

use super::tokens::Minter;

/// The demo's cast and what is on at the moment.
#[derive(Debug)]
pub struct Stage {
    minter: Minter,
    bridge: Option<String>,
    customer: String,
    name: String,
    home: Place,
    merchant: String,
    shop: String,
    place: Place,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    order: Option<String>,
    sale: Option<Value>,
}

/// `GET /demo/tokens.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    /// Where the bridge is; absent when it is where the page is.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
    customer: CustomerPart,
    merchant: MerchantPart,
    admin: AdminPart,
    sale: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CustomerPart {
    token: String,
    user_id: String,
    name: String,
    order_id: Option<String>,
    home: [f64; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MerchantPart {
    token: String,
    user_id: String,
    merchant_id: String,
    name: String,
    place: [f64; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminPart {
    token: String,
    user_id: String,
}

impl Stage {
    /// The cast of a marketplace with spotlight. `bridge` is the bridge's address when it is not the page's own.
    #[must_use]
    pub fn new(market: &Marketplace, minter: Minter, bridge: Option<String>) -> Self {
        let (customer, merchant) = (&market.world().customers[0], &market.world().merchants[0]);
        Self {
            minter,
            bridge,
            customer: customer.id.clone(),
            name: customer.name.clone(),
            home: customer.home,
            merchant: merchant.id.clone(),
            shop: merchant.name.clone(),
            place: merchant.place,
            now: Mutex::default(),
        }
    }

    /// Where the bridge is, when it is not where the page is.
    #[must_use]
    pub fn bridge(&self) -> Option<&str> {
        self.bridge.as_deref()
    }

    /// Takes note of a record.
    pub fn note(&self, record: &SeedRecord) {
        let relevant = match record.kind {
            "order.created" => record.json.contains(&self.customer),
            kind => kind == "promotion.flashSaleStarted",
        };
        if !relevant {
            return;
        }
        let data: Value = serde_json::from_str(&record.json).unwrap_or_default();
        let mut now = self.now.lock();
        if record.kind == "promotion.flashSaleStarted" {
            now.sale = Some(data);
        } else if data["userId"] == *self.customer {
            now.order = data["orderId"].as_str().map(str::to_owned);
        }
    }

    pub(super) fn tokens(&self) -> Result<Tokens, jsonwebtoken::errors::Error> {
        let (order_id, sale) = {
            let now = self.now.lock();
            (now.order.clone(), now.sale.clone())
        };
        let merchants = [self.merchant.clone()];
        let degrees = |place: Place| [place.latitude, place.longitude];
        Ok(Tokens {
            bridge: self.bridge.clone(),
            customer: CustomerPart {
                token: self.minter.mint(&self.customer, "customer", &[])?,
                user_id: self.customer.clone(),
                name: self.name.clone(),
                order_id,
                home: degrees(self.home),
            },
            merchant: MerchantPart {
                token: self.minter.mint("own_demo", "merchant_owner", &merchants)?,
                user_id: "own_demo".to_owned(),
                merchant_id: self.merchant.clone(),
                name: self.shop.clone(),
                place: degrees(self.place),
            },
            admin: AdminPart { token: self.minter.mint("adm_demo", "admin", &[])?, user_id: "adm_demo".to_owned() },
            sale,
        })
    }
}
