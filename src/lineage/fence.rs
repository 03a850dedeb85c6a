//! The fence of one host: what its agent promised, and so what its node may not run.
//!
//! ```text
//!            promise(e)            accept(e, choice)
//!   Free ───────────────> Promised ────────────────> Accepted ──┐ promise(e' > e): keeps what was accepted
//!    ^                       │                        │   ^─────┘
//!    ├────── abort(e) ───────┘                        │
//!    └────── abort(e) if chosen under e, open(choice) ┘
//! ```
//!
//! The record stands at a fixed path of the host outside the data dir, is fsynced before the promise is told, and is read
//! by the node at open (R3). `promised` only grows: what was promised once is never promised to another attempt.

use base::{Epoch, MemberId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EntryId, Identity, LogPosition};

/// One try at a recovery. Epochs are numbers that two control groups could both take; with its author an attempt is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Above every epoch that any agent asked has promised.
    pub epoch: Epoch,
    /// The control group that makes it.
    pub by: Uuid,
}

/// The fence record of one member's host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// The cluster this host serves.
    pub cluster: Uuid,
    /// The lineage in force, as far as this host knows. Its node runs no other.
    pub lineage: Epoch,
    /// The attempt promised last. Its epoch never goes back.
    pub promised: Attempt,
    /// Whether the node may run.
    pub hold: Hold,
}

/// What holds the node down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Nothing: the lineage in force may run.
    Free,
    /// The promise of `promised`: stopped, nothing accepted.
    Promised,
    /// It accepted a choice: stopped until that attempt ends.
    Accepted(Accepted),
}

/// A choice, and the attempt under which it was accepted last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The attempt.
    pub attempt: Attempt,
    /// What was accepted.
    pub choice: Choice,
}

/// What a recovery decides: the new lineage, and whose log it begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Epoch and token are new (R9). A later attempt that adopts the choice keeps both.
    pub lineage: Identity,
    /// The voter whose log is the image.
    pub seed: MemberId,
    /// Where that log ended when it was chosen. What is built must end there: the disk may have been lost or put back since.
    pub image_end: EntryId,
}

/// FENCE: the order to stop a lineage and promise an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FenceOrder {
    /// The cluster.
    pub cluster: Uuid,
    /// The lineage to be replaced.
    pub replaces: Epoch,
    /// The attempt to be promised.
    pub attempt: Attempt,
}

/// Why an agent does not follow an order, or a node does not run a dir.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Another cluster's.
    #[error("it belongs to cluster {found}, and this host serves {own}")]
    OtherCluster {
        /// Of the order or the dir.
        found: Uuid,
        /// Of the record.
        own: Uuid,
    },
    /// Another lineage's.
    #[error("it is of lineage {found}, and lineage {own} is in force here")]
    OtherLineage {
        /// Of the order or the dir.
        found: Epoch,
        /// Of the record.
        own: Epoch,
    },
    /// An epoch that was promised away, or given up.
    #[error("epoch {found} is spent: {promised} was promised")]
    Spent {
        /// Of the order.
        found: Epoch,
        /// Of the record.
        promised: Epoch,
    },
    /// The node is held down.
    #[error("epoch {promised} was promised, and is neither opened nor given up")]
    Fenced {
        /// Of the record.
        promised: Epoch,
    },
    /// The attempt carries a choice that was not made under it.
    #[error("a choice of epoch {found} was accepted before")]
    OtherChoice {
        /// Of the choice accepted before.
        found: Epoch,
    },
}

impl Choice {
    /// Whether this log, read again with the lock held, is still the image that was chosen.
    #[must_use]
    pub fn is_image(&self, log: &LogPosition) -> bool {
        log.last == self.image_end
    }
}

impl Fence {
    /// The record of a host that has promised nothing.
    #[must_use]
    pub const fn new(cluster: Uuid, lineage: Epoch) -> Self {
        let promised = Attempt { epoch: lineage, by: Uuid::nil() };
        Self { cluster, lineage, promised, hold: Hold::Free }
    }

    /// Whether the node may open a dir of this identity. Asked by the agent and by the node itself (R3).
    ///
    /// # Errors
    /// Why not.
    pub fn permits(&self, dir: &Identity) -> Result<(), Refusal> {
        self.is_own(dir.cluster)?;
        if dir.epoch != self.lineage {
            return Err(Refusal::OtherLineage { found: dir.epoch, own: self.lineage });
        }
        match self.hold {
            Hold::Free => Ok(()),
            Hold::Promised | Hold::Accepted(_) => {
                Err(Refusal::Fenced { promised: self.promised.epoch })
            }
        }
    }

