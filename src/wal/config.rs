//! How a log is written.

use std::{fmt, sync::Arc, time::Duration};

use base::{Clock, SystemClock, limits};

/// Settings of a writer.
#[derive(Clone)]
pub struct WalConfig {
    /// A segment is cut once it holds this many bytes.
    pub segment_bytes: u64,
    /// False only for `--unsafe-no-fsync`: a power cut may then lose or damage the log.
    pub sync: bool,
    /// Whether the next segment is zero-filled by a thread. Without, the writer does it in
    /// between, at the same moments on each run: for simulations.
    pub background: bool,
    /// Told how long each fdatasync of the log took.
    pub on_sync: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    /// Measures the syncs.
    pub clock: Arc<dyn Clock>,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: limits::WAL_SEGMENT_BYTES,
            sync: true,
            background: true,
            on_sync: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for WalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalConfig")
            .field("segment_bytes", &self.segment_bytes)
            .field("sync", &self.sync)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}
