//! High-water marks (R17): how a log is found to be older than what its owner already acknowledged.

use base::{Index, Revision, Term};
use serde::{Deserialize, Serialize};

/// Term and index of a log entry, in raft's order of logs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct EntryId {
    /// Term of the leader that made the entry.
    pub term: Term,
    /// Its index.
    pub index: Index,
}

/// What a log says of itself, read after its node's exit with the dir's lock held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// Term of the hard state.
    pub term: Term,
    /// Commit index of the hard state. All up to here is committed; more may be.
    pub commit: Index,
    /// The last entry (of the snapshot, if no entry follows it).
    pub last: EntryId,
}

/// A lower bound of what a voter once acknowledged. Written about every second, off the commit path, outside the data
/// dir, by its node and by its peers. It may lag; so a log that passes is not proved whole.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct HighWater {
    /// Term of its hard state when the mark was taken.
    pub term: Term,
    /// Highest index it acknowledged within that term.
    pub acknowledged: Index,
    /// Commit index it knew.
    pub commit: Index,
    /// Revision of its key space.
    pub revision: Revision,
}

/// An upper bound: the voter acknowledges no append or vote beyond it. Written and fsynced outside the data disk *before*
/// the first acknowledgement that needs it, some thousand entries ahead, and anew in each term.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Highest term in which it may have acknowledged anything.
    pub term: Term,
    /// Highest index it may have acknowledged, in any term.
    pub index: Index,
}

/// What shows that a log is older than what its owner acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// The hard state went back.
    #[error("its term is {found}, but it was in term {mark} before")]
    Term {
        /// Of the hard state.
        found: Term,
        /// Of the mark.
        mark: Term,
    },
    /// Committed entries are missing.
    #[error("its log ends at {found}, but it knew entry {mark} to be committed")]
    Commit {
        /// Last index of the log.
        found: Index,
        /// Commit index of the mark.
        mark: Index,
    },
    /// Entries are missing that it acknowledged in the very term it is in.
    #[error("its log ends at {found}, but it acknowledged entry {mark} in the same term")]
    Acknowledged {
        /// Last index of the log.
        found: Index,
        /// Acknowledged index of the mark.
        mark: Index,
    },
}

/// Whether a log is older than one of the marks, its own or its peers' (R17).
///
/// The commit index of the hard state may go back in a crash (etcd does not sync it alone), so the mark's is compared with
/// the end of the log. Raft truncates unacknowledged tails when a new leader comes, so an acknowledged index proves
/// something only within one term.
#[must_use]
pub fn staleness<'a>(
    log: &LogPosition,
    marks: impl IntoIterator<Item = &'a HighWater>,
) -> Option<Stale> {
    marks.into_iter().find_map(|mark| {
        let last = log.last.index;
        if log.term < mark.term {
            Some(Stale::Term { found: log.term, mark: mark.term })
        } else if last < mark.commit {
            Some(Stale::Commit { found: last, mark: mark.commit })
        } else if log.term == mark.term && last < mark.acknowledged {
            Some(Stale::Acknowledged { found: last, mark: mark.acknowledged })
        } else {
            None
        }
    })
}
