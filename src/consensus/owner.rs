//! The owner of raft: everything that changes, and the steps that change it, one file for each.
//!
//! Without its thread (`owner/run.rs`) it is a plain state machine: the tests drive it by hand.

mod changes;
mod inputs;
mod promise;
mod proposals;
mod ready;
mod report;
mod run;
mod snapshots;
mod start;

use std::sync::Arc;

use crossbeam_channel::Receiver;
use raft::RawNode;
pub(crate) use run::start;
#[cfg(test)]
pub(crate) use start::Wires;
use tokio::sync::watch;
use wal::{Wal, snap::SnapDir};
use wire::raftpb::{self, HardState};

use self::{changes::Farewell, proposals::Proposals, report::Leadership};
use crate::{
    ConsensusError, Status,
    log::MemoryLog,
    shared::{ChangeApplied, Shared},
};

/// Everything that the owner thread owns.
pub(crate) struct Owner<H> {
    pub(crate) raw: RawNode<MemoryLog>,
    wal: Wal,
    snaps: SnapDir,
    pub(crate) host: H,
    pub(crate) shared: Arc<Shared>,
    /// Verdicts of the apply thread.
    changes: Receiver<ChangeApplied>,
    proposals: Proposals,
    farewell: Farewell,
    /// Term, vote and commit as last written to the log.
    saved: HardState,
    /// Committed, and waiting for room in the apply queue.
    backlog: Vec<raftpb::Entry>,
    backlog_bytes: usize,
    status: watch::Sender<Status>,
    /// As last published.
    leadership: Leadership,
    /// Whether the positions are to be published too.
    sample: bool,
    /// Ticks so far.
    ticks: u64,
    keep: Keep,
    /// The configurations changed since the host's witness noted them.
    unwitnessed: bool,
}

/// Files kept beyond what is needed; 0 keeps all.
#[derive(Debug, Clone, Copy)]
struct Keep {
    wals: usize,
    snaps: usize,
}

/// Why the owner does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was told to end.
    Stopped,
    /// It must not go on.
    Failed(ConsensusError),
}

impl From<ConsensusError> for Halt {
    fn from(error: ConsensusError) -> Self {
        Self::Failed(error)
    }
}

/// What a step of the owner comes to.
pub(crate) type Step<T = ()> = Result<T, Halt>;
