//! What can go wrong in the backend, and what that leaves to the caller.

use std::{io, path::PathBuf, sync::Arc};

/// An error of the backend. After `Dead` the process must stop: what was written since the last
/// successful flush is lost, and comes back from the raft log at the next start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// The file could not be opened or made; nothing was changed. A human must look.
    #[error("open backend file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the layer below said.
        source: Arc<redb::Error>,
    },
    /// A row could not be read. The same call may succeed later.
    #[error("read from the backend")]
    Read(#[source] Arc<redb::Error>),
    /// The copy to a smaller file failed; the backend goes on with the file it had.
    #[error("defragment the backend")]
    Defragment(#[source] Arc<redb::Error>),
    /// A commit failed, now or earlier; the handle is dead and the node must stop.
    #[error("the backend is dead: {reason}")]
    Dead {
        /// What failed first.
        reason: Arc<str>,
    },
    /// [`crate::Backend::close`] was called.
    #[error("the backend is closed")]
    Closed,
}

impl BackendError {
    pub(crate) fn read(source: impl Into<redb::Error>) -> Self {
        Self::Read(Arc::new(source.into()))
    }
}

/// An error of an operation on the file as redb's own type, for [`BackendError`]'s sources.
pub(crate) fn from_io(error: io::Error) -> redb::Error {
    redb::Error::from(error)
}
