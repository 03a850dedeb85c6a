//! K: every configuration that may be in force, as far as the evidence knows. All tests must hold for each of them.
//!
//! From one configuration to the next leads one entry, committed by a quorum of the former. If the witnesses block the
//! former, one of them acknowledged that entry, and told the configuration: its node recorded it before acknowledging.
//! So a configuration that no witness knows is not in force, unless some quorum avoids all witnesses (`unwitnessed`).

use std::collections::BTreeSet;

use base::MemberId;
use serde::{Deserialize, Serialize};

use crate::{Class, Configuration, Evidence};

/// The candidate configurations, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Candidates(BTreeSet<Configuration>);

impl Candidates {
    /// From the oldest configuration that a log which counts has applied last, to the newest that any witness knows,
    /// committed or not.
    #[must_use]
    pub fn of(evidence: &Evidence) -> Self {
        let mut known: BTreeSet<&Configuration> = evidence.listed.iter().collect();
        let mut oldest = None;
        for (member, word) in evidence.witnesses() {
            known.extend(&word.configurations);
            if !matches!(evidence.class(member), Class::Live(_)) {
                continue;
            }
            let applied = word.configurations.iter().map(|known| known.index);
            let applied = applied.filter(|index| *index <= word.applied).max();
            // A log whose configuration is not known excludes none.
            let applied = applied.unwrap_or_default();
            oldest = Some(oldest.map_or(applied, |oldest: base::Index| oldest.min(applied)));
        }
        let oldest = oldest.unwrap_or_default();
        Self(known.into_iter().filter(|known| known.index >= oldest).cloned().collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Configuration> {
        self.0.iter()
    }

    /// Whether nothing is known: then nothing can be decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whoever votes in any of them.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<MemberId> {
        self.0.iter().flat_map(|candidate| candidate.voters.iter().copied()).collect()
    }
}

impl FromIterator<Configuration> for Candidates {
    fn from_iter<T: IntoIterator<Item = Configuration>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}
