//! The tests of one candidate configuration: is the old lineage barred, is the configuration surely no older than the one
//! in force, and who may decide.

use std::collections::BTreeSet;

use base::MemberId;
use serde::{Deserialize, Serialize};

use crate::{Candidates, Class, Configuration, Evidence, RecordState};

/// The blocking test (R1): the voters that might still run cannot form a quorum.
///
/// It is necessary and not sufficient: of an even number of voters, each half blocks the other. Who may act is
/// [`authority`]'s to say.
#[must_use]
pub fn is_blocked(configuration: &Configuration, evidence: &Evidence) -> bool {
    let barred = |member: &MemberId| evidence.class(*member).is_barred();
    configuration.is_blocked_by(&configuration.voters.iter().copied().filter(barred).collect())
}

/// Whether every quorum holds a witness, so that a newer configuration could not come to be unseen. Where not, the newest
/// voter set must be told from outside (the freshness proof).
#[must_use]
pub fn is_witnessed(configuration: &Configuration, evidence: &Evidence) -> bool {
    configuration.is_blocked_by(&trusted(evidence))
}

/// By what right a choice may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// The agents of a majority of the voters accept it. Two majorities share an agent, which accepts one.
    Majority,
    /// The agents that accept it, and the voters that are off or have lost their memory, are all there are.
    NobodyElse,
}

/// By what right these agents may decide for this configuration, if by any. Asked with all that promised before a choice is
/// made, and with those that accepted before it is opened.
#[must_use]
pub fn authority(
    configuration: &Configuration,
    evidence: &Evidence,
    agents: &BTreeSet<MemberId>,
) -> Option<Authority> {
    let deciders: BTreeSet<MemberId> = trusted(evidence).intersection(agents).copied().collect();
    if configuration.has_quorum(&deciders) {
        return Some(Authority::Majority);
    }
    let settled = |member: &MemberId| {
        deciders.contains(member)
            || matches!(evidence.class(*member), Class::Fenced | Class::Amnesiac)
    };
    let all = configuration.voters.iter().all(settled);
    // The freshness proof: some quorum holds no witness, so the voters must be told by someone who knows.
    let fresh = is_witnessed(configuration, evidence) || evidence.listed.is_some();
    (all && fresh && configuration.count(&deciders) > 0).then_some(Authority::NobodyElse)
}

/// Whether the choice may be opened: those who accepted it have the right to decide in every candidate.
#[must_use]
pub fn may_open(
    candidates: &Candidates,
    evidence: &Evidence,
    accepted: &BTreeSet<MemberId>,
) -> bool {
    let mut each = candidates.iter();
    !candidates.is_empty() && each.all(|one| authority(one, evidence, accepted).is_some())
}

/// The agents whose record is surely the last one written.
///
/// An agent that may have been put back to an older state counts only if so many others were asked that any majority it was
/// part of is among them (R17): they tell what it promised.
pub(crate) fn trusted(evidence: &Evidence) -> BTreeSet<MemberId> {
    let candidates = Candidates::of(evidence);
    let intact: BTreeSet<MemberId> = evidence
        .witnesses()
        .filter(|(_, word)| word.record == RecordState::Intact)
        .map(|(member, _)| member)
        .collect();
    let is_trusted = |member: &MemberId, record: RecordState| match record {
        RecordState::Intact => true,
        RecordState::Unproven => candidates.iter().all(|one| vouched_for(one, *member, &intact)),
        RecordState::Absent | RecordState::Unreadable => false,
    };
    let witnesses = evidence.witnesses();
    witnesses.filter(|(member, word)| is_trusted(member, word.record)).map(|(m, _)| m).collect()
}

/// Whether each majority that the member belongs to has another voter among those asked.
fn vouched_for(one: &Configuration, member: MemberId, others: &BTreeSet<MemberId>) -> bool {
    if !one.voters.contains(&member) {
        return true;
    }
    let silent = one.voters.len() - 1 - one.count(others);
    silent + 1 < one.quorum()
}
