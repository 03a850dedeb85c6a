//! Why a member cannot start. Each says what a human may do; the process ends with status 1.

use std::{io, path::PathBuf};

use base::MemberId;
use wal::WalError;

use crate::{config::Refusal, managed::Forbidden};

/// Why a member cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The settings do not fit what was found. Correct them.
    #[error("{0}")]
    Settings(String),
    /// The data dir must not be used by this program, or not like this. A human must look; it was
    /// not touched.
    #[error("{0}")]
    DataDir(String),
    /// Another process uses the data dir. Stop it, or wait.
    #[error("data dir is in use: another process holds the file lock {}", path.display())]
    InUse {
        /// The lock's file.
        path: PathBuf,
    },
    /// Log and store contradict each other, or lack what was acknowledged. A human must look; the
    /// other members have the data.
    #[error("data inconsistency: {0}")]
    Inconsistent(String),
    /// The dir is managed, and its record forbids to run it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// This member was removed from the cluster for good.
    #[error("the member {0} has been permanently removed from the cluster")]
    Removed(MemberId),
    /// The other members could not be asked, or answered what does not fit. May succeed later.
    #[error("{0}")]
    Cluster(String),
    /// The file system failed.
    #[error("cannot {what} {}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log cannot be read or made.
    #[error("cannot {what} the log")]
    Log {
        /// What was tried.
        what: &'static str,
        /// What the log said.
        #[source]
        source: WalError,
    },
    /// The store cannot be opened.
    #[error("failed to recover v3 backend")]
    Store(#[source] backend::BackendError),
    /// The state in store and snapshot cannot be read.
    #[error("failed to recover v3 backend")]
    State(#[source] state::StateError),
}

impl From<Refusal> for StartupError {
    fn from(refusal: Refusal) -> Self {
        Self::Settings(refusal.text)
    }
}

impl From<state::StateError> for StartupError {
    fn from(source: state::StateError) -> Self {
        Self::State(source)
    }
}

impl StartupError {
    /// For `map_err` on file operations.
    pub(super) fn disk(
        what: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { what, path: path.to_owned(), source }
    }

    /// For `map_err` on log operations.
    pub(super) fn log(what: &'static str) -> impl FnOnce(WalError) -> Self {
        move |source| Self::Log { what, source }
    }
}
