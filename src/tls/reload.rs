//! Something made of files, made again when one of them changes. etcd reads certificates at each handshake; here the
//! files' stamps are looked at, so bundles of authorities are taken as well, and an unusable new file changes nothing.

use std::{
    fmt,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use base::ErrorChain;
use parking_lot::Mutex;

use crate::error::TlsError;

type Build<T> = dyn Fn() -> Result<T, TlsError> + Send + Sync;

/// A value and the files that it was made of.
pub(crate) struct Reloaded<T> {
    files: Vec<PathBuf>,
    build: Box<Build<T>>,
    /// Of the files as they were last tried.
    tried: Mutex<Vec<Stamp>>,
    current: ArcSwap<T>,
}

/// What changes when a file is written or replaced. Symbolic links are followed, as orchestrators swap them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Absent,
    Found { device: u64, inode: u64, bytes: u64, modified: (i64, i64), changed: (i64, i64) },
}

impl Stamp {
    fn of(file: &Path) -> Self {
        let of = |found: &Metadata| Self::Found {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        };
        std::fs::metadata(file).as_ref().map_or(Self::Absent, of)
    }
}

impl<T> Reloaded<T> {
    /// Makes it for the first time.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        build: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let first = build()?;
        Ok(Self {
            files,
            build: Box::new(build),
            tried: Mutex::new(stamps),
            current: ArcSwap::from_pointee(first),
        })
    }

    /// The value of the files as they are; that of before where they cannot be used.
    pub(crate) fn current(&self) -> Arc<T> {
        // Stamps first: what is written while the files are read changes them again.
        let stamps = stamps(&self.files);
        let mut tried = self.tried.lock();
        if *tried != stamps {
            *tried = stamps;
            let files = || {
                let names: Vec<_> =
                    self.files.iter().map(|file| file.display().to_string()).collect();
                names.join(",")
            };
            match (self.build)() {
                Ok(value) => {
                    self.current.store(Arc::new(value));
                    tracing::info!(files = files(), "TLS files changed and are in use");
                }
                Err(error) => {
                    tracing::warn!(files = files(), error = %ErrorChain(&error), "TLS files changed and cannot be used; the old ones stay in use");
                }
            }
        }
        self.current.load_full()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("files", &self.files).finish_non_exhaustive()
    }
}
