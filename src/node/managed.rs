//! A data dir that a manager owns: may it be run, and what is noted in its record before anything is acknowledged. An
//! unmanaged dir has none of this, and pays nothing.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use base::{ClusterId, ErrorChain, Index, MemberId, Term};
use consensus::{Configured, Witness, WitnessError};
use disk::Disk;
use lineage::{Configuration, Fence, HighWater, LogPosition, Refusal, Stale, staleness};
use records::{Charter, Latch, Marker, RESERVED_ENTRIES, Record, RecordError, Reserver};

/// Why a managed dir is not run. It was not touched.
#[derive(Debug, thiserror::Error)]
pub enum Forbidden {
    /// A promise forbids it (R3). Only the manager can lift that.
    #[error(
        "this data dir must not be run: {0}; nothing was touched. The manager decides what becomes of it"
    )]
    Fenced(#[source] Refusal),
    /// The record of the fence is not there: what was promised is unknown.
    #[error(
        "this data dir is managed, but its record {0} holds no fence: what was promised is unknown; nothing was touched"
    )]
    NoFence(String),
    /// What was promised, or whether anything was, is unknown (R13).
    #[error("this data dir is managed, and its record cannot be relied on; nothing was touched")]
    Record(#[from] RecordError),
    /// The record knows of a log that is not here (R2, R17).
    #[error(
        "its record says that this member had a log in {0}, and there is none: the disk was lost, emptied, or is not mounted. It must be removed and added anew"
    )]
    LostLog(String),
    /// The log is another cluster's.
    #[error(
        "the log is of cluster {found}, and its record is of cluster {own}: the disk was exchanged"
    )]
    Foreign {
        /// In the log.
        found: ClusterId,
        /// In the record.
        own: ClusterId,
    },
    /// The log is older than what the member acknowledged (R17).
    #[error(
        "the log is older than its record: {0}. The disk was rolled back or exchanged; this member must be removed and added anew"
    )]
    Stale(#[source] Stale),
}

impl Forbidden {
    /// Its page in docs/errors.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fenced(_) => "E-NODE-02",
            Self::NoFence(_) | Self::Record(_) => "E-NODE-03",
            Self::LostLog(_) | Self::Foreign { .. } | Self::Stale(_) => "E-NODE-04",
        }
    }

    /// Exit status of the node.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Fenced(_) => 8,
            Self::NoFence(_) | Self::Record(_) => 9,
            Self::LostLog(_) | Self::Foreign { .. } | Self::Stale(_) => 10,
        }
    }
}

/// A managed dir that may be run; holds its record.
#[derive(Debug)]
pub struct Managed {
    record: Arc<Record>,
    charter: Charter,
}

impl Managed {
    /// Looks for the marker and asks the record (R3); nothing for an unmanaged dir.
    ///
    /// # Errors
    /// See [`Forbidden`].
    pub fn open(disk: &Arc<dyn Disk>, data_dir: &Path) -> Result<Option<Self>, Forbidden> {
        let Some(marker) = Marker::read(&**disk, data_dir)? else { return Ok(None) };
        let (record, charter) = Record::hold(Arc::clone(disk), &marker)?;
        let fence: Option<Fence> = record.read()?;
        let fence = fence.ok_or_else(|| Forbidden::NoFence(record.dir().display().to_string()))?;
        fence.permits(&marker.identity).map_err(Forbidden::Fenced)?; // R3
        Ok(Some(Self { record: Arc::new(record), charter }))
    }

    /// Whether the member may begin with an empty log.
    ///
    /// # Errors
    /// It had one already.
    pub(crate) fn may_begin(&self, wal_dir: &Path) -> Result<(), Forbidden> {
        match self.charter.bootstrap {
            Latch::Prepared => Ok(()),
            Latch::Formed => Err(Forbidden::LostLog(wal_dir.display().to_string())), // R2
        }
    }

    /// Compares a log with the member's own mark and with what its peers keep of it (R17).
    ///
    /// # Errors
    /// It is older, or another cluster's.
    pub(crate) fn compare(
        &self,
        log: &LogPosition,
        (member, cluster): (MemberId, ClusterId),
    ) -> Result<(), Forbidden> {
        if let Some(own) = self.charter.identity.cluster_id.filter(|own| *own != cluster) {
            return Err(Forbidden::Foreign { found: cluster, own });
        }
        let own: Option<HighWater> = self.record.read()?;
        let peers: Option<BTreeMap<MemberId, HighWater>> = self.record.read()?;
        let told = peers.as_ref().and_then(|peers| peers.get(&member));
        staleness(log, own.iter().chain(told)).map_or(Ok(()), |stale| Err(Forbidden::Stale(stale)))
    }

    /// There is a log now: from here on an empty dir is a lost one.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(crate) fn formed(&mut self) -> Result<(), Forbidden> {
        if self.charter.bootstrap != Latch::Formed {
            self.charter.bootstrap = Latch::Formed;
            self.record.write(&self.charter)?;
        }
        Ok(())
    }

    /// What raft asks before it acknowledges anything.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(crate) fn keeper(&self) -> Result<Keeper, Forbidden> {
        let record = Arc::clone(&self.record);
        let reserver = Reserver::start(Arc::clone(&record), RESERVED_ENTRIES, true)?;
        Ok(Keeper { record, reserver })
    }

    /// The record, for the marks.
    pub(crate) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }
}

/// Notes configurations and reservations in the record.
#[derive(Debug)]
pub struct Keeper {
    record: Arc<Record>,
    reserver: Reserver,
}

impl Witness for Keeper {
    fn reserve(&mut self, term: Term, index: Index) -> Result<(), WitnessError> {
        self.reserver.reserve(term, index).map_err(WitnessError)
    }

    fn configurations(&mut self, all: &[Configured]) -> Result<(), WitnessError> {
        let ids = |ids: &[u64]| ids.iter().copied().map(MemberId::new).collect();
        let noted: Vec<Configuration> = all
            .iter()
            .map(|one| Configuration {
                index: one.index,
                term: one.term,
                voters: ids(&one.members.voters),
                learners: ids(&one.members.learners),
            })
            .collect();
        self.record.write(&noted).map_err(|error| WitnessError(ErrorChain(&error).to_string()))
    }
}

#[cfg(test)]
mod tests;
