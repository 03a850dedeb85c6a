//! One value of the file, read as the kind that its key demands, or reported.

use std::ops::Range;

use base::flags::parse_duration;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    super::{
        diagnostic::{Code, Report},
        keys::{Key, Kind},
    },
    Pairs, Spot, Value,
};

pub(super) fn read_value(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    report: &mut Report<'_>,
) -> Option<Spot<Value>> {
    let span = value.span();
    let read = match (key.kind, value.get_ref()) {
        (Kind::Text | Kind::Path, DeValue::String(text)) => {
            let text = printable(key.name, text, &span, report)?;
            Some(Value::Text(text))
        }
        (Kind::Port, DeValue::Integer(_)) => whole(key, value, (1, 65_535), report),
        (Kind::Whole { min, max, .. }, DeValue::Integer(_)) => {
            whole(key, value, (min, max), report)
        }
        (Kind::Switch, DeValue::Boolean(on)) => Some(Value::Switch(*on)),
        (Kind::Duration, DeValue::String(text)) => read_duration(key, text, &span, report),
        (Kind::Urls | Kind::Paths | Kind::Windows, DeValue::String(text)) => {
            let text = printable(key.name, text, &span, report)?;
            Some(Value::Urls(vec![Spot::new(text, span.clone())]))
        }
        (Kind::Urls | Kind::Paths | Kind::Windows, DeValue::Array(items)) => {
            let items = items.iter().filter_map(|item| read_url(key, item, report)).collect();
            Some(Value::Urls(items))
        }
        (Kind::Flags | Kind::Environment, DeValue::Table(entries)) => {
            let scalar = if key.kind == Kind::Flags { flag_text } else { variable_text };
            Some(Value::Pairs(read_pairs(entries, scalar, report)))
        }
        (kind, other) => {
            wrong_type(key.name, &kind.wanted(), other, &span, report);
            None
        }
    };
    read.map(|value| Spot::new(value, span))
}

fn wrong_type(
    name: &str,
    wanted: &str,
    found: &DeValue<'_>,
    span: &Range<usize>,
    report: &mut Report<'_>,
) {
    let reason = format!("`{name}` is {}", describe(found));
    report.error(Code::WrongType, span, reason, format!("give {wanted}"));
}

fn whole(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    (min, max): (i64, i64),
    report: &mut Report<'_>,
) -> Option<Value> {
    let number = value
        .get_ref()
        .as_integer()
        .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
    if let Some(number) = number.filter(|number| (min..=max).contains(number)) {
        return Some(Value::Whole(number));
    }
    let reason = format!("`{}` is out of its range", key.name);
    let remedy = format!("give {}", key.kind.wanted());
    report.error(Code::OutOfRange, &value.span(), reason, remedy);
    None
}

fn read_duration(
    key: &Key,
    text: &str,
    span: &Range<usize>,
    report: &mut Report<'_>,
) -> Option<Value> {
    match parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Some(Value::Duration(duration)),
        Ok(_) => {
            let reason = format!("`{}` is zero", key.name);
            report.error(Code::OutOfRange, span, reason, "give a duration of more than zero");
            None
        }
        Err(_) => {
            let reason = format!("`{}` is {text:?}, which is no duration", key.name);
            let remedy = "give a number with its unit, such as \"500ms\", \"30s\" or \"1h30m\"";
            report.error(Code::WrongType, span, reason, remedy);
            None
        }
    }
}

fn read_url(
    key: &Key,
    item: &Spanned<DeValue<'_>>,
    report: &mut Report<'_>,
) -> Option<Spot<String>> {
    let span = item.span();
    let DeValue::String(text) = item.get_ref() else {
        wrong_type(key.name, &key.kind.wanted(), item.get_ref(), &span, report);
        return None;
    };
    printable(key.name, text, &span, report).map(|text| Spot::new(text, span))
}

/// A value of a table as text, or what it should have been.
type Scalar = fn(&DeValue<'_>) -> Result<String, &'static str>;

fn read_pairs(entries: &DeTable<'_>, scalar: Scalar, report: &mut Report<'_>) -> Pairs {
    let mut pairs = Vec::new();
    for (name, value) in entries {
        let span = value.span();
        match scalar(value.get_ref()) {
            Ok(text) => {
                if let Some(text) = printable(name.get_ref(), &text, &span, report) {
                    let name = Spot::new(name.get_ref().to_string(), name.span());
                    pairs.push((name, Spot::new(text, span)));
                }
            }
            Err(wanted) => wrong_type(name.get_ref(), wanted, value.get_ref(), &span, report),
        }
    }
    pairs
}

fn flag_text(value: &DeValue<'_>) -> Result<String, &'static str> {
    const WANTED: &str = "a string, an integer, a boolean or an array of strings";
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_too_large| "an integer of 64 bits"),
        DeValue::Boolean(on) => Ok(on.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(",")).ok_or(WANTED)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Err(WANTED),
    }
}

fn variable_text(value: &DeValue<'_>) -> Result<String, &'static str> {
    value.as_str().map(ToOwned::to_owned).ok_or("a string, in quotes")
}

/// Text without control characters: they would break URLs, paths, environment files and log lines.
fn printable(
    name: &str,
    text: &str,
    span: &Range<usize>,
    report: &mut Report<'_>,
) -> Option<String> {
    if !text.contains(char::is_control) {
        return Some(text.to_owned());
    }
    let reason = format!("`{name}` has a control character (a line break, tab, NUL or the like)");
    report.error(Code::OutOfRange, span, reason, "give a text of one line without such characters");
    None
}

pub(super) const fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
