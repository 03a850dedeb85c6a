//! Whose log the new lineage begins with.

use std::cmp::Reverse;

use base::MemberId;

use crate::{Candidates, Class, Evidence, LogPosition};

/// Among the intact logs of voters the greatest (last term, last index), as raft compares logs in an election: by leader
/// completeness it holds every committed entry that any of these logs holds. Not revision, not commit index, not size. Never a
/// learner, never a log that failed a check or is older than its owner's marks (R7, R17). Equal logs: the lowest id.
#[must_use]
pub fn choose(candidates: &Candidates, evidence: &Evidence) -> Option<(MemberId, LogPosition)> {
    let live = candidates.voters().into_iter().filter_map(|member| match evidence.class(member) {
        Class::Live(log) => Some((member, log)),
        Class::Lost(_) | Class::Fenced | Class::Amnesiac | Class::Unknown(_) => None,
    });
    live.max_by_key(|(member, log)| (log.last, Reverse(*member)))
}
