//! The decision: restart, adopt, choose or wait; and what would unblock it. Called by the control group's leader for one
//! attempt, by `recover --dry-run`, and by the model.

use std::collections::BTreeSet;

use base::{Index, MemberId};
use serde::{Deserialize, Serialize};

use crate::{
    Accepted, Attestation, Candidates, Choice, Class, Configuration, EntryId, Evidence, Fence,
    Hold, LogPosition, LogState, Loss, Missing, RecordState, StoreState, Word, bound, choose,
    missing::missing,
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Give the attempt up and start the members: they may have a quorum. An outage, not a disaster (R1).
    Restart,
    /// An agent accepted a choice under an earlier attempt, which may have been opened: go on with that one.
    Adopt {
        /// That one.
        choice: Choice,
        /// What may be lost, if it is opened only now. The old lineage may have gone on after it was accepted.
        loss: Loss,
    },
    /// A new lineage may begin with this log.
    Choose {
        /// Whose.
        seed: MemberId,
        /// Where it ends.
        log: LogPosition,
        /// What may be lost.
        loss: Loss,
    },
    /// Not yet.
    Wait {
        /// Why.
        missing: Vec<Missing>,
    },
}

/// Something that a host or a person can add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The member's agent answers, with its log.
    Answer(MemberId),
    /// The member's agent answers, its disk lost.
    AnswerLost(MemberId),
    /// The host is confirmed off for good.
    Confirm(MemberId),
}

/// The decision on this evidence.
#[must_use]
pub fn decide(evidence: &Evidence) -> Verdict {
    let candidates = Candidates::of(evidence);
    let missing = missing(&candidates, evidence);
    if let Some(newer) = missing.iter().find(|one| matches!(one, Missing::NewerLineage { .. })) {
        return Verdict::Wait { missing: vec![newer.clone()] };
    }
    if let Some(accepted) = accepted_last(evidence) {
        // Whatever logs there are: the choice was made.
        let missing: Vec<Missing> =
            missing.into_iter().filter(|one| *one != Missing::NoLog).collect();
        return if missing.is_empty() {
            let choice = accepted.choice.clone();
            let loss = match evidence.class(choice.seed) {
                Class::Live(log) if choice.is_image(&log) => bound(&candidates, evidence, &log),
                Class::Live(_)
                | Class::Lost(_)
                | Class::Fenced
                | Class::Amnesiac
                | Class::Unknown(_) => Loss::Unknown,
            };
            Verdict::Adopt { choice, loss }
        } else {
            Verdict::Wait { missing }
        };
    }
    if can_restart(&candidates, evidence) {
        return Verdict::Restart;
    }
    match choose(&candidates, evidence) {
        Some((seed, log)) if missing.is_empty() => {
            let loss = bound(&candidates, evidence, &log);
            Verdict::Choose { seed, log, loss }
        }
        Some(_) | None => Verdict::Wait { missing },
    }
}

/// What was accepted under the highest attempt: it may have been opened.
fn accepted_last(evidence: &Evidence) -> Option<&Accepted> {
    let accepted = evidence.witnesses().filter_map(|(_, word)| word.fence.accepted());
    accepted.max_by_key(|accepted| accepted.attempt)
}

/// Whether the intact logs are a quorum: of every candidate, or of one and it was not tried yet.
fn can_restart(candidates: &Candidates, evidence: &Evidence) -> bool {
    let live = |member: &MemberId| matches!(evidence.class(*member), Class::Live(_));
    let live: BTreeSet<MemberId> = candidates.voters().into_iter().filter(live).collect();
    let mut each = candidates.iter();
    if evidence.restart_failed {
        !candidates.is_empty() && each.all(|candidate| candidate.has_quorum(&live))
    } else {
        each.any(|candidate| candidate.has_quorum(&live))
    }
}

