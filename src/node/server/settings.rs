//! What the core needs to know of the flags, checked and in its own types.

use std::time::Duration;

/// When the leader compacts of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Never.
    Off,
    /// Keep what changed within this time.
    Periodic(Duration),
    /// Keep this many revisions.
    Revisions(i64),
}

/// Settings of a running member.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--name`.
    pub name: String,
    /// `--advertise-client-urls`.
    pub client_urls: Vec<String>,
    /// `--initial-advertise-peer-urls`.
    pub peer_urls: Vec<String>,
    /// `--heartbeat-interval`.
    pub heartbeat: Duration,
    /// `--election-timeout`.
    pub election: Duration,
    /// `--snapshot-count`: entries between two .snap files.
    pub snapshot_count: u64,
    /// `--strict-reconfig-check`: refuse membership changes that endanger the quorum.
    pub strict_reconfig: bool,
    /// `--experimental-snapshot-catchup-entries`: entries kept in memory for slow followers; up to twice as
    /// many at times.
    pub catch_up_entries: u64,
    /// `--max-snapshots`: .snap files kept.
    pub max_snapshots: usize,
    /// `--max-request-bytes`.
    pub max_request_bytes: usize,
    /// `--max-txn-ops`.
    pub max_txn_ops: usize,
    /// `--quota-backend-bytes`: 0 is the default, negative is off.
    pub quota_backend_bytes: i64,
    /// `--auto-compaction-mode` and `--auto-compaction-retention`.
    pub auto_compaction: AutoCompaction,
    /// `--experimental-corrupt-check-time`; zero is off.
    pub corrupt_check_time: Duration,
    /// `--experimental-compaction-batch-limit`: rows.
    pub compaction_batch_rows: usize,
    /// Options with which a backend received from the leader is opened.
    pub backend: backend::Options,
    /// TLS towards peers with `https` URLs.
    pub peer_tls: Option<tls::ClientTls>,
}

impl Settings {
    /// How long the server waits for its own proposals: 5 s and two election timeouts.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election
    }
}
