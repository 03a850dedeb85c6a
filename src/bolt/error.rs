//! What can go wrong with a bbolt file.

use std::{io, path::PathBuf};

/// An error of reading or writing a bbolt file.
#[derive(Debug, thiserror::Error)]
pub enum BoltError {
    /// The file could not be read. Retry, or see to the disk.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the layer below said.
        source: io::Error,
    },
    /// The file could not be written; what is there of it is useless.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the layer below said.
        source: io::Error,
    },
    /// The content is no bbolt file of etcd's, or is damaged: use another copy.
    #[error("{} is damaged or no etcd database: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit, and where.
        what: String,
    },
    /// The caller's rows or buckets were not in ascending order, or a key was empty or too long.
    /// A bug of the caller.
    #[error("{what} cannot follow in a file written in order")]
    Order {
        /// The offending bucket or key, printable.
        what: String,
    },
}
