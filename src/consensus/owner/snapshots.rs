//! Snapshots in the log: a leader's that replaces everything, and our own marks.

use raft::Ready;
use wire::{raftpb, walpb};

use super::{Owner, Step};
use crate::{Apply, ConsensusError, Host, translate::wire_snapshot};

impl<H: Host> Owner<H> {
    /// Makes a leader's snapshot durable: first its file, then its mark in the log.
    pub(super) fn save_snapshot(&mut self, ready: &Ready) -> Step<Option<raftpb::Snapshot>> {
        if ready.snapshot().is_empty() {
            return Ok(None);
        }
        let snapshot = wire_snapshot(ready.snapshot().clone());
        self.snaps.save(&snapshot).map_err(ConsensusError::Snapshot)?;
        self.wal.mark_snapshot(&mark_of(&snapshot)).map_err(ConsensusError::Log)?;
        Ok(Some(snapshot))
    }

    /// After the state of the log was written too: forgets the old log and hands the snapshot over.
    pub(super) fn install(&mut self, snapshot: raftpb::Snapshot) {
        self.raw.mut_store().install(&snapshot.metadata);
        self.deliver();
        self.release(snapshot.metadata.index);
        self.host.apply(Apply::Snapshot(snapshot));
    }

    /// A `.snap` of ours is durable: its mark goes into the log, behind the commit index that makes
    /// it valid.
    pub(super) fn mark_saved(&mut self, mark: &walpb::Snapshot) -> Step {
        self.settle()?;
        if mark.index > self.raw.raft.raft_log.committed {
            tracing::error!(
                index = mark.index,
                "a snapshot of what is not committed is not marked"
            );
            return Ok(());
        }
        self.save_commit()?;
        self.wal.mark_snapshot(mark).map_err(ConsensusError::Log)?;
        self.release(mark.index);
        Ok(())
    }

    /// Lets go of files that only restarts from before `index` would need. Failing is harmless.
    fn release(&mut self, index: u64) {
        self.wal.release_before(index.into());
        if self.keep.wals > 0
            && let Err(error) = self.wal.purge(self.keep.wals)
        {
            tracing::warn!(error = %base::ErrorChain(&error), "old log segments stay");
        }
        if self.keep.snaps > 0
            && let Err(error) = self.snaps.purge(self.keep.snaps)
        {
            tracing::warn!(error = %base::ErrorChain(&error), "old snapshots stay");
        }
    }
}

fn mark_of(snapshot: &raftpb::Snapshot) -> walpb::Snapshot {
    let metadata = &snapshot.metadata;
    walpb::Snapshot {
        index: metadata.index,
        term: metadata.term,
        conf_state: Some(metadata.conf_state.clone()),
    }
}
