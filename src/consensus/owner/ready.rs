//! What raft wants done, in the order that makes it safe.
//!
//! 1. committed entries go to the apply thread (they are durable already); configuration changes
//!    among them are waited for, so that no vote or append of the old configuration leaves after;
//! 2. what the host's witness has to know before anything is acknowledged is noted elsewhere;
//! 3. a leader's messages leave: the others write in parallel;
//! 4. the log is written, with one sync;
//! 5. what promises something leaves: votes, acknowledgements;
//! 6. what became possible by the write: more committed entries, more messages.

use raft::{
    Ready,
    eraftpb::{Entry, Message},
};
use wire::raftpb::{self, EntryType, HardState};

use super::{Owner, Step};
use crate::{Apply, ConsensusError, Host, ReadState, outbound, translate::wire_entry};

/// Rounds of raft's wishes handled before the inbox is looked at again.
const READIES_MAX: usize = 16;
/// Committed payload that may wait for room in the apply queue; with more, the owner waits.
const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

impl<H: Host> Owner<H> {
    /// Proposes what waits and does what raft wants. Says whether there is more to do at once.
    pub(crate) fn work(&mut self) -> Step<bool> {
        if !self.backlog.is_empty() && self.host.has_room() {
            self.deliver();
        }
        for _ in 0..READIES_MAX {
            self.propose_waiting();
            if !self.raw.has_ready() {
                self.publish();
                return Ok(false);
            }
            self.handle_ready()?;
        }
        self.publish();
        Ok(true)
    }

    fn handle_ready(&mut self) -> Step {
        let mut ready = self.raw.ready();
        let reads = ready.take_read_states();
        if !reads.is_empty() {
            self.host.reads(reads.into_iter().map(read_state).collect());
        }
        self.hand_over(ready.take_committed_entries())?;
        self.witness(&ready)?;
        self.send(ready.take_messages());
        self.persist(&mut ready)?;
        self.send(ready.take_persisted_messages());
        let mut light = self.raw.advance_append(ready);
        self.hand_over(light.take_committed_entries())?;
        self.send(light.take_messages());
        self.raw.advance_apply();
        Ok(())
    }

    pub(super) fn send(&mut self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.host.send(outbound::translate(messages));
        }
    }

    /// Writes snapshot, entries and state. After an error nothing of this `ready` may leave.
    fn persist(&mut self, ready: &mut Ready) -> Step {
        let snapshot = self.save_snapshot(ready)?;
        let entries: Vec<raftpb::Entry> =
            ready.take_entries().into_iter().map(wire_entry).collect();
        if ready.must_sync() || !entries.is_empty() {
            self.write(&entries, true)?;
        }
        if let Some(snapshot) = snapshot {
            self.install(snapshot);
        }
        self.raw.mut_store().append(entries);
        Ok(())
    }

    /// A commit index alone is not worth a write: the next one carries it, or the next tick.
    pub(super) fn save_commit(&mut self) -> Step {
        if self.raw.raft.raft_log.committed > self.saved.commit {
            self.write(&[], false)
        } else {
            Ok(())
        }
    }

    /// Appends to the log on disk: entries, and the state if it changed.
    pub(super) fn write(&mut self, entries: &[raftpb::Entry], sync: bool) -> Step {
        let raft = &self.raw.raft;
        let state = HardState { term: raft.term, vote: raft.vote, commit: raft.raft_log.committed };
        let changed = (state != self.saved).then_some(&state);
        self.wal.append(entries, changed, sync).map_err(ConsensusError::Log)?;
        self.saved = state;
        Ok(())
    }

    /// Gives committed entries to the host, or collects them while it has no room.
    fn hand_over(&mut self, committed: Vec<Entry>) -> Step {
        if committed.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::new();
        self.backlog.reserve(committed.len());
        for entry in committed {
            let entry = wire_entry(entry);
            if entry.r#type == i32::from(EntryType::EntryConfChange) {
                changes.push(entry.index);
            }
            self.backlog_bytes += entry.data.as_ref().map_or(0, bytes::Bytes::len);
            self.backlog.push(entry);
        }
        if changes.is_empty() && self.backlog_bytes < BACKLOG_BYTES_MAX && self.is_crowded() {
            return Ok(());
        }
        self.deliver();
        let mut last_words = Vec::new();
        for index in changes {
            last_words.extend(self.await_change(index)?);
        }
        self.send(last_words);
        Ok(())
    }

    /// Whether the host has no room. Asks to be woken before it looks for the last time.
    fn is_crowded(&self) -> bool {
        if self.host.has_room() {
            return false;
        }
        self.shared.want_room();
        !self.host.has_room()
    }

    pub(super) fn deliver(&mut self) {
        if !self.backlog.is_empty() {
            self.backlog_bytes = 0;
            self.host.apply(Apply::Entries(std::mem::take(&mut self.backlog)));
        }
    }

    /// The last write of a member that was told to end.
    pub(super) fn close(&mut self) -> Result<(), ConsensusError> {
        match self.save_commit() {
            Ok(()) | Err(super::Halt::Stopped) => Ok(()),
            Err(super::Halt::Failed(error)) => Err(error),
        }
    }
}

fn read_state(state: raft::ReadState) -> ReadState {
    ReadState { index: state.index.into(), context: state.request_ctx.into() }
}
