//! What is known of each voter, and the class that follows. Silence is UNKNOWN, never dead (R1, R8).

use std::{collections::BTreeMap, fmt};

use base::{Epoch, Index, MemberId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Attempt, Configuration, Fence, HighWater, Hold, LogPosition, Reservation, Stale, staleness,
};

/// Everything one attempt has gathered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The cluster.
    pub cluster: Uuid,
    /// The lineage that would be replaced.
    pub replaces: Epoch,
    /// The attempt under which the promises were made.
    pub attempt: Attempt,
    /// A word from or about each member. A member without one is silent.
    pub words: BTreeMap<MemberId, Word>,
    /// The newest voter set, told from outside (a person's statement, the manager's own record of each change), no older
    /// than the last of the confirmations. Needed only where the witnesses do not suffice.
    pub listed: Option<Configuration>,
    /// A restart of these very members was tried, and no leader came.
    pub restart_failed: bool,
}

/// What was heard from or about one member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Its agent followed the FENCE order, or says why not.
    Attested(Box<Attestation>),
    /// Its host is off and boots only wiped: reported by a fence hook, or promised by a person under this attempt.
    Confirmed {
        /// Who says so.
        by: String,
        /// The attempt it was said for: it does not count for another.
        attempt: Attempt,
    },
    /// Nothing was heard.
    Silent {
        /// What was tried.
        reason: String,
    },
}

/// What an agent tells after its node has ended, with the lock of the data dir held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The state of its own record.
    pub record: RecordState,
    /// The fence as it is now durable. Without the promise of this attempt the word counts nothing.
    pub fence: Fence,
    /// Epoch of the lineage that the data dir is of, if it holds one.
    pub dir_lineage: Option<Epoch>,
    /// The log.
    pub log: LogState,
    /// The backend. Broken under an intact log it is rebuilt from a peer's and the log: no loss.
    pub store: StoreState,
    /// The index it has applied.
    pub applied: Index,
    /// Every configuration its log or its record knows, uncommitted ones too.
    pub configurations: Vec<Configuration>,
    /// Its own mark and those it keeps of its peers.
    pub marks: BTreeMap<MemberId, HighWater>,
    /// How far its node may have acknowledged. Only the owner's: a copy at a peer may lag behind what was acknowledged.
    pub reservation: Option<Reservation>,
    /// The agent saw the node end and read the log since, with no boot of the host between: what was acknowledged is there.
    pub saw_the_end: bool,
}

/// The agent's own record: fence, configurations, marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordState {
    /// It can be read, and is the one last written.
    Intact,
    /// It can be read, but may be an older one: its host booted and nobody who would know was asked yet (R17).
    Unproven,
    /// There is none.
    Absent,
    /// It is there and cannot be read (R13).
    Unreadable,
}

/// A log, judged apart from the state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogState {
    /// Every record passed its check.
    Intact(LogPosition),
    /// There is nothing.
    Empty,
    /// A check failed.
    Corrupt(String),
    /// It is of another cluster, lineage or member.
    Foreign(String),
    /// It was not read.
    Unread(String),
}

/// A backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreState {
    /// It passed its check.
    Intact,
    /// It is missing or failed it.
    Lost,
}

/// What a voter is to the recovery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Fenced with an intact log.
    Live(LogPosition),
    /// Fenced with its record, but without a log that counts.
    Lost(LostBecause),
    /// Off, and boots only wiped.
    Fenced,
    /// Its agent stopped the node, but remembers nothing: it bars the old lineage, and counts nowhere else.
    Amnesiac,
    /// All else: it might be running.
    Unknown(String),
}

/// Why a log does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostBecause {
    /// There is none.
    Empty,
    /// A check failed.
    Corrupt(String),
    /// It is older than what was acknowledged (R17).
    Stale(Stale),
    /// It is another's.
    Foreign(String),
}

impl Evidence {
    /// Every member a word was heard of, with its class.
    pub fn classes(&self) -> BTreeMap<MemberId, Class> {
        self.words.keys().map(|member| (*member, self.class(*member))).collect()
    }

