//! From what is on the disk to an owner, or to an error that says what does not fit.

use std::sync::Arc;

use base::limits;
use crossbeam_channel::Receiver;
use raft::{RawNode, ReadOnlyOption};
use tokio::sync::watch;
use wire::raftpb::{Entry, HardState, SnapshotMetadata};

use super::{Keep, Owner, changes::Farewell, proposals::Proposals, report::Leadership};
use crate::{
    Config, ConsensusError, Durable, Host, Status, inbound,
    log::MemoryLog,
    logger::logger,
    shared::{ChangeApplied, Shared},
    translate::raft_hard_state,
};

/// A leader takes no proposals while this much is not committed.
pub(super) const UNCOMMITTED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Committed entries handed over at once.
const COMMITTED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the owner is connected to.
pub(crate) struct Wires<H> {
    pub(crate) host: H,
    pub(crate) shared: Arc<Shared>,
    pub(crate) changes: Receiver<ChangeApplied>,
    pub(crate) status: watch::Sender<Status>,
}

impl<H: Host> Owner<H> {
    pub(crate) fn new(
        config: &Config,
        durable: Durable,
        wires: Wires<H>,
    ) -> Result<Self, ConsensusError> {
        let Wires { host, shared, changes, status } = wires;
        let applied = durable.applied.get();
        let Durable { wal, snaps, snapshot, hard_state, entries, .. } = durable;
        let entries = check_entries(&snapshot, entries)?;
        let current = check_state(&snapshot, &entries, hard_state, applied)?;
        shared.set_applied(applied);
        shared.set_commit(current.commit);
        let initial = raft_hard_state(current);
        let log = MemoryLog::new(snapshot, initial, entries, Arc::clone(&shared));
        let raw = RawNode::new(&raft_config(config, applied), log, &logger())
            .map_err(ConsensusError::Start)?;
        let mut owner = Self {
            raw,
            wal,
            snaps,
            host,
            shared,
            changes,
            proposals: Proposals::default(),
            farewell: Farewell::default(),
            saved: hard_state,
            backlog: Vec::new(),
            backlog_bytes: 0,
            status,
            leadership: Leadership::default(),
            sample: true,
            ticks: 0,
            keep: Keep { wals: config.max_wals, snaps: config.max_snaps },
            unwitnessed: true,
        };
        owner.publish();
        Ok(owner)
    }
}

/// The entries after the snapshot.
fn check_entries(
    snapshot: &SnapshotMetadata,
    mut entries: Vec<Entry>,
) -> Result<Vec<Entry>, ConsensusError> {
    let inconsistent = |text: String| Err(ConsensusError::Inconsistent(text));
    let no_members =
        snapshot.conf_state.voters.is_empty() && snapshot.conf_state.learners.is_empty();
    if (!no_members || snapshot.index > 0)
        && let Err(reason) = inbound::conf_state(&snapshot.conf_state)
    {
        return inconsistent(format!("the snapshot at {} has {reason}", snapshot.index));
    }
    entries.retain(|entry| entry.index > snapshot.index);
    // A leader's snapshot replaced them, and nothing was written since.
    if entries.first().is_some_and(|entry| entry.term < snapshot.term) {
        tracing::info!(count = entries.len(), "entries that the snapshot replaced are dropped");
        entries.clear();
    }
    let (mut index, mut term) = (snapshot.index, snapshot.term);
    for entry in &entries {
        if entry.index != index + 1 {
            return inconsistent(format!("entry {} follows entry {index}", entry.index));
        }
        if entry.term < term || entry.term == 0 {
            let now = entry.term;
            return inconsistent(format!("entry {} has term {now} after term {term}", entry.index));
        }
        (index, term) = (entry.index, entry.term);
    }
    Ok(entries)
}

