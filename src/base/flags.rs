//! The table of etcd's flags as of 3.5.21: name, type, default, and which versions know them.
//! The node parses its command line by it; the manager checks a spec's flags against it.

mod table;
mod value;

pub use table::{ALL, IGNORED};
pub use value::{
    InvalidValue, parse_bool, parse_duration, parse_integer, parse_members, parse_retention,
    parse_url,
};

/// One flag of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without dashes.
    pub name: &'static str,
    /// What its value must look like.
    pub kind: Kind,
    /// The value that 3.5 takes where none is given, as it would be written on a command line.
    pub default: &'static str,
    /// The versions that know it.
    pub since: Since,
    /// Where it stands in the help.
    pub section: Section,
    /// What it does, in one line.
    pub help: &'static str,
}

/// What a flag's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, or nothing at all for true.
    Bool,
    /// A whole number from `min` to `max`.
    Integer {
        /// Smallest legal value.
        min: i64,
        /// Largest legal value.
        max: i64,
    },
    /// A duration as Go writes it: `100ms`, `1h30m`; a bare `0` is one too.
    Duration,
    /// Any text.
    Text,
    /// A path of a file or folder; empty where none is meant.
    Path,
    /// URLs with scheme and port and nothing behind it, separated by commas; empty if none.
    Urls,
    /// `name=URL` pairs separated by commas.
    Members,
    /// Texts separated by commas.
    List,
    /// A number (of hours or revisions) or a duration.
    Retention,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Which versions know a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Whether 3.4.23 does.
    pub v3_4: bool,
    /// The first patch level of 3.5 that does.
    pub v3_5_patch: u8,
}

/// The sections of etcd's help, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The member itself.
    Member,
    /// Its cluster.
    Clustering,
    /// TLS and HTTP access.
    Security,
    /// Users and tokens.
    Auth,
    /// Metrics and profiles.
    Monitoring,
    /// Its log.
    Logging,
    /// Tracing.
    Tracing,
    /// The old proxy mode.
    Proxy,
    /// Not yet settled upstream.
    Experimental,
    /// Dangerous.
    Unsafe,
    /// About the program itself.
    Program,
}

impl Section {
    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Clustering => "Clustering",
            Self::Security => "Security",
            Self::Auth => "Auth",
            Self::Monitoring => "Profiling and monitoring",
            Self::Logging => "Logging",
            Self::Tracing => "Distributed tracing",
            Self::Proxy => "v2 proxy",
            Self::Experimental => "Experimental",
            Self::Unsafe => "Unsafe",
            Self::Program => "Program",
        }
    }
}

impl Flag {
    /// The environment variable that stands for it: `ETCD_DATA_DIR` for `data-dir`.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("ETCD_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Checks a value by the flag's kind.
    ///
    /// # Errors
    /// What is wrong with the value; the text stands well after `invalid value "..": `.
    pub fn validate(&self, value: &str) -> Result<(), InvalidValue> {
        value::check(self.kind, value)
    }
}

/// The flag of that name (without dashes).
#[must_use]
pub fn find(name: &str) -> Option<&'static Flag> {
    ALL.iter().find(|flag| flag.name == name)
}

/// The known flag that a misspelt one was probably meant to be; none if nothing is near.
#[must_use]
pub fn nearest(given: &str) -> Option<&'static str> {
    let given = given.trim_start_matches('-').to_lowercase().replace('_', "-");
    ALL.iter()
        .map(|flag| (strsim::damerau_levenshtein(&given, flag.name), flag.name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
