//! A [`Launch`] is all that a node process is started with. It is recorded at the start and compared with what the spec
//! wants now: the difference is the reason of a restart.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Variables that etcd reads only when it has no data yet: their change is no reason to restart.
const BOOTSTRAP_ONLY: [&str; 3] =
    ["ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE", "ETCD_INITIAL_CLUSTER_TOKEN"];

/// Where a node's data and its peers' way to it are: with others it is not what it was.
const PLACES: [&str; 4] =
    ["ETCD_DATA_DIR", "ETCD_WAL_DIR", "ETCD_INITIAL_ADVERTISE_PEER_URLS", "ETCD_LISTEN_PEER_URLS"];

/// What a node process is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program.
    pub binary: PathBuf,
    /// The user it runs as; the agent's own if absent.
    pub user: Option<String>,
    /// Its whole added environment: `ETCD_*` and the spec's own.
    pub environment: BTreeMap<String, String>,
}

impl Launch {
    /// Hexadecimal SHA-256 over everything whose change needs a restart. Stable across builds: it is recorded.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add("launch-1");
        add(&self.binary.to_string_lossy());
        add(self.user.as_deref().unwrap_or_default());
        for (name, value) in self.environment.iter().filter(|(name, _)| restarts(name)) {
            add(name);
            add(value);
        }
        hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The same once more, in place of `wanted`: what counts only without data is as wanted, so it is never `new` again (R2).
    ///
    /// # Errors
    /// Its data or its peers' way to it would be elsewhere: then there is no way back.
    pub fn again(&self, wanted: &Self) -> Result<Self, String> {
        let of = |launch: &Self, name: &str| launch.environment.get(name).cloned();
        if let Some(name) = PLACES.into_iter().find(|name| of(self, name) != of(wanted, name)) {
            return Err(format!("its {} is another one now", spelled(name)));
        }
        let mut launch = self.clone();
        for name in BOOTSTRAP_ONLY {
            launch.environment.remove(name);
            launch.environment.extend(of(wanted, name).map(|value| (name.to_owned(), value)));
        }
        Ok(launch)
    }

    /// What differs in `wanted`, in a stable order; empty exactly if the digests are equal.
    #[must_use]
    pub fn changes(&self, wanted: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut differ = |what: &str, from: Option<String>, to: Option<String>| {
            if from != to {
                changes.push(Change { what: what.to_owned(), from, to });
            }
        };
        let path = |launch: &Self| Some(launch.binary.display().to_string());
        differ("binary", path(self), path(wanted));
        differ("user", self.user.clone(), wanted.user.clone());
        let mut names: Vec<&String> =
            self.environment.keys().chain(wanted.environment.keys()).collect();
        names.sort();
        names.dedup();
        for name in names.into_iter().filter(|name| restarts(name)) {
            let value = |launch: &Self| launch.environment.get(name).cloned();
            differ(&spelled(name), value(self), value(wanted));
        }
        changes
    }
}

/// One difference between what runs and what is wanted. Shown as `snapshot-count 100000 -> 50000`, or, of a change
/// that has no values, as `what` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A flag's name, `binary`, `user`, a variable's name; or a sentence, if both values are absent.
    pub what: String,
    /// What runs; absent if it was not set.
    pub from: Option<String>,
    /// What the spec wants; absent if it is no longer set.
    pub to: Option<String>,
}

impl Change {
    /// Another file lies where the process's program was.
    #[must_use]
    pub fn replaced(binary: &Path) -> Self {
        let what = format!("the binary at {} was replaced", binary.display());
        Self { what, from: None, to: None }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from.is_none() && self.to.is_none() {
            return f.write_str(&self.what);
        }
        let shown = |value: &Option<String>| match value.as_deref() {
            None => "unset".to_owned(),
            Some("") => "\"\"".to_owned(),
            Some(value) => value.to_owned(),
        };
        write!(f, "{} {} -> {}", self.what, shown(&self.from), shown(&self.to))
    }
}

fn restarts(variable: &str) -> bool {
    !BOOTSTRAP_ONLY.contains(&variable)
}

/// A variable as its flag, if it is one of etcd's.
fn spelled(variable: &str) -> String {
    variable
        .strip_prefix("ETCD_")
        .map_or_else(|| variable.to_owned(), |rest| rest.to_lowercase().replace('_', "-"))
}
