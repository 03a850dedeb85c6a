//! The file read into sections of typed values, each with its place. Knows the keys' table and nothing of their meaning.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use base::flags::parse_duration;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Code, Report},
    keys::{Key, Kind, Table},
    suggest::nearest,
};

/// A value and its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> Spot<T> {
    pub(super) const fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

/// A table of names and values as text: flags or environment variables.
pub(super) type Pairs = Vec<(Spot<String>, Spot<String>)>;

/// A value of the kind that its key demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `Kind::Text`, `Kind::Path`
    Text(String),
    /// `Kind::Port`, `Kind::Whole`
    Whole(i64),
    Switch(bool),
    Duration(Duration),
    Urls(Vec<Spot<String>>),
    /// `Kind::Flags`, `Kind::Environment`
    Pairs(Pairs),
}

/// One table of the file: what was given and is of the right type.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Its header.
    pub(super) span: Range<usize>,
    values: BTreeMap<&'static str, Spot<Value>>,
    /// Keys that were given, of whatever type: not to be called missing.
    given: BTreeMap<&'static str, Range<usize>>,
}

macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self, key: &str) -> Option<Spot<&$type>> {
            match self.values.get(key) {
                Some(Spot { value: Value::$variant(value), span }) => {
                    Some(Spot::new(value, span.clone()))
                }
                _ => None,
            }
        }
    };
}

impl Section {
    getter!(text, Text, str);
    getter!(whole, Whole, i64);
    getter!(switch, Switch, bool);
    getter!(duration, Duration, Duration);
    getter!(urls, Urls, [Spot<String>]);
    getter!(pairs, Pairs, [(Spot<String>, Spot<String>)]);

    /// The place of a key that was given, rightly or wrongly.
    pub(super) fn given(&self, key: &str) -> Option<&Range<usize>> {
        self.given.get(key)
    }
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct RawSpec {
    sections: BTreeMap<Table, Section>,
    pub(super) nodes: Vec<Section>,
    /// Whether parts of the file may be missing because they could not be parsed.
    pub(super) broken: bool,
    none: Section,
}

impl RawSpec {
    /// A section; empty if the file has none.
    pub(super) fn section(&self, table: Table) -> &Section {
        self.sections.get(&table).unwrap_or(&self.none)
    }
}

/// Reads what can be read and reports all else.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> RawSpec {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut spec = RawSpec { broken: !errors.is_empty(), ..RawSpec::default() };
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let reason = format!("not TOML: {}", error.message().replace('\n', ", "));
        let remedy = "write it as TOML 1.0 has it: https://toml.io/en/v1.0.0";
        report.error(Code::Syntax, &span, reason, remedy);
    }
    for (name, value) in document.get_ref() {
        let table = Table::ALL.into_iter().find(|table| table.name() == name.get_ref());
        match table {
            None => unknown_table(name, report),
            Some(Table::Node) => read_nodes(value, &mut spec, report),
            Some(table) => {
                if let Some(section) = read_section(table, value, report) {
                    spec.sections.insert(table, section);
                } else {
                    spec.broken = true;
                }
            }
        }
    }
    spec
}

fn unknown_table(name: &Spanned<std::borrow::Cow<'_, str>>, report: &mut Report<'_>) {
    let given = name.get_ref();
    let home = super::keys::KEYS.iter().find(|key| key.name == given);
    let remedy = match (home, nearest(given, Table::ALL.iter().map(|table| table.name()))) {
        (Some(key), _) => format!("`{given}` belongs under {}", key.table.header()),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => {
            let all: Vec<_> = Table::ALL.iter().map(|table| table.header()).collect();
            format!("a spec has the tables {}", all.join(", "))
        }
    };
    report.error(Code::UnknownKey, &name.span(), format!("unknown key `{given}`"), remedy);
}

fn read_nodes(value: &Spanned<DeValue<'_>>, spec: &mut RawSpec, report: &mut Report<'_>) {
    let Some(items) = value.get_ref().as_array() else {
        // After a syntax error this may be what is left of a header.
        if spec.broken {
            return;
        }
        let found = format!("`node` is {}", describe(value.get_ref()));
        let remedy = "give each node a `[[node]]` header, with double brackets";
        report.error(Code::WrongType, &value.span(), found, remedy);
        spec.broken = true;
        return;
    };
    spec.nodes = items.iter().filter_map(|item| read_section(Table::Node, item, report)).collect();
}

fn read_section(
    table: Table,
    value: &Spanned<DeValue<'_>>,
    report: &mut Report<'_>,
) -> Option<Section> {
    let DeValue::Table(entries) = value.get_ref() else {
        let found = format!("`{}` is {}", table.name(), describe(value.get_ref()));
        let remedy = format!("make it a table: {}", table.header());
        report.error(Code::WrongType, &value.span(), found, remedy);
        return None;
    };
    let mut section = Section { span: value.span(), ..Section::default() };
    for (name, value) in entries {
        match table.keys().find(|key| key.name == name.get_ref()) {
            None => unknown_key(table, name, report),
            Some(key) => {
                section.given.insert(key.name, name.span());
                if let Some(value) = read_value(key, value, report) {
                    section.values.insert(key.name, value);
                }
            }
        }
    }
    Some(section)
}

fn unknown_key(table: Table, name: &Spanned<std::borrow::Cow<'_, str>>, report: &mut Report<'_>) {
    let given = name.get_ref();
    let near = nearest(given, table.keys().map(|key| key.name));
    let dashed = given.replace('_', "-");
    let elsewhere = super::keys::KEYS.iter().find(|key| key.name == dashed && near.is_none());
    let flag = super::flags::is_known(given) && table.keys().any(|key| key.kind == Kind::Flags);
    let remedy = match (elsewhere, near) {
        (Some(key), _) => format!("`{dashed}` belongs under {}", key.table.header()),
        (None, _) if flag => {
            let name = table.name();
            format!("`{given}` is a flag of etcd: put it under [{name}.flags]")
        }
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => {
            let all: Vec<_> = table.keys().map(|key| key.name).collect();
            format!("{} has the keys {}", table.header(), all.join(", "))
        }
    };
    let reason = format!("unknown key `{given}` in {}", table.header());
    report.error(Code::UnknownKey, &name.span(), reason, remedy);
}

fn read_value(
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
        (Kind::Urls, DeValue::String(text)) => {
            let text = printable(key.name, text, &span, report)?;
            Some(Value::Urls(vec![Spot::new(text, span.clone())]))
        }
        (Kind::Urls, DeValue::Array(items)) => {
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

const fn describe(value: &DeValue<'_>) -> &'static str {
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
