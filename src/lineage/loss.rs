//! How much acknowledged data a choice may lose (R18). Never too little: without a proof it says "unknown".

use std::fmt;

use base::{Index, MemberId, Term};
use serde::{Deserialize, Serialize};

use crate::{Candidates, Class, Configuration, Evidence, LogPosition, RecordState, Reservation};

/// What may be lost of what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Nothing.
    None,
    /// At most so many log entries, the last ones before the disaster.
    AtMost {
        /// Entries (a write is one; some are not writes).
        entries: u64,
        /// Everything up to here is kept.
        kept: Index,
    },
    /// No bound is known: a human decides.
    Unknown,
}

/// The bound for a choice of this seed, whatever the reason for choosing it.
///
/// An acknowledged entry lies on a quorum. If every quorum holds a log that is proved whole and is not ahead of the seed's,
/// the seed has the entry. Else some quorum consists of voters without such a log, and the entry's index is at most the
/// reservation of each of them, and the end of a whole log that is ahead.
#[must_use]
pub fn bound(candidates: &Candidates, evidence: &Evidence, seed: &LogPosition) -> Loss {
    let bounds = candidates.iter().map(|candidate| bound_in(candidate, evidence, seed));
    bounds.max().unwrap_or(Loss::Unknown)
}

fn bound_in(candidate: &Configuration, evidence: &Evidence, seed: &LogPosition) -> Loss {
    let reaches = candidate.voters.iter().map(|voter| reach(evidence, *voter, seed));
    let mut reserved: Vec<Reservation> = reaches.flatten().collect();
    if reserved.len() < candidate.quorum() {
        return Loss::None;
    }
    let term = reserved.iter().map(|reserved| reserved.term).max().unwrap_or(FAR_TERM);
    // An entry on a quorum is on `quorum` of them: so it is no higher than the quorum-th highest reservation.
    reserved.sort_by_key(|reserved| std::cmp::Reverse(reserved.index));
    let Some(highest) = reserved.get(candidate.quorum() - 1).map(|reserved| reserved.index) else {
        return Loss::Unknown;
    };
    if highest == FAR_INDEX {
        return Loss::Unknown;
    }
    // Only if no doubtful voter acknowledged in a later term is the seed's uncommitted tail the same as theirs; else other
    // entries may stand where the seed's tail stands, and only what the seed knows to be committed is surely kept.
    let kept = if term <= seed.last.term { seed.last.index } else { seed.commit };
    match highest.get().saturating_sub(kept.get()) {
        0 => Loss::None,
        entries => Loss::AtMost { entries, kept },
    }
}

const FAR_TERM: Term = Term::new(u64::MAX);
const FAR_INDEX: Index = Index::new(u64::MAX);

/// How far a voter may have acknowledged what the seed does not have; none if its log is whole and not ahead of the seed's.
fn reach(evidence: &Evidence, voter: MemberId, seed: &LogPosition) -> Option<Reservation> {
    match whole_log(evidence, voter) {
        Some(log) if log.last <= seed.last => None,
        Some(log) => Some(Reservation { term: log.term, index: log.last.index }),
        // Unknown is above all.
        None => {
            let far = Reservation { term: FAR_TERM, index: FAR_INDEX };
            Some(evidence.reservation_of(voter).unwrap_or(far))
        }
    }
}

/// A log that surely holds all that its owner acknowledged: the agent saw the node end and reads what it left, or the log
/// reaches up to the reservation. To pass the marks is not enough: they lag, and a disk put back to a moment after the last
/// mark passes (docs/decisions/0008-holes-the-model-found.md).
fn whole_log(evidence: &Evidence, voter: MemberId) -> Option<LogPosition> {
    let Class::Live(log) = evidence.class(voter) else { return None };
    let (_, word) = evidence.witnesses().find(|(member, _)| *member == voter)?;
    let reaches = evidence
        .reservation_of(voter)
        .is_some_and(|reserved| log.last.index >= reserved.index && log.last.term == reserved.term);
    let is_whole = word.record == RecordState::Intact && (word.saw_the_end || reaches);
    is_whole.then_some(log)
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::AtMost { entries, kept } => {
                write!(f, "at most {entries} entries; all up to index {kept} are kept")
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
