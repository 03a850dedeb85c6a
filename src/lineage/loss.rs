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

/// The bound for a choice of this seed.
///
/// An acknowledged entry lies on a quorum. If every quorum holds a log that is proved whole, the seed has the entry. Else
/// some quorum consists of voters without such a log, and the entry's index is below the reservation of each of them.
#[must_use]
pub fn bound(candidates: &Candidates, evidence: &Evidence, seed: &LogPosition) -> Loss {
    let bounds = candidates.iter().map(|candidate| bound_in(candidate, evidence, seed));
    bounds.max().unwrap_or(Loss::Unknown)
}

fn bound_in(candidate: &Configuration, evidence: &Evidence, seed: &LogPosition) -> Loss {
    let doubtful: Vec<MemberId> =
        candidate.voters.iter().copied().filter(|voter| !is_whole(evidence, *voter)).collect();
    if doubtful.len() < candidate.quorum() {
        return Loss::None;
    }
    let reserved = doubtful.iter().map(|voter| evidence.reservation_of(*voter));
    // Unknown is above all.
    let mut reserved: Vec<Reservation> = reserved
        .map(|known| known.unwrap_or(Reservation { term: FAR_TERM, index: FAR_INDEX }))
        .collect();
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

/// Whether a log surely holds all that its owner acknowledged: the agent saw the node end and reads what it left, or the log
/// reaches up to the reservation. To pass the marks is not enough: they lag, and a disk put back to a moment after the last
/// mark passes.
fn is_whole(evidence: &Evidence, voter: MemberId) -> bool {
    let Class::Live(log) = evidence.class(voter) else { return false };
    let Some(word) = evidence.witnesses().find(|(member, _)| *member == voter) else {
        return false;
    };
    let reaches = evidence
        .reservation_of(voter)
        .is_some_and(|reserved| log.last.index >= reserved.index && log.last.term == reserved.term);
    word.1.record == RecordState::Intact && (word.1.saw_the_end || reaches)
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