/// The state to start with: what is applied or in a snapshot was committed, even if the log did
/// not get to note it. A term without its vote can only be one in which this member never voted:
/// a vote is durable before it leaves.
fn check_state(
    snapshot: &SnapshotMetadata,
    entries: &[Entry],
    saved: HardState,
    applied: u64,
) -> Result<HardState, ConsensusError> {
    let (last, last_term) =
        entries.last().map_or((snapshot.index, snapshot.term), |entry| (entry.index, entry.term));
    let mut state = saved;
    if state.term < last_term {
        state.term = last_term;
        state.vote = 0;
    }
    state.commit = state.commit.max(snapshot.index).max(applied);
    if state.commit > last {
        let commit = state.commit;
        return Err(ConsensusError::Inconsistent(format!(
            "{commit} is committed or applied, but the log ends at {last}"
        )));
    }
    if applied < snapshot.index {
        return Err(ConsensusError::Inconsistent(format!(
            "the state is at {applied}, before the snapshot at {}",
            snapshot.index
        )));
    }
    Ok(state)
}

/// etcd's parameters (surface D.7).
fn raft_config(config: &Config, applied: u64) -> raft::Config {
    raft::Config {
        id: config.id.get(),
        election_tick: config.election_ticks,
        heartbeat_tick: config.heartbeat_ticks,
        applied,
        max_size_per_msg: limits::APPEND_BYTES_MAX,
        max_inflight_msgs: limits::APPENDS_INFLIGHT_MAX,
        check_quorum: true,
        pre_vote: config.pre_vote,
        read_only_option: ReadOnlyOption::Safe,
        // The owner itself stops proposing at half of it; a batch is far smaller than the rest.
        max_uncommitted_size: 2 * UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: COMMITTED_BYTES_MAX,
        ..raft::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(terms: &[(u64, u64)]) -> Vec<Entry> {
        let entry = |&(index, term)| Entry { r#type: 0, term, index, data: None };
        terms.iter().map(entry).collect()
    }

    fn at(index: u64, term: u64) -> SnapshotMetadata {
        let mut metadata = SnapshotMetadata { index, term, ..SnapshotMetadata::default() };
        metadata.conf_state.voters = vec![1];
        metadata
    }

    #[test]
    fn entries_must_follow_the_snapshot_without_a_gap() {
        let good = check_entries(&at(3, 2), entries(&[(2, 1), (3, 2), (4, 2), (5, 3)]));
        assert_eq!(good.map(|entries| entries.len()).ok(), Some(2));
        for bad in [entries(&[(5, 2)]), entries(&[(4, 2), (6, 2)]), entries(&[(4, 3), (5, 2)])] {
            assert!(check_entries(&at(3, 2), bad).is_err());
        }
        let mut joint = at(3, 2);
        joint.conf_state.voters_outgoing = vec![2];
        assert!(check_entries(&joint, Vec::new()).is_err());
    }

    #[test]
    fn a_tail_that_a_leaders_snapshot_replaced_is_dropped() {
        let left = check_entries(&at(3, 2), entries(&[(4, 1), (5, 1)]));
        assert_eq!(left.map(|entries| entries.len()).ok(), Some(0));
    }

    #[test]
    fn a_commit_beyond_the_log_is_refused_and_a_late_one_is_raised() {
        let log = entries(&[(4, 2), (5, 3)]);
        let state = |term, vote, commit| HardState { term, vote, commit };
        let check = |saved, applied| check_state(&at(3, 2), &log, saved, applied).ok();
        assert_eq!(check(state(3, 9, 5), 3), Some(state(3, 9, 5)));
        assert_eq!(check(state(3, 9, 6), 3), None, "committed beyond the log");
        assert_eq!(check(state(3, 9, 4), 6), None, "applied beyond the log");
        assert_eq!(check(state(3, 9, 1), 3), Some(state(3, 9, 3)));
        assert_eq!(check(state(3, 9, 3), 4), Some(state(3, 9, 4)));
        assert_eq!(check(state(3, 9, 3), 2), None, "the state is older than its snapshot");
        assert_eq!(check(state(2, 9, 4), 3), Some(state(3, 0, 4)), "no vote in a torn-off term");
    }
}
