//! Why a record is of no use, and what that leaves to the caller.

use std::{io, path::PathBuf};

use disk::CheckedError;
use uuid::Uuid;

/// A failure of a record. None of them means that there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is there and cannot be relied on: unknown, never absent (R13). A human or the control group must say.
    #[error("a record cannot be read")]
    Unreadable(#[from] CheckedError),
    /// It can be read, but is not of this format.
    #[error("{} is not of this format", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// It could not be written. Nothing may be acknowledged any more that would need it.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A marker names a record that is not there: its disk is lost or not mounted, or another host's dir was attached.
    #[error("the record {} is missing: its disk is lost or not mounted", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The record was made for another data dir.
    #[error("the record {} is claimed by another data dir ({claimed_by}), not by {found}", path.display())]
    Claimed {
        /// The folder.
        path: PathBuf,
        /// In the record.
        claimed_by: Uuid,
        /// In the data dir.
        found: Uuid,
    },
    /// A process uses it: a node on this dir, or on a copy of it.
    #[error("the record {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A record is there, and this is not its data dir: it knows of a log, or of another lineage.
    #[error("the record {} is of another data dir or lineage, or knows of a log that is not there", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The fence does not allow it: the epoch is over, or a recovery was promised.
    #[error("the record does not allow it")]
    Refused(#[source] lineage::Refusal),
    /// The charter is there and the fence is not: what was promised is unknown (R13).
    #[error("the record {} has lost its fence: what was promised is unknown", path.display())]
    NoFence {
        /// The folder.
        path: PathBuf,
    },
    /// The node's name cannot be the name of a folder.
    #[error("{0:?} cannot be the name of a record")]
    Name(String),
}
