use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::codec::{Decoder, Schemas};
use crate::config::Config;
use crate::demo::oracle::Json;
use crate::event::RecordView;

fn sample(seed: u64, count: usize) -> Vec<SeedRecord> {
    Marketplace::new(seed, Profile::small()).take(count).collect()
}

fn paise(value: &Value) -> i64 {
    let text = value.to_string();
    let (rupees, rest) = text.split_once('.').unwrap_or((&text, "0"));
    rupees.parse::<i64>().unwrap() * 100 + format!("{rest:0<2}").parse::<i64>().unwrap()
}

#[test]
fn same_seed_same_records_other_seed_others() {
    assert_eq!(sample(7, 5_000), sample(7, 5_000));
    assert_ne!(sample(7, 100), sample(8, 100));
}

#[test]
fn makes_every_kind_in_every_encoding() {
    let seen: BTreeSet<_> = sample(1, 20_000).iter().map(|r| (r.kind, format!("{:?}", r.encoding))).collect();
    assert_eq!(seen.len(), 8 * Encoding::ALL.len(), "{seen:?}");
}

#[test]
fn wallets_add_up_and_each_change_explains_its_balance() {
    let mut last: BTreeMap<String, [i64; 3]> = BTreeMap::new();
    let mut explained = 0;
    for record in sample(3, 20_000).iter().filter(|r| r.kind == "wallet.balanceUpdated") {
        let data: Value = serde_json::from_str(&record.json).unwrap();
        let balances = ["rezCoins", "brandedCoins", "promoCoins"].map(|name| paise(&data["balances"][name]));
        assert_eq!(paise(&data["balances"]["total"]), balances.iter().sum::<i64>(), "{}", record.json);
        assert!(balances.iter().all(|balance| *balance >= 0), "{}", record.json);
        let amount = paise(&data["change"]["amount"]);
        assert!(amount > 0);
        let index = match data["change"]["type"].as_str().unwrap() {
            "rez_coins" => 0,
            "branded_coins" => 1,
            _ => 2,
        };
        if let Some(mut before) = last.insert(record.key.clone(), balances) {
            before[index] += if data["change"]["operation"] == "credit" { amount } else { -amount };
            assert_eq!(before, balances, "{}", record.json);
            explained += 1;
        }
    }
    assert!(explained > 500, "{explained}");
}

#[test]
fn orders_walk_only_along_their_statuses() {
    let mut status: BTreeMap<String, String> = BTreeMap::new();
    let mut created = BTreeSet::new();
    let mut ends = BTreeSet::new();
    for record in sample(5, 30_000) {
        let data: Value = serde_json::from_str(&record.json).unwrap();
        if record.kind == "order.created" {
            assert!(created.insert(record.key.clone()), "an order id twice");
            let lines = data["items"].as_array().unwrap();
            let sum: i64 = lines.iter().map(|l| paise(&l["price"]) * l["quantity"].as_i64().unwrap()).sum();
            assert_eq!(sum, paise(&data["total"]));
        }
        if record.kind == "order.statusChanged" {
            assert!(created.contains(&record.key), "a status before the order");
            let new = data["status"].as_str().unwrap().to_owned();
            let previous = data.get("previousStatus").map(|p| p.as_str().unwrap().to_owned());
            let before = status.insert(record.key.clone(), new.clone());
            assert_eq!(previous, before);
            let allowed = match before.as_deref() {
                None => "placed",
                Some("placed") => "confirmed cancelled",
                Some("confirmed") => "processing",
                Some("processing") => "ready",
                Some("ready") => "out_for_delivery delivered",
                Some("out_for_delivery") => "delivered",
                Some("cancelled") => "refunded",
                Some(end) => panic!("{end} is the end"),
            };
            assert!(allowed.split(' ').any(|status| status == new), "{before:?} → {new}");
            ends.insert(new);
        }
    }
    assert_eq!(ends.len(), 8, "all statuses occur: {ends:?}");
}

