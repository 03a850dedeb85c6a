//! What can go wrong with the log, by what the caller may do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A failure of the write-ahead log or of a `.snap` file.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The file system failed. A writer is dead afterwards; open the log anew.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log is damaged in a way that a crash cannot explain. A human must look.
    #[error("{} is corrupt at offset {offset}: {what}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where the bad record begins, in bytes.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// There is no log in the folder.
    #[error("no WAL file in {}", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// A log is there already.
    #[error("there is a WAL in {} already", dir.display())]
    AlreadyExists {
        /// The folder.
        dir: PathBuf,
    },
    /// The wanted snapshot mark is not in the log: another `.snap` has to be chosen.
    #[error("the WAL in {} has no mark of snapshot {index} of term {term}", dir.display())]
    MarkNotFound {
        /// The folder.
        dir: PathBuf,
        /// Wanted index.
        index: u64,
        /// Wanted term.
        term: u64,
    },
    /// Another process (perhaps a real etcd) has the log open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The locked segment.
        path: PathBuf,
    },
    /// An earlier write or sync failed, so nothing is known about the tail any more.
    #[error("the WAL in {} takes nothing after an earlier failure", dir.display())]
    Dead {
        /// The folder.
        dir: PathBuf,
    },
    /// The caller skipped entries: a bug.
    #[error("entry {next} cannot follow entry {last}")]
    NotConsecutive {
        /// Last index in the log or the batch.
        last: u64,
        /// Index of the entry that was to be written.
        next: u64,
    },
}

/// For `map_err`: an IO error with what was tried on which path.
pub(crate) fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WalError {
    move |source| WalError::Io { operation, path: path.to_owned(), source }
}