    /// The class of a member.
    #[must_use]
    pub fn class(&self, member: MemberId) -> Class {
        match self.words.get(&member) {
            None => Class::Unknown("nobody was asked".to_owned()),
            Some(Word::Silent { reason }) => Class::Unknown(reason.clone()),
            Some(Word::Confirmed { attempt, .. }) if *attempt == self.attempt => Class::Fenced,
            Some(Word::Confirmed { attempt, .. }) => Class::Unknown(format!(
                "it was confirmed off for attempt {}, not for this",
                attempt.epoch
            )),
            Some(Word::Attested(attestation)) => self.class_attested(member, attestation),
        }
    }

    fn class_attested(&self, member: MemberId, word: &Attestation) -> Class {
        if word.record == RecordState::Unreadable {
            return Class::Unknown("its agent cannot read its own record".to_owned()); // R13
        }
        let fence = &word.fence;
        let promised = fence.cluster == self.cluster
            && fence.lineage == self.replaces
            && fence.promised == self.attempt
            && fence.hold != Hold::Free;
        if !promised {
            return Class::Unknown("its agent has not promised this attempt".to_owned());
        }
        if word.record == RecordState::Absent {
            return Class::Amnesiac;
        }
        match &word.log {
            LogState::Unread(reason) => Class::Unknown(reason.clone()),
            LogState::Empty => Class::Lost(LostBecause::Empty),
            LogState::Corrupt(reason) => Class::Lost(LostBecause::Corrupt(reason.clone())), // R7
            LogState::Foreign(reason) => Class::Lost(LostBecause::Foreign(reason.clone())),
            LogState::Intact(log) => match staleness(log, self.marks_of(member)) {
                Some(stale) => Class::Lost(LostBecause::Stale(stale)), // R17
                None => Class::Live(*log),
            },
        }
    }

    /// The attestations of all agents that promised this attempt and kept their record.
    pub fn witnesses(&self) -> impl Iterator<Item = (MemberId, &Attestation)> {
        self.words.iter().filter_map(|(member, word)| {
            let Word::Attested(attestation) = word else { return None };
            match self.class(*member) {
                Class::Live(_) | Class::Lost(_) => Some((*member, attestation.as_ref())),
                Class::Fenced | Class::Amnesiac | Class::Unknown(_) => None,
            }
        })
    }

    /// Every mark of a member that any agent has.
    pub fn marks_of(&self, member: MemberId) -> impl Iterator<Item = &HighWater> {
        self.words.values().filter_map(move |word| match word {
            Word::Attested(attestation) => attestation.marks.get(&member),
            Word::Confirmed { .. } | Word::Silent { .. } => None,
        })
    }

    /// How far a member may have acknowledged: by its own record, if that is surely the last one written.
    #[must_use]
    pub fn reservation_of(&self, member: MemberId) -> Option<Reservation> {
        match self.words.get(&member) {
            Some(Word::Attested(word)) if word.record == RecordState::Intact => word.reservation,
            Some(Word::Attested(_) | Word::Confirmed { .. } | Word::Silent { .. }) | None => None,
        }
    }
}

impl Class {
    /// Whether the old lineage cannot count on this voter.
    #[must_use]
    pub const fn is_barred(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(log) => {
                write!(f, "LIVE: log ends at term {}, index {}", log.last.term, log.last.index)
            }
            Self::Lost(LostBecause::Empty) => f.write_str("LOST: its data dir is empty"),
            Self::Lost(LostBecause::Corrupt(reason) | LostBecause::Foreign(reason)) => {
                write!(f, "LOST: {reason}")
            }
            Self::Lost(LostBecause::Stale(stale)) => write!(f, "LOST: {stale}"),
            Self::Fenced => f.write_str("FENCED: its host is off and boots only wiped"),
            Self::Amnesiac => f.write_str("AMNESIAC: its agent has no record of what it promised"),
            Self::Unknown(reason) => write!(f, "UNKNOWN: {reason}"),
        }
    }
}
