//! How a member runs, and what it finds on its disk at start.

use std::{sync::Arc, time::Duration};

use base::{Clock, Index, MemberId};
use wal::{Wal, snap::SnapDir};
use wire::raftpb;

/// How a member runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// This member; not zero.
    pub id: MemberId,
    /// Length of a tick (etcd's heartbeat interval).
    pub tick: Duration,
    /// Ticks without a leader before an election; each time a random number up to its double.
    pub election_ticks: usize,
    /// Ticks between heartbeats of a leader (etcd: 1).
    pub heartbeat_ticks: usize,
    /// Ask before an election whether it could be won, so that a returning member disturbs nobody.
    pub pre_vote: bool,
    /// A single voter elects itself at once. (With more voters see [`Raft::advance_ticks`].)
    ///
    /// [`Raft::advance_ticks`]: crate::Raft::advance_ticks
    pub fast_forward_election: bool,
    /// Log segments kept when they are needed no more; 0 keeps all.
    pub max_wals: usize,
    /// `.snap` files kept; 0 keeps all.
    pub max_snaps: usize,
    /// Paces the ticks.
    pub clock: Arc<dyn Clock>,
}

/// What a member finds on its disk (or makes there) before it starts.
#[derive(Debug)]
pub struct Durable {
    /// Opened for appending, behind everything in `entries`.
    pub wal: Wal,
    /// Where a leader's snapshots are saved.
    pub snaps: SnapDir,
    /// Of the newest `.snap`; all zero without one. `conf_state` is the configuration at `applied`.
    pub snapshot: raftpb::SnapshotMetadata,
    /// Newest in the log; zero if there is none.
    pub hard_state: raftpb::HardState,
    /// The log after the snapshot, in order. Entries up to the snapshot may be among them.
    pub entries: Vec<raftpb::Entry>,
    /// Entries up to this one are not handed to apply again; at least the snapshot's index. A host
    /// that rebuilds its membership from the snapshot says the snapshot's index here.
    pub applied: Index,
}
