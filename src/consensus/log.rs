//! The log in memory: what raft-rs reads entries and terms from. The durable copy is the WAL.

use std::{collections::VecDeque, sync::Arc};

use raft::{
    Error, GetEntriesContext, RaftState, Storage, StorageError,
    eraftpb::{self, HardState},
};
use wire::raftpb::{self, SnapshotMetadata};

use crate::{
    shared::Shared,
    translate::{raft_conf_state, raft_entry},
};

/// What an entry takes besides its payload, in bytes, when it is sent.
const ENTRY_OVERHEAD_BYTES: u64 = 12;

/// Entries after a compaction point, in etcd's form.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    /// Index and term of the entry before the first.
    compacted: (u64, u64),
    /// Consecutive from `compacted.0 + 1` on.
    entries: VecDeque<raftpb::Entry>,
    /// As found at start; raft-rs keeps the current one.
    initial_state: HardState,
    /// The configuration in force: of all changes applied so far.
    conf_state: eraftpb::ConfState,
    /// Index of the last change among them.
    changed_at: u64,
    /// Tells what the apply thread has applied.
    shared: Arc<Shared>,
}

impl MemoryLog {
    /// `entries` must be consecutive and follow the snapshot.
    pub(crate) fn new(
        snapshot: SnapshotMetadata,
        initial_state: HardState,
        entries: Vec<raftpb::Entry>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            compacted: (snapshot.index, snapshot.term),
            entries: entries.into(),
            initial_state,
            conf_state: raft_conf_state(snapshot.conf_state),
            changed_at: snapshot.index,
            shared,
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.compacted.0 + u64::try_from(self.entries.len()).expect("entries fit in memory")
    }

    /// Puts entries behind or over the tail; they are durable.
    pub(crate) fn append(&mut self, entries: Vec<raftpb::Entry>) {
        let Some(first) = entries.first() else { return };
        assert!(
            first.index > self.compacted.0 && first.index <= self.last() + 1,
            "raft appends behind what it compacted and without a gap"
        );
        let keep = self.offset(first.index);
        self.entries.truncate(keep);
        self.entries.extend(entries);
    }

    /// Forgets everything for the state at a snapshot.
    pub(crate) fn install(&mut self, snapshot: &SnapshotMetadata) {
        self.entries.clear();
        self.compacted = (snapshot.index, snapshot.term);
        self.changed_at = snapshot.index;
        self.conf_state = raft_conf_state(snapshot.conf_state.clone());
    }

    /// Drops entries up to `index`, as far as there are any.
    pub(crate) fn compact(&mut self, index: u64) {
        let index = index.min(self.last());
        if index <= self.compacted.0 {
            return;
        }
        let Ok(term) = self.term(index) else { return };
        let count = self.offset(index) + 1;
        self.entries.drain(..count);
        self.compacted = (index, term);
        if self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// Notes the configuration after the change at `index`.
    pub(crate) fn set_conf_state(&mut self, state: eraftpb::ConfState, index: u64) {
        self.conf_state = state;
        self.changed_at = index;
    }

    pub(crate) fn conf_state(&self) -> &eraftpb::ConfState {
        &self.conf_state
    }

    /// Index of the last change in [`MemoryLog::conf_state`].
    pub(crate) fn changed_at(&self) -> u64 {
        self.changed_at
    }

    /// Place of an entry; only for indexes after the compaction point.
    fn offset(&self, index: u64) -> usize {
        usize::try_from(index - self.compacted.0 - 1).expect("entries fit in memory")
    }
}

impl Storage for MemoryLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.initial_state.clone(), self.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.compacted.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let range = self.offset(low)..self.offset(high);
        let mut found = Vec::with_capacity(range.len().min(1024));
        let mut bytes = 0;
        for entry in self.entries.range(range) {
            let payload = entry.data.as_ref().map_or(0, bytes::Bytes::len);
            bytes += ENTRY_OVERHEAD_BYTES + u64::try_from(payload).unwrap_or(u64::MAX / 2);
            if bytes > limit && !found.is_empty() {
                break;
            }
            found.push(raft_entry(entry.clone()));
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let (compacted, term) = self.compacted;
        if index == compacted {
            return Ok(term);
        }
        if index < compacted {
            return Err(Error::Store(StorageError::Compacted));
        }
        match self.entries.get(self.offset(index)) {
            Some(entry) => Ok(entry.term),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.compacted.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// The position and configuration of the applied state; the host makes the snapshot itself.
    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        let index = self.shared.applied().max(self.changed_at);
        let Ok(term) = self.term(index) else {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        };
        if index == 0 {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = eraftpb::Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = index;
        metadata.term = term;
        metadata.set_conf_state(self.conf_state.clone());
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64) -> raftpb::Entry {
        raftpb::Entry { r#type: 0, term, index, data: Some(vec![7; 100].into()) }
    }

    fn log(entries: Vec<raftpb::Entry>) -> MemoryLog {
        let shared = Arc::new(Shared::default());
        MemoryLog::new(SnapshotMetadata::default(), HardState::default(), entries, shared)
    }

    fn indexes(log: &MemoryLog, low: u64, high: u64, bytes: u64) -> Vec<u64> {
        let found = log.entries(low, high, bytes, GetEntriesContext::empty(false));
        found.expect("entries").iter().map(|entry| entry.index).collect()
    }

    #[test]
    fn a_conflicting_tail_is_replaced() {
        let mut log = log((1..=5).map(|index| entry(index, 1)).collect());
        log.append(vec![entry(4, 2)]);
        assert_eq!(log.last(), 4);
        assert_eq!(log.term(4), Ok(2));
        assert_eq!(log.term(3), Ok(1));
    }

    #[test]
    fn compaction_keeps_the_term_at_its_point() {
        let mut log = log((1..=9).map(|index| entry(index, index)).collect());
        log.compact(4);
        log.compact(2);
        assert_eq!((log.first_index(), log.last_index()), (Ok(5), Ok(9)));
        assert_eq!(log.term(4), Ok(4));
        assert_eq!(log.term(3), Err(Error::Store(StorageError::Compacted)));
        let lost = log.entries(4, 6, None, GetEntriesContext::empty(false));
        assert_eq!(lost, Err(Error::Store(StorageError::Compacted)));
        log.compact(100);
        assert_eq!((log.first_index(), log.last_index()), (Ok(10), Ok(9)));
        assert_eq!(log.term(9), Ok(9));
    }

    #[test]
    fn a_read_is_limited_by_bytes_but_never_empty() {
        let log = log((1..=9).map(|index| entry(index, 1)).collect());
        assert_eq!(indexes(&log, 2, 10, 230), [2, 3]);
        assert_eq!(indexes(&log, 2, 10, 0), [2]);
        assert_eq!(indexes(&log, 2, 5, u64::MAX), [2, 3, 4]);
    }

    #[test]
    fn a_snapshot_is_offered_only_at_a_position_that_is_applied_and_in_the_log() {
        let mut log = log((1..=9).map(|index| entry(index, index)).collect());
        assert!(log.snapshot(0, 2).is_err(), "nothing is applied");
        log.shared.set_applied(6);
        let metadata = log.snapshot(0, 2).expect("a snapshot").take_metadata();
        assert_eq!((metadata.index, metadata.term), (6, 6));
        log.install(&SnapshotMetadata { index: 20, term: 11, ..SnapshotMetadata::default() });
        let metadata = log.snapshot(0, 2).expect("a snapshot").take_metadata();
        assert_eq!((metadata.index, metadata.term), (20, 11));
        assert_eq!((log.first_index(), log.last_index()), (Ok(21), Ok(20)));
    }
}
