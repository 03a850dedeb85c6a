//! Roles among agents and their operators, as certificates carry them.

use std::fmt;

/// A URI in the subject alternative names says the role: this, and `agent`, `operator` or `reader` after it.
pub const ROLE_URN: &str = "urn:etcd-manager:role:";
/// Another says the host of the spec that an agent is for.
pub const HOST_URN: &str = "urn:etcd-manager:host:";

/// What the holder of a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Look: status, events, plans.
    Reader,
    /// Change the cluster as well.
    Operator,
    /// Take part in the agents' control group.
    Agent,
}

impl Role {
    /// The word in the certificate.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Agent => "agent",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Reader, Self::Operator, Self::Agent].into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
