//! The file read into sections of typed values, each with its place. Knows the keys' table and nothing of their meaning.

mod values;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Code, Report},
    keys::{Kind, Table},
    suggest::nearest,
};
use values::{describe, read_value};

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
    /// `Kind::Urls`, `Kind::Paths`, `Kind::Windows`
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

/// Reads what can be read of a spec and reports all else.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> RawSpec {
    read_tables(text, &Table::ALL, report)
}

/// The same for a file with these tables.
pub(super) fn read_tables(text: &str, tables: &[Table], report: &mut Report<'_>) -> RawSpec {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut spec = RawSpec { broken: !errors.is_empty(), ..RawSpec::default() };
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let reason = format!("not TOML: {}", error.message().replace('\n', ", "));
        let remedy = "write it as TOML 1.0 has it: https://toml.io/en/v1.0.0";
        report.error(Code::Syntax, &span, reason, remedy);
    }
    for (name, value) in document.get_ref() {
        let table = tables.iter().copied().find(|table| table.name() == name.get_ref());
        match table {
            None => unknown_table(name, tables, report),
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

fn unknown_table(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    tables: &[Table],
    report: &mut Report<'_>,
) {
    let given = name.get_ref();
    let home =
        super::keys::KEYS.iter().find(|key| key.name == given && tables.contains(&key.table));
    let remedy = match (home, nearest(given, tables.iter().map(|table| table.name()))) {
        (Some(key), _) => format!("`{given}` belongs under {}", key.table.header()),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => {
            let all: Vec<_> = tables.iter().map(|table| table.header()).collect();
            let file = if tables == Table::ALL { "a spec" } else { "agent.toml" };
            format!("{file} has the tables {}", all.join(", "))
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
    let same_file = |other: Table| Table::ALL.contains(&other) == Table::ALL.contains(&table);
    let elsewhere = super::keys::KEYS
        .iter()
        .find(|key| key.name == dashed && near.is_none() && same_file(key.table));
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
