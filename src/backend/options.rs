//! What can be set for a backend, and what it tells of its size.

use std::{fmt, sync::Arc, time::Duration};

use base::{Clock, SystemClock};

/// Settings of a backend.
#[derive(Clone)]
pub struct Options {
    /// Longest time a write waits in memory before its commit starts.
    pub flush_interval: Duration,
    /// A commit starts at once when so many rows wait.
    pub flush_rows: usize,
    /// A commit starts at once when so many bytes wait.
    pub flush_bytes: usize,
    /// `write` blocks while so many bytes wait (those of a running commit not counted).
    pub buffer_bytes_max: usize,
    /// Memory that redb may use for pages.
    pub cache_bytes: usize,
    /// Whether commits reach the disk before they count; `false` only for `--unsafe-no-fsync`.
    pub sync: bool,
    /// Measures the commits.
    pub clock: Arc<dyn Clock>,
    /// Told how long each commit took. Called on the backend's thread.
    pub on_commit: Option<CommitHook>,
    /// Told why the handle is dead, once. Called on the backend's thread: it must not call back
    /// into the backend.
    pub on_failure: Option<FailureHook>,
}

/// Told the duration of each commit.
pub type CommitHook = Arc<dyn Fn(Duration) + Send + Sync>;
/// Told why a backend is dead.
pub type FailureHook = Arc<dyn Fn(&str) + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(100),
            flush_rows: 10_000,
            flush_bytes: 2 << 20,
            buffer_bytes_max: 8 << 20,
            cache_bytes: 16 << 20,
            sync: true,
            clock: Arc::new(SystemClock),
            on_commit: None,
            on_failure: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("flush_interval", &self.flush_interval)
            .field("flush_rows", &self.flush_rows)
            .field("flush_bytes", &self.flush_bytes)
            .field("buffer_bytes_max", &self.buffer_bytes_max)
            .field("cache_bytes", &self.cache_bytes)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// Size of the backend file as of the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Disk space that the file takes. (redb grows its file in doublings; the unwritten rest is a
    /// hole that takes no space and does not count.)
    pub total_bytes: u64,
    /// Bytes of the pages that the rows of all buckets need: about what `total_bytes` would be
    /// after [`crate::Backend::defragment`]. An estimate from the rows' lengths.
    pub in_use_bytes: u64,
}
