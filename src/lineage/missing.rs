//! What still forbids a recovery, in words a person can act on.

use base::{Epoch, MemberId};
use serde::{Deserialize, Serialize};

use crate::{Candidates, Class, Evidence};
use crate::{Configuration, barrier};

/// One thing that forbids it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// There is a newer lineage already.
    #[error("lineage {epoch} exists, and it is newer than the one to be replaced")]
    NewerLineage {
        /// Its epoch.
        epoch: Epoch,
    },
    /// Nobody told a configuration.
    #[error("no agent could tell who votes")]
    NoConfiguration,
    /// The blocking test fails.
    #[error("voters that may still run could form a quorum: {}", list(free))]
    NotBlocked {
        /// The candidate for which it fails.
        configuration: Configuration,
        /// Its voters that may be running.
        free: Vec<MemberId>,
    },
    /// Nobody can vouch that the configuration is the newest.
    #[error("the newest voter set may be unknown: nobody who remembers sits in every quorum")]
    NotWitnessed {
        /// The candidate for which it fails.
        configuration: Configuration,
    },
    /// Too few agents.
    #[error("{have} of {voters} voters' agents can decide, {need} must")]
    NoAuthority {
        /// The candidate for which it fails.
        configuration: Configuration,
        /// Agents with a record that counts.
        have: usize,
        /// Its majority.
        need: usize,
        /// Its voters.
        voters: usize,
    },
    /// There is no log to begin with.
    #[error("no voter's log is intact; a verified backup could take its place")]
    NoLog,
}

fn list(members: &[MemberId]) -> String {
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Everything that forbids a choice. Empty: it may be made.
pub(crate) fn missing(candidates: &Candidates, evidence: &Evidence) -> Vec<Missing> {
    let mut all: Vec<Missing> = newer_lineage(evidence).into_iter().collect();
    if candidates.is_empty() {
        all.push(Missing::NoConfiguration);
    }
    all.extend(candidates.iter().filter_map(|candidate| forbids(candidate, evidence)));
    if !candidates.is_empty() && crate::choose(candidates, evidence).is_none() {
        all.push(Missing::NoLog);
    }
    all
}

fn forbids(candidate: &Configuration, evidence: &Evidence) -> Option<Missing> {
    let configuration = candidate.clone();
    if !barrier::is_blocked(candidate, evidence) {
        let voters = candidate.voters.iter().copied();
        let free = voters.filter(|voter| !evidence.class(*voter).is_barred()).collect();
        return Some(Missing::NotBlocked { configuration, free });
    }
    if !barrier::is_witnessed(candidate, evidence) && evidence.listed.is_none() {
        return Some(Missing::NotWitnessed { configuration });
    }
    let agents = barrier::trusted(evidence);
    if barrier::authority(candidate, evidence, &agents).is_some() {
        return None;
    }
    let (have, need, voters) =
        (candidate.count(&agents), candidate.quorum(), candidate.voters.len());
    Some(Missing::NoAuthority { configuration, have, need, voters })
}

/// A dir or a fence of a lineage above the one to be replaced.
fn newer_lineage(evidence: &Evidence) -> Option<Missing> {
    let words = evidence.words.values().filter_map(|word| match word {
        crate::Word::Attested(word) => Some(word),
        crate::Word::Confirmed { .. } | crate::Word::Silent { .. } => None,
    });
    let seen = words.flat_map(|word| [Some(word.fence.lineage), word.dir_lineage]).flatten();
    let newest = seen.max().filter(|newest| *newest > evidence.replaces)?;
    Some(Missing::NewerLineage { epoch: newest })
}

/// The class that a person sees beside the table.
impl Evidence {
    /// Members that may be running.
    #[must_use]
    pub fn unknown(&self) -> Vec<MemberId> {
        let classes = self.classes().into_iter();
        classes.filter(|(_, class)| matches!(class, Class::Unknown(_))).map(|(m, _)| m).collect()
    }
}
