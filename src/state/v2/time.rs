//! Points in time as the v2 store has them: nanoseconds since 1970, written as Go's RFC 3339.

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// Go's zero time: a node that does not expire.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";
/// Expirations before the year 2000 mean none, as in etcd.
pub(super) const EXPIRATION_MIN: i64 = 946_684_800 * NANOS;

/// Formats in UTC, without trailing zeroes in the fraction.
pub(super) fn format(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Parses what Go wrote, in any zone. The outer None is an error, the inner one Go's zero time.
pub(super) fn parse(text: &str) -> Option<Option<i64>> {
    if text == NEVER {
        return Some(None);
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(position, byte)| text.as_bytes().get(*position) != Some(byte)) {
        return None;
    }
    let day = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let second = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction = match fraction.strip_prefix('.') {
        Some(digits) if digits.len() <= 9 => format!("{digits:0<9}").parse::<i64>().ok()?,
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    let seconds = day * DAY_SECONDS + second - offset(zone)?;
    seconds.checked_mul(NANOS)?.checked_add(fraction).map(Some)
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// Days since 1970-01-01 of a Gregorian date, counting years from March.
fn days(year: i64, month: i64, date: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + date - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days`].
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_both_ways() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (EXPIRATION_MIN, "2000-01-01T00:00:00Z"),
            (1_709_210_096_500_000_000, "2024-02-29T12:34:56.5Z"),
            (1_709_210_096_000_000_001, "2024-02-29T12:34:56.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(format(nanos), text);
            assert_eq!(parse(text), Some(Some(nanos)), "{text}");
        }
    }

    #[test]
    fn zones_are_understood_and_nonsense_is_not() {
        assert_eq!(parse("1970-01-01T02:00:00+02:00"), Some(Some(0)));
        assert_eq!(parse("1969-12-31T22:30:00.25-01:30"), Some(Some(NANOS / 4)));
        assert_eq!(parse(NEVER), Some(None));
        for text in ["", "yesterday", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z9"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives() {
        for day in -200_000..200_000 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
