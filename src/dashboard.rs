//! The admins' figures: orders and revenue of the day, folded from `order.created` records since midnight of a
//! configured time zone. The fold is rebuilt from the log at start, so that it is right again after a restart.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use rust_decimal::Decimal;
use serde_json::json;

use crate::route::OrderFigure;

/// The fold of orders by day.
#[derive(Debug)]
pub struct Dashboard {
    zone: TimeZone,
    days: BTreeMap<Date, Day>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Day {
    orders: u64,
    revenue: Decimal,
}

/// The time zone is not known.
#[derive(Debug, thiserror::Error)]
#[error("dashboard.time_zone: `{0}` is no IANA time zone; use for example `Asia/Kolkata` or `UTC`")]
pub struct UnknownZone(String);

impl Dashboard {
    /// An empty fold.
    ///
    /// # Errors
    /// [`UnknownZone`] when the name is none of the IANA database's.
    pub fn new(time_zone: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(time_zone).map_err(|_| UnknownZone(time_zone.to_owned()))?;
        Ok(Self { zone, days: BTreeMap::new() })
    }

    fn zoned(&self, at_ms: i64) -> Option<ZonedDateTime> {
        Some(Timestamp::from_millisecond(at_ms).ok()?.to_zoned_datetime(self.zone.clone()))
    }

    /// The last midnight at or before `now_ms`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn midnight_ms(&self, now_ms: i64) -> i64 {
        self.zoned(now_ms)
            .and_then(|now| now.start_of_day().ok())
            .map_or(now_ms, |day| day.timestamp().as_millisecond())
    }

    /// Counts an order on the day on which it was created. Orders of past days and of a far future are left out: a
    /// wrong clock upstream must neither count twice nor fill memory.
    pub fn fold(&mut self, figure: &OrderFigure, now_ms: i64) {
        let (Some(created), Some(now)) = (self.zoned(figure.created_at_ms), self.zoned(now_ms)) else { return };
        let (day, today) = (created.date(), now.date());
        let Ok(tomorrow) = today.checked_add(1.day()) else { return };
        if day < today || day > tomorrow {
            return;
        }
        let entry = self.days.entry(day).or_default();
        entry.orders += 1;
        // Beyond 28 digits the sum stays where it is; no marketplace gets there.
        entry.revenue = entry.revenue.checked_add(figure.amount).unwrap_or(entry.revenue);
    }

    /// Orders of the day so far.
    #[must_use]
    pub fn orders(&self, now_ms: i64) -> u64 {
        self.zoned(now_ms).and_then(|now| self.days.get(&now.date())).map_or(0, |day| day.orders)
    }

    /// The payload of `dashboard.stats`, as JSON text.
    #[must_use]
    pub fn payload(&mut self, now_ms: i64, users: usize, merchants: usize) -> String {
        let Some(now) = self.zoned(now_ms) else { return "{}".into() };
        self.days = self.days.split_off(&now.date());
        let day = self.days.get(&now.date()).copied().unwrap_or_default();
        // The sum goes in as its digits: a JSON number made by way of f64 would round it.
        format!(
            "{{\"todayOrders\":{},\"todayRevenue\":{},\"activeUsers\":{users},\"activeMerchants\":{merchants},\"timestamp\":{}}}",
            day.orders,
            day.revenue,
            json!(format!("{:.3}", now.timestamp())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn order(at: &str, amount: &str) -> OrderFigure {
        OrderFigure { amount: amount.parse().unwrap(), created_at_ms: ms(at) }
    }

    #[test]
    fn a_day_begins_at_the_zones_midnight() {
        let mut dashboard = Dashboard::new("Asia/Kolkata").unwrap();
        let now = ms("2026-11-23T20:00:00Z"); // 01:30 on the 24th in Kolkata
        assert_eq!(dashboard.midnight_ms(now), ms("2026-11-23T18:30:00Z"));
        dashboard.fold(&order("2026-11-23T18:29:59.999Z", "1.00"), now);
        dashboard.fold(&order("2026-11-23T18:30:00Z", "1250.50"), now);
        dashboard.fold(&order("2026-11-23T19:00:00Z", "0.10"), now);
        assert_eq!(
            dashboard.payload(now, 3, 2),
            "{\"todayOrders\":2,\"todayRevenue\":1250.60,\"activeUsers\":3,\"activeMerchants\":2,\"timestamp\":\"2026-11-23T20:00:00.000Z\"}"
        );
    }

    #[test]
    fn the_next_day_starts_from_what_it_has() {
        let mut dashboard = Dashboard::new("UTC").unwrap();
        let evening = ms("2026-11-23T23:59:59Z");
        dashboard.fold(&order("2026-11-23T12:00:00Z", "5.00"), evening);
        dashboard.fold(&order("2026-11-24T00:00:00Z", "7.25"), evening);
        dashboard.fold(&order("2027-11-24T00:00:00Z", "9.00"), evening);
        let morning = ms("2026-11-24T00:00:01Z");
        assert!(dashboard.payload(morning, 0, 0).starts_with("{\"todayOrders\":1,\"todayRevenue\":7.25,"));
    }

    #[test]
    fn an_unknown_zone_is_named() {
        assert!(Dashboard::new("Mars/Olympus").unwrap_err().to_string().contains("Mars/Olympus"));
    }
}