/// The smallest sets of things of which each would end the waiting, if nothing else is found out thereby. At most three
/// things; empty if no such set is known.
#[must_use]
pub fn unblocked_by(evidence: &Evidence) -> Vec<Vec<Step>> {
    let members = Candidates::of(evidence).voters();
    let unknown: Vec<MemberId> = members
        .into_iter()
        .filter(|member| matches!(evidence.class(*member), Class::Unknown(_)))
        .collect();
    let steps: Vec<Step> = unknown
        .iter()
        .flat_map(|member| {
            [Step::AnswerLost(*member), Step::Answer(*member), Step::Confirm(*member)]
        })
        .collect();
    let mut open: Vec<Vec<Step>> = vec![Vec::new()];
    for _ in 0..3 {
        open = open.iter().flat_map(|before| extended(before, &steps)).collect();
        let found: Vec<Vec<Step>> =
            open.iter().filter(|steps| ends_the_waiting(evidence, steps)).cloned().collect();
        if !found.is_empty() {
            return without_weaker(&found);
        }
    }
    Vec::new()
}

/// Each set with one more step of a later member.
fn extended<'a>(before: &'a [Step], steps: &'a [Step]) -> impl Iterator<Item = Vec<Step>> + 'a {
    let last = before.last().map(Step::member);
    let later = steps.iter().filter(move |step| last.is_none_or(|last| step.member() > last));
    later.map(|step| before.iter().copied().chain([*step]).collect())
}

/// Where an answer without a log is enough, an answer with one need not be named.
fn without_weaker(found: &[Vec<Step>]) -> Vec<Vec<Step>> {
    let enough = |set: &Vec<Step>| {
        let with_less: Vec<Vec<Step>> = (0..set.len())
            .filter_map(|at| {
                let mut less = set.clone();
                let step = less.get_mut(at)?;
                let Step::Answer(member) = *step else { return None };
                *step = Step::AnswerLost(member);
                Some(less)
            })
            .collect();
        !with_less.iter().any(|less| found.contains(less))
    };
    found.iter().filter(|set| enough(set)).cloned().collect()
}

fn ends_the_waiting(evidence: &Evidence, steps: &[Step]) -> bool {
    let mut after = evidence.clone();
    for step in steps {
        after.words.insert(step.member(), step.word(evidence));
        if matches!(step, Step::Confirm(_)) && after.listed.is_none() {
            // A confirmation comes with the list of the voters.
            after.listed = newest(evidence);
        }
    }
    !matches!(decide(&after), Verdict::Wait { .. })
}

fn newest(evidence: &Evidence) -> Option<Configuration> {
    Candidates::of(evidence).iter().last().cloned()
}

impl Step {
    /// Whom it is about.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        match self {
            Self::Answer(member) | Self::AnswerLost(member) | Self::Confirm(member) => *member,
        }
    }

    /// The least that would be heard then.
    fn word(self, evidence: &Evidence) -> Word {
        let log = match self {
            Self::Confirm(_) => {
                let by = "a person".to_owned();
                return Word::Confirmed { by, attempt: evidence.attempt };
            }
            Self::AnswerLost(_) => LogState::Empty,
            Self::Answer(_) => LogState::Intact(assumed_log(evidence)),
        };
        let fence = Fence {
            cluster: evidence.cluster,
            lineage: evidence.replaces,
            promised: evidence.attempt,
            hold: Hold::Promised,
        };
        let known = newest(evidence);
        Word::Attested(Box::new(Attestation {
            record: RecordState::Intact,
            fence,
            dir_lineage: None,
            log,
            store: StoreState::Intact,
            applied: known.as_ref().map_or(Index::new(0), |known| known.index),
            configurations: known.into_iter().collect(),
            marks: [].into(),
            reservation: None,
            saw_the_end: true,
        }))
    }
}

/// A log that passes every mark.
fn assumed_log(evidence: &Evidence) -> LogPosition {
    let marks = evidence.words.values().filter_map(|word| match word {
        Word::Attested(word) => Some(word.marks.values()),
        Word::Confirmed { .. } | Word::Silent { .. } => None,
    });
    marks.flatten().fold(LogPosition::default(), |log, mark| {
        let index = mark.commit.max(mark.acknowledged).max(log.last.index);
        let term = mark.term.max(log.term);
        LogPosition { term, commit: log.commit, last: EntryId { term, index } }
    })
}
