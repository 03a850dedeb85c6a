//! Flag values as they were given, by command line, environment or file, over the defaults.

use std::{collections::BTreeMap, time::Duration};

use base::flags::{self, Flag, Kind};

use super::{
    Refusal,
    disposition::{self, Disposition},
};

/// The values that were given; all others have their default.
#[derive(Debug, Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, String>,
    /// `client-transport-security.allowed-cn` of a file: no flag says it.
    client_common_names: Vec<String>,
}

impl Given {
    /// Takes a checked value.
    pub(super) fn set(&mut self, flag: &'static Flag, value: String) {
        self.values.insert(flag.name, value);
    }

    pub(super) fn set_client_common_names(&mut self, names: &str) {
        self.client_common_names = items(names);
    }

    pub(super) fn client_common_names(&self) -> &[String] {
        &self.client_common_names
    }

    /// Whether a value was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value as text. The name must be a flag's.
    pub(super) fn text(&self, name: &str) -> &str {
        let default = || flags::find(name).expect("the name is a flag's").default;
        self.values.get(name).map_or_else(default, String::as_str)
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        flags::parse_bool(self.text(name)).expect("the value was checked")
    }

    /// A number; those below zero only where the flag's kind allows them.
    pub(super) fn integer(&self, name: &str) -> i64 {
        flags::parse_integer(self.text(name), i64::MIN, i64::MAX).expect("the value was checked")
    }

    /// A count or size.
    pub(super) fn unsigned(&self, name: &str) -> u64 {
        u64::try_from(self.integer(name)).unwrap_or(0)
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        flags::parse_duration(self.text(name)).expect("the value was checked")
    }

    /// A duration, or what its zero stands for.
    pub(super) fn duration_or(&self, name: &str, instead: Duration) -> Duration {
        let given = self.duration(name);
        if given.is_zero() { instead } else { given }
    }

    /// A list, trimmed, without empty items.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        items(self.text(name))
    }

    /// URLs as etcd keeps them: sorted, each once.
    pub(super) fn urls(&self, name: &str) -> Vec<String> {
        let mut urls = self.list(name);
        urls.sort_unstable();
        urls.dedup();
        urls
    }

    /// Applies [`disposition::of`] to whatever differs from its default.
    ///
    /// # Errors
    /// All refused flags, in one text.
    pub(super) fn judge(&self) -> Result<Vec<String>, Refusal> {
        let mut notes = Vec::new();
        let mut refused = Vec::new();
        for (name, value) in &self.values {
            let flag = flags::find(name).expect("only flags are given");
            if same(flag.kind, value, flag.default) {
                continue;
            }
            match disposition::of(name) {
                Disposition::Served => {}
                Disposition::NoEffect(reason) => {
                    notes.push(format!("--{name} has no effect: {reason}"));
                }
                Disposition::Refused(reason) => refused.push(format!("--{name}={value}: {reason}")),
            }
        }
        if refused.is_empty() {
            Ok(notes)
        } else {
            Err(Refusal::invalid(format!("not supported by etcd-node: {}", refused.join("; "))))
        }
    }
}

fn items(list: &str) -> Vec<String> {
    let items = list.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Whether two legal values of a kind mean the same.
fn same(kind: Kind, one: &str, other: &str) -> bool {
    match kind {
        Kind::Bool => flags::parse_bool(one) == flags::parse_bool(other),
        Kind::Integer { .. } => {
            let number = |text| flags::parse_integer(text, i64::MIN, i64::MAX);
            number(one) == number(other)
        }
        Kind::Duration => flags::parse_duration(one) == flags::parse_duration(other),
        _ => one == other,
    }
}
