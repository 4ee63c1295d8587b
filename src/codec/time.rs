//! Times: counts since the Unix epoch ↔ RFC 3339, by the proleptic Gregorian calendar, without an allocation.

use super::plan::Unit;

const DAY: i64 = 86_400;

/// A time of the years 0000–9999, which is what RFC 3339 can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    millis: u16,
}

impl Civil {
    /// The time that many units after the epoch; finer than milliseconds is cut off. `None` outside the years
    /// 0000–9999.
    pub(super) fn from_epoch(count: i64, unit: Unit) -> Option<Self> {
        let per_second = unit.per_second();
        let seconds = count.div_euclid(per_second);
        let millis = count.rem_euclid(per_second) / (per_second / 1_000);
        let (year, month, day) = date_from_days(seconds.div_euclid(DAY))?;
        let of_day = seconds.rem_euclid(DAY);
        Some(Self {
            year,
            month,
            day,
            hour: u8::try_from(of_day / 3_600).ok()?,
            minute: u8::try_from(of_day / 60 % 60).ok()?,
            second: u8::try_from(of_day % 60).ok()?,
            millis: u16::try_from(millis).ok()?,
        })
    }

    /// The date that many days after the epoch, at midnight.
    pub(super) fn from_days(days: i64) -> Option<Self> {
        Self::from_epoch(days.checked_mul(DAY * 1_000)?, Unit::Millis)
    }

    /// `2026-11-23`.
    pub(super) fn push_date(&self, out: &mut Vec<u8>) {
        let [high, low] = [self.year / 100, self.year % 100].map(pair);
        out.extend_from_slice(&[high[0], high[1], low[0], low[1], b'-']);
        out.extend_from_slice(&pair(self.month.into()));
        out.push(b'-');
        out.extend_from_slice(&pair(self.day.into()));
    }

    /// `09:30:00.000`.
    pub(super) fn push_time(&self, out: &mut Vec<u8>) {
        for (part, separator) in [(self.hour, b':'), (self.minute, b':'), (self.second, b'.')] {
            out.extend_from_slice(&pair(part.into()));
            out.push(separator);
        }
        out.push(b'0' + u8::try_from(self.millis / 100 % 10).unwrap_or(0));
        out.extend_from_slice(&pair(self.millis % 100));
    }

    /// `2026-11-23T09:30:00.000`, without a zone.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        self.push_date(out);
        out.push(b'T');
        self.push_time(out);
    }
}

/// The two digits of a number below 100.
fn pair(n: u16) -> [u8; 2] {
    let digit = |d: u16| b'0' + u8::try_from(d % 10).unwrap_or(0);
    [digit(n / 10), digit(n)]
}

/// Howard Hinnant's `civil_from_days`: eras of 400 years that begin on 1 March.
fn date_from_days(days: i64) -> Option<(u16, u8, u8)> {
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era.checked_mul(400)? + i64::from(month <= 2);
    let year = u16::try_from(year).ok().filter(|year| *year <= 9_999)?;
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Reads an RFC 3339 time (`T`, `Z` in capitals, no leap second: what JavaScript's `Date` reads too): seconds since the
/// epoch and nanoseconds. `None` when it is none.
pub(super) fn parse_rfc3339(text: &[u8]) -> Option<(i64, u32)> {
    let (date, rest) = text.split_at_checked(10)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[b'T', h1, h2, b':', i1, i2, b':', s1, s2] = clock else { return None };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let offset = match *zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3_600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some((days_from_date(year, month, day) * DAY + hour * 3_600 + minute * 60 + second - offset, nanos))
}

/// `.123` → nanoseconds and what follows; nothing is zero. At most 9 digits count.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let end = digits.iter().position(|b| !b.is_ascii_digit())?;
    let (digits, zone) = digits.split_at_checked(end)?;
    if digits.is_empty() {
        return None;
    }
    let nanos =
        (0..9).fold(0_u32, |n, i| n * 10 + digits.get(i).map_or(0, |digit| u32::from(digit.wrapping_sub(b'0'))));
    Some((nanos, zone))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(millis: i64) -> Option<String> {
        let mut out = Vec::new();
        Civil::from_epoch(millis, Unit::Millis)?.push(&mut out);
        out.push(b'Z');
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn known_times_are_written_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_426_200_000, "2026-11-23T09:30:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(shown(millis).as_deref(), Some(text));
            let (seconds, nanos) = parse_rfc3339(text.as_bytes()).unwrap();
            assert_eq!(seconds * 1_000 + i64::from(nanos / 1_000_000), millis);
        }
        for outside in [-62_167_219_200_001, 253_402_300_800_000, i64::MIN, i64::MAX] {
            assert_eq!(shown(outside), None, "{outside}");
        }
    }

    #[test]
    fn only_rfc_3339_is_read() {
        for good in ["2026-11-23T09:30:00Z", "2026-11-23T15:00:00.5+05:30", "2024-02-29T00:00:00.123456789-00:00"] {
            assert!(parse_rfc3339(good.as_bytes()).is_some(), "{good}");
        }
        assert_eq!(parse_rfc3339(b"2026-11-23T15:00:00.000+05:30"), parse_rfc3339(b"2026-11-23T09:30:00Z"));
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T09:30:00",
            "2026-11-23 09:30:00Z",
            "2026-11-23T09:30Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T09:60:00Z",
            "2026-11-23T09:30:60Z",
            "2026-11-23T09:30:00.Z",
            "2026-11-23T09:30:00.5",
            "2026-11-23T09:30:00+0530",
            "2026-11-23T09:30:00+24:00",
            "2026-11-23T09:30:00ZZ",
            "２026-11-23T09:30:00Z",
            "+026-11-23T09:30:00Z",
            "2026-11-23t09:30:00z",
        ] {
            assert_eq!(parse_rfc3339(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_back_and_agrees_with_jiff(millis in -62_167_219_200_000_i64..=253_402_300_799_999) {
            let text = shown(millis).unwrap();
            let (seconds, nanos) = parse_rfc3339(text.as_bytes()).unwrap();
            prop_assert_eq!(seconds * 1_000 + i64::from(nanos / 1_000_000), millis);
            // jiff's timestamps end a day before RFC 3339's.
            if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
                prop_assert_eq!(stamp.as_millisecond(), millis);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_rfc3339(text.as_bytes());
        }
    }
}
