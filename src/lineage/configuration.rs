//! One raft configuration: who votes. etcd 3.4 and 3.5 change one member at a time, so there are no joint ones.

use std::collections::BTreeSet;

use base::{Index, MemberId, Term};
use serde::{Deserialize, Serialize};

/// A configuration and the log entry that makes it. A node fsyncs this off its data dir *before* it acknowledges the
/// append of that entry, so that what it acknowledged is known even if the data disk is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Index of the ConfChange entry; of the last one for a bootstrap or a snapshot.
    pub index: Index,
    /// Term of that entry.
    pub term: Term,
    /// Who votes once the entry is applied.
    pub voters: BTreeSet<MemberId>,
    /// Who only follows.
    #[serde(default)]
    pub learners: BTreeSet<MemberId>,
}

impl Configuration {
    /// Votes that elect a leader and commit an entry.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// How many of its voters are in `members`.
    #[must_use]
    pub fn count(&self, members: &BTreeSet<MemberId>) -> usize {
        self.voters.intersection(members).count()
    }

    /// Whether `members` hold a quorum.
    #[must_use]
    pub fn has_quorum(&self, members: &BTreeSet<MemberId>) -> bool {
        self.count(members) >= self.quorum()
    }

    /// Whether the voters outside `members` cannot form a quorum: then every quorum meets `members`.
    #[must_use]
    pub fn is_blocked_by(&self, members: &BTreeSet<MemberId>) -> bool {
        self.voters.len() - self.count(members) < self.quorum()
    }
}
