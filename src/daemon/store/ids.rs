//! Deployment ids: `YYYYMMDDHHMMSS` in UTC, strictly increasing even when the clock is not.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::names::DeployId;

/// The id for a deployment accepted at `now`, after `last`. Two in one second, or a clock that was
/// set back, get the next second of the last id.
pub fn next(now: Timestamp, last: Option<DeployId>) -> DeployId {
    let now = to_id(now.to_zoned(TimeZone::UTC).datetime());
    match last {
        Some(last) if last >= now => after(last),
        _ => now,
    }
}

fn after(id: DeployId) -> DeployId {
    match to_time(id).and_then(|time| time.checked_add(1.second()).ok()) {
        Some(time) => to_id(time),
        None => DeployId::from_number(id.number() + 1),
    }
}

fn to_id(time: DateTime) -> DeployId {
    let date = u64::from(time.year().unsigned_abs()) * 10_000 + time.month() as u64 * 100 + time.day() as u64;
    let clock = time.hour() as u64 * 10_000 + time.minute() as u64 * 100 + time.second() as u64;
    DeployId::from_number(date * 1_000_000 + clock)
}

fn to_time(id: DeployId) -> Option<DateTime> {
    let number = id.number();
    let part = |divisor: u64, modulus: u64| i8::try_from(number / divisor % modulus).ok();
    let year = i16::try_from(number / 10_000_000_000).ok()?;
    let (month, day) = (part(100_000_000, 100)?, part(1_000_000, 100)?);
    let (hour, minute, second) = (part(10_000, 100)?, part(100, 100)?, part(1, 100)?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, last: Option<&str>, expected: &str) {
        let now: Timestamp = now.parse().expect("timestamp");
        let last = last.map(|id| id.parse().expect("id"));
        assert_eq!(next(now, last).to_string(), expected);
    }

    #[test]
    fn ids_are_the_time_and_always_grow() {
        check("2026-11-21T09:30:00Z", None, "20261121093000");
        check("2026-11-21T09:30:00.9Z", Some("20261121092959"), "20261121093000");
        check("2026-11-21T09:30:00Z", Some("20261121093000"), "20261121093001");
        check("2026-11-21T09:30:00Z", Some("20261231235959"), "20270101000000");
    }
}
