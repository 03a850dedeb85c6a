//! Reads flag values as Go's flag package and etcd do; what Go refuses is refused here.

use std::time::Duration;

use super::Kind;

/// What is wrong with a flag's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidValue {
    /// For the user, without the value itself where that is short.
    pub reason: String,
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, InvalidValue> {
    Err(InvalidValue { reason: reason.into() })
}

/// Nanoseconds of Go's units, the longer name first where one begins another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

pub(super) fn check(kind: Kind, value: &str) -> Result<(), InvalidValue> {
    match kind {
        Kind::Bool => parse_bool(value).map(drop),
        Kind::Integer { min, max } => parse_integer(value, min, max).map(drop),
        Kind::Duration => parse_duration(value).map(drop),
        Kind::Retention => parse_retention(value).map(drop),
        Kind::Text | Kind::Path | Kind::List => Ok(()),
        Kind::Urls if value.is_empty() => Ok(()),
        Kind::Urls => value.split(',').try_for_each(|url| parse_url(url).map(drop)),
        Kind::Members => parse_members(value).map(drop),
        Kind::OneOf(words) if words.contains(&value) => Ok(()),
        Kind::OneOf(words) => {
            invalid(format!("must be one of {}", words.join(", ").trim_start_matches(", ")))
        }
    }
}

/// A truth value as Go reads it.
///
/// # Errors
/// The text is none.
pub fn parse_bool(text: &str) -> Result<bool, InvalidValue> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => invalid("must be true or false"),
    }
}

/// A whole number within bounds: decimal, or with a prefix `0x`, `0o`, `0b` as Go has them.
///
/// # Errors
/// The text is none, or it is out of bounds.
pub fn parse_integer(text: &str, min: i64, max: i64) -> Result<i64, InvalidValue> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..).unwrap_or_default()),
        Some("0o") => (8, lower.get(2..).unwrap_or_default()),
        Some("0b") => (2, lower.get(2..).unwrap_or_default()),
        _ => (10, lower.as_str()),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) || digits.is_empty() {
        return invalid("must be a whole number");
    }
    let number = i128::from_str_radix(digits, radix).unwrap_or(i128::MAX);
    let number = if negative { -number } else { number };
    match i64::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ if number < i128::from(min) => invalid(format!("must be at least {min}")),
        _ => invalid(format!("must be at most {max}")),
    }
}

/// A duration as Go writes it, such as `1h30m` or `1.5s`; `0` is one too.
///
/// # Errors
/// The text is none, is negative, or is longer than Go can hold (292 years).
pub fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    if text == "0" || text == "+0" || text == "-0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return invalid("must not be negative");
    }
    let nanos = sum_units(text.strip_prefix('+').unwrap_or(text));
    match nanos.filter(|nanos| i64::try_from(*nanos).is_ok()) {
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => invalid("must be a duration such as 100ms, 10s or 1h30m"),
    }
}

fn sum_units(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let (number, after) = rest.split_at(end);
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total = total.checked_add(scale(number, *nanos)?)?;
        rest = after.strip_prefix(unit)?;
    }
    Some(total)
}

/// `number` (with at most one point) units of `nanos` each.
fn scale(number: &str, nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(nanos)?;
    let mut unit = nanos;
    for digit in fraction.bytes() {
        unit /= 10;
        total = total.checked_add(u64::from(digit - b'0').checked_mul(unit)?)?;
    }
    Some(total)
}

/// A retention: a bare number, or a duration. The number is returned as it is, for the mode
/// decides whether it counts hours or revisions.
///
/// # Errors
/// The text is neither.
pub fn parse_retention(text: &str) -> Result<Result<u64, Duration>, InvalidValue> {
    if let Ok(number) = parse_integer(text, 0, i64::MAX) {
        return Ok(Ok(number.unsigned_abs()));
    }
    match parse_duration(text) {
        Ok(duration) => Ok(Err(duration)),
        Err(_) => invalid("must be a number, or a duration such as 10m or 24h"),
    }
}

/// A URL as etcd takes it, split into scheme and address (`host:port`, or a path for `unix`).
///
/// # Errors
/// The scheme is unknown, the port is missing, or something stands behind it.
pub fn parse_url(text: &str) -> Result<(&str, &str), InvalidValue> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return invalid(format!("URL scheme must be http, https, unix, or unixs: {text}"));
    };
    match scheme {
        "unix" | "unixs" => return Ok((scheme, rest)),
        "http" | "https" => {}
        _ => return invalid(format!("URL scheme must be http, https, unix, or unixs: {text}")),
    }
    if rest.contains('/') {
        return invalid(format!("URL must not contain a path: {text}"));
    }
    let form = || format!("URL address does not have the form \"host:port\": {text}");
    let Some((host, port)) = rest.rsplit_once(':') else { return invalid(form()) };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:[]%~".contains(c);
    if host.contains(':') != bracketed || !host.chars().all(legal) {
        return invalid(form());
    }
    match port.parse::<u16>() {
        Ok(_) => Ok((scheme, rest)),
        Err(_) => invalid(form()),
    }
}

/// `name=URL` pairs in the order given; a name may come several times.
///
/// # Errors
/// A pair is malformed.
pub fn parse_members(text: &str) -> Result<Vec<(&str, &str)>, InvalidValue> {
    let mut pairs = Vec::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let Some((name, url)) = pair.split_once('=') else {
            return invalid(format!("{pair:?} is not of the form NAME=URL"));
        };
        if name.trim().is_empty() {
            return invalid(format!("empty name given for {url:?}"));
        }
        parse_url(url)?;
        pairs.push((name.trim(), url.trim()));
    }
    Ok(pairs)
}
