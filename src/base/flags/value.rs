//! Reads flag values as Go's flag package and etcd do; what Go refuses is refused here.

use std::time::Duration;

use super::Kind;
use crate::duration::parse_go_duration;

/// What `--auto-compaction-retention` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// A bare number: revisions or hours, as the mode has it.
    Count(u64),
    /// A duration with its unit.
    Time(Duration),
}

pub(super) fn check(kind: Kind, value: &str) -> Result<(), String> {
    let (legal, wanted) = match kind {
        Kind::Text | Kind::Path | Kind::List => return Ok(()),
        Kind::Switch => (parse_switch(value).is_some(), "true or false".to_owned()),
        Kind::Integer { min, max } => {
            let legal = parse_integer(value).is_some_and(|n| (min..=max).contains(&n));
            (legal, integer_wanted(min, max))
        }
        Kind::Duration => (
            parse_go_duration(value).is_some(),
            "a duration with its unit, such as \"500ms\" or \"1h30m\"".to_owned(),
        ),
        Kind::Retention => (
            parse_retention(value).is_some(),
            "a number, or a duration such as \"10m\" or \"24h\"".to_owned(),
        ),
        Kind::Urls => (
            value.is_empty() || value.split(',').all(|url| parse_url(url).is_ok()),
            "URLs such as \"http://10.0.0.1:2379\" (scheme, host, port and nothing behind it), comma-separated".to_owned(),
        ),
        Kind::Members => (
            parse_members(value).is_ok(),
            "NAME=URL pairs, comma-separated".to_owned(),
        ),
        Kind::OneOf(words) => {
            let named: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            (words.contains(&value), format!("one of {}", named.join(", ")))
        }
    };
    if legal { Ok(()) } else { Err(wanted) }
}

fn integer_wanted(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, _) => "an integer".to_owned(),
        (_, i64::MAX) => format!("an integer of {min} or more"),
        _ => format!("an integer from {min} to {max}"),
    }
}

/// A truth value, in any of Go's spellings.
#[must_use]
pub fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, or with one of Go's prefixes `0x`, `0o`, `0b`.
#[must_use]
pub fn parse_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let prefixed =
        prefixes.iter().find_map(|(prefix, radix)| Some((*radix, lower.strip_prefix(prefix)?)));
    let (radix, digits) = prefixed.unwrap_or((10, lower.as_str()));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}

/// A retention: a bare number, or a duration.
#[must_use]
pub fn parse_retention(text: &str) -> Option<Retention> {
    if let Some(number) = parse_integer(text) {
        return u64::try_from(number).ok().map(Retention::Count);
    }
    parse_go_duration(text).map(Retention::Time)
}

/// A URL as etcd takes it, split into scheme and address (`host:port`, or a path for `unix`).
///
/// # Errors
/// The scheme is unknown, the port is missing, or something stands behind it; in etcd's words.
pub fn parse_url(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    let scheme = || format!("URL scheme must be http, https, unix, or unixs: {text}");
    let form = || format!("URL address does not have the form \"host:port\": {text}");
    let Some((name, rest)) = text.split_once("://") else { return Err(scheme()) };
    match name {
        "unix" | "unixs" => return Ok((name, rest)),
        "http" | "https" => {}
        _ => return Err(scheme()),
    }
    if rest.contains('/') {
        return Err(format!("URL must not contain a path: {text}"));
    }
    let (host, port) = rest.rsplit_once(':').ok_or_else(form)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:[]%~".contains(c);
    if host.contains(':') != bracketed || !host.chars().all(legal) || port.parse::<u16>().is_err() {
        return Err(form());
    }
    Ok((name, rest))
}

/// `name=URL` pairs in the order given; a name may come several times.
///
/// # Errors
/// What is wrong with a pair.
pub fn parse_members(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs = Vec::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let Some((name, url)) = pair.split_once('=') else {
            return Err(format!("{pair:?} is not of the form NAME=URL"));
        };
        if name.trim().is_empty() {
            return Err(format!("empty name given for {url:?}"));
        }
        parse_url(url)?;
        pairs.push((name.trim(), url.trim()));
    }
    Ok(pairs)
}