#[test]
fn partners_come_nearer_until_they_are_there() {
    let mut left: BTreeMap<String, f64> = BTreeMap::new();
    for record in sample(9, 30_000).iter().filter(|r| r.topic == "rtmn.delivery") {
        let data: Value = serde_json::from_str(&record.json).unwrap();
        if record.kind == "delivery.arrived" {
            assert_eq!(left.get(&record.key), Some(&0.0), "arrived from afar");
            continue;
        }
        let now = data["distanceRemaining"].as_f64().unwrap();
        assert!(now >= 0.0 && left.insert(record.key.clone(), now).is_none_or(|before| now <= before));
        assert!((12.8..13.1).contains(&data["location"]["latitude"].as_f64().unwrap()), "{}", record.json);
    }
    assert!(left.len() > 100);
}

#[test]
fn stock_falls_to_nothing_and_the_next_sale_starts() {
    let mut stock: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut started = BTreeSet::new();
    for record in sample(2, 40_000).iter().filter(|r| r.topic == "rtmn.promotions") {
        let data: Value = serde_json::from_str(&record.json).unwrap();
        if record.kind == "promotion.flashSaleStarted" {
            assert!(started.insert(record.key.clone()), "a sale id twice");
            continue;
        }
        assert!(started.contains(&record.key));
        let now = data["stockRemaining"].as_i64().unwrap();
        let product = (record.key.clone(), data["productId"].as_str().unwrap().to_owned());
        assert!(now < stock.insert(product, now).unwrap_or(121) && now >= 0);
        assert!((0.0..=100.0).contains(&data["percentageRemaining"].as_f64().unwrap()));
    }
    assert!(started.len() > 6, "{started:?}");
    assert!(stock.values().any(|left| *left == 0));
}

#[test]
fn virtual_time_runs_on_at_the_asked_rate() {
    for rate in [20.0, 50.0, 2_000.0] {
        let profile = Profile { rate, ..Profile::small() };
        let records: Vec<_> = Marketplace::new(1, profile).take(20_000).collect();
        assert!(records.is_sorted_by_key(|r| r.at_ms));
        #[expect(clippy::cast_precision_loss, reason = "a test's span is short")]
        let seconds = (records[19_999].at_ms - records[0].at_ms) as f64 / 1000.0;
        let real = 20_000.0 / seconds;
        assert!((rate * 0.85..rate * 1.15).contains(&real), "{rate}: {real}");
    }
}

#[test]
fn spotlight_never_leaves_the_first_customer_waiting() {
    let profile = Profile { spotlight: true, ..Profile::small() };
    let market = Marketplace::new(1, profile);
    let (user, merchant) = (market.world().customers[0].id.clone(), market.world().merchants[0].id.clone());
    let mut last = Profile::START_MS;
    for record in market.take(30_000).filter(|r| r.json.contains(&user) && r.kind == "order.statusChanged") {
        assert!(record.json.contains(&merchant));
        assert!(record.at_ms - last < 40_000, "{} ms of silence", record.at_ms - last);
        last = record.at_ms;
    }
}

#[test]
fn every_record_decodes_to_its_data_in_every_encoding() {
    let schemas = Arc::new(Schemas::builtin().unwrap());
    let decoder = Decoder::new(&Config::default().codec, Arc::clone(&schemas)).unwrap();
    for mut record in sample(4, 3_000) {
        for encoding in Encoding::ALL {
            record.encoding = encoding;
            let wire = record.wire(&schemas).unwrap();
            let view = RecordView {
                topic: record.topic,
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                key: Some(record.key.as_bytes()),
                payload: Some(&wire.value),
                headers: wire.headers.iter().map(|(name, text)| (*name, text.as_bytes())).collect(),
            };
            let event = decoder.decode(&view).unwrap_or_else(|error| panic!("{encoding:?} {}: {error}", record.json));
            assert_eq!(&*event.kind, record.kind);
            let canonical = |json: &str| Json::parse(json).unwrap().canonical();
            assert_eq!(canonical(std::str::from_utf8(&event.data).unwrap()), canonical(&record.json), "{encoding:?}");
        }
    }
}
