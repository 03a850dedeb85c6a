//! Timestamps as Go writes them in JSON: RFC 3339 with up to nine decimals of a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;

/// `2026-11-23T04:05:06.000000007Z`.
pub(crate) fn format(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / DAY_SECONDS, since.as_secs() % DAY_SECONDS);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Reads such a timestamp, with `Z` or an offset. None if it is no such, or before 1970.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let [year, month, day] = numbers(date, '-')?;
    let (whole, decimals) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(whole, ':')?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let local = days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    let seconds = match zone.split_at_checked(1)? {
        ("Z", "") => local,
        ("+", offset) => local.checked_sub(offset_seconds(offset)?)?,
        ("-", offset) => local + offset_seconds(offset)?,
        _ => return None,
    };
    Some(UNIX_EPOCH + Duration::new(seconds, nanos_of(decimals)?))
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u64; N]> {
    let parts: Option<Vec<u64>> = text.split(separator).map(|part| number(part, 4)).collect();
    parts?.try_into().ok()
}

fn number(text: &str, digits_max: usize) -> Option<u64> {
    let plain = text.len() <= digits_max && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn offset_seconds(text: &str) -> Option<u64> {
    let [hours, minutes] = numbers(text, ':')?;
    (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)
}

fn nanos_of(decimals: &str) -> Option<u32> {
    if decimals.is_empty() {
        return Some(0);
    }
    let value = u32::try_from(number(decimals, 9)?).ok()?;
    let missing = 9 - u32::try_from(decimals.len()).ok()?;
    value.checked_mul(10_u32.pow(missing))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of January of a year from 1970 on.
fn days_before_year(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let months: u64 = (1..month).map(|month| month_days(year, month)).sum();
    days_before_year(year) + months + day - 1
}

fn date_of(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut left = days - days_before_year(year);
    let mut month = 1;
    while left >= month_days(year, month) {
        left -= month_days(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn known_moments_are_written_as_go_writes_them() {
        assert_eq!(format(at(0, 0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(at(951_827_696, 7)), "2000-02-29T12:34:56.000000007Z");
        assert_eq!(format(at(4_107_542_400, 0)), "2100-03-01T00:00:00.000000000Z");
    }

    #[test]
    fn offsets_and_short_decimals_are_read() {
        assert_eq!(parse("2000-02-29T14:34:56.5+02:00"), Some(at(951_827_696, 500_000_000)));
        assert_eq!(parse("2000-02-29T11:34:56-01:00"), Some(at(951_827_696, 0)));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "T",
            "2000-02-29",
            "2000-02-29T12:34:56",
            "2000-13-01T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "2000-00-01T00:00:00Z",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:00:00.1234567890Z",
            "+200-01-01T00:00:00Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0_u64..250_000_000_000, nanos in 0_u32..1_000_000_000) {
            prop_assert_eq!(parse(&format(at(seconds, nanos))), Some(at(seconds, nanos)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZ:.+-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