    /// The record once the order is followed. To be made durable after the node has ended, before the promise is told.
    /// Repeating an order changes nothing. What was accepted under an earlier attempt is kept, and must be told.
    ///
    /// # Errors
    /// Why the order is not followed.
    pub fn promise(&self, order: &FenceOrder) -> Result<Self, Refusal> {
        self.is_own(order.cluster)?;
        if order.replaces != self.lineage {
            return Err(Refusal::OtherLineage { found: order.replaces, own: self.lineage });
        }
        if order.attempt == self.promised && self.hold != Hold::Free {
            return Ok(self.clone());
        }
        if order.attempt.epoch <= self.promised.epoch {
            return Err(self.spent(order.attempt));
        }
        let hold = match &self.hold {
            Hold::Free | Hold::Promised => Hold::Promised,
            Hold::Accepted(accepted) => Hold::Accepted(accepted.clone()),
        };
        Ok(Self { promised: order.attempt, hold, ..self.clone() })
    }

    /// The record once a choice is accepted under the attempt that was promised. To be made durable before it is told.
    ///
    /// # Errors
    /// If another attempt was promised since, or this one was given up: then its evidence may be out of date.
    pub fn accept(&self, attempt: Attempt, choice: &Choice) -> Result<Self, Refusal> {
        self.is_own(choice.lineage.cluster)?;
        if attempt != self.promised || self.hold == Hold::Free {
            return Err(self.spent(attempt));
        }
        if let Hold::Accepted(before) = &self.hold
            && before.attempt == attempt
            && before.choice != *choice
        {
            return Err(Refusal::OtherChoice { found: before.choice.lineage.epoch });
        }
        let accepted = Accepted { attempt, choice: choice.clone() };
        Ok(Self { hold: Hold::Accepted(accepted), ..self.clone() })
    }

    /// The record once an attempt is given up for good (a committed ABORT): its lineage may run again. The epoch stays spent.
    ///
    /// What was accepted is let go only if it was chosen under this very attempt. A choice that the attempt had adopted may
    /// have been opened by the one that made it (docs/decisions/0008-holes-the-model-found.md).
    #[must_use]
    pub fn abort(&self, attempt: Attempt) -> Self {
        let ends = match &self.hold {
            Hold::Free => false,
            Hold::Promised => self.promised == attempt,
            Hold::Accepted(accepted) => {
                let chosen_here = accepted.choice.lineage.epoch == attempt.epoch;
                self.promised == attempt && accepted.attempt == attempt && chosen_here
            }
        };
        let hold = if ends { Hold::Free } else { self.hold.clone() };
        Self { hold, ..self.clone() }
    }

    /// The record once a choice was opened (a committed OPEN). A dir of the old lineage never runs here again (R3).
    #[must_use]
    pub fn open(&self, choice: &Choice) -> Self {
        if choice.lineage.cluster != self.cluster || choice.lineage.epoch <= self.lineage {
            return self.clone();
        }
        let lineage = choice.lineage.epoch;
        let mut promised = self.promised;
        promised.epoch = promised.epoch.max(lineage);
        Self { cluster: self.cluster, lineage, promised, hold: Hold::Free }
    }

    /// The record once a bootstrap that formed nothing is given up for another, under a higher epoch: nothing of the
    /// earlier one runs here any more (R2, R3, R9). Repeating it changes nothing.
    ///
    /// # Errors
    /// If that epoch is spent, or a recovery was promised.
    pub fn succeed(&self, cluster: Uuid, lineage: Epoch) -> Result<Self, Refusal> {
        self.is_own(cluster)?;
        if self.hold != Hold::Free {
            return Err(Refusal::Fenced { promised: self.promised.epoch });
        }
        if lineage == self.lineage {
            return Ok(self.clone());
        }
        if lineage <= self.promised.epoch {
            return Err(Refusal::Spent { found: lineage, promised: self.promised.epoch });
        }
        let promised = Attempt { epoch: lineage, by: Uuid::nil() };
        Ok(Self { lineage, promised, ..self.clone() })
    }

    /// What was accepted, if anything: it must be told with every promise.
    #[must_use]
    pub const fn accepted(&self) -> Option<&Accepted> {
        match &self.hold {
            Hold::Accepted(accepted) => Some(accepted),
            Hold::Free | Hold::Promised => None,
        }
    }

    fn spent(&self, attempt: Attempt) -> Refusal {
        Refusal::Spent { found: attempt.epoch, promised: self.promised.epoch }
    }

    fn is_own(&self, cluster: Uuid) -> Result<(), Refusal> {
        if cluster == self.cluster {
            Ok(())
        } else {
            Err(Refusal::OtherCluster { found: cluster, own: self.cluster })
        }
    }
}
