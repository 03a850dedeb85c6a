//! What the owner thread hands to the program around it.

use base::Index;
use bytes::Bytes;
use wire::raftpb;

use crate::{ConsensusError, Witness};

/// The program around raft. All calls come from the owner thread, which does nothing else meanwhile.
pub trait Host: Send + 'static {
    /// Sends messages, in this order, to the members in their `to`. Must not block; whatever cannot
    /// be sent is dropped. A `MsgSnap` has the metadata of the applied state and no data: the host
    /// puts a snapshot at that index or above in its place, and reports how the sending ended by
    /// [`Raft::report_snapshot`](crate::Raft::report_snapshot).
    fn send(&mut self, messages: Vec<raftpb::Message>);

    /// Takes over what is committed, in order. For each entry of type `EntryConfChange` the apply
    /// thread must call [`Raft::conf_change_applied`](crate::Raft::conf_change_applied) exactly
    /// once: the owner waits for it.
    fn apply(&mut self, work: Apply);

    /// Whether [`Host::apply`] would take work without waiting. While it would not, the owner
    /// collects what is committed, so that a slow disk does not keep it from its heartbeats.
    fn has_room(&self) -> bool {
        true
    }

    /// Who notes elsewhere what this member is about to acknowledge; nobody for a log that nothing else relies on.
    fn witness(&mut self) -> Option<&mut dyn Witness> {
        None
    }

    /// Answers to [`Raft::read_index`](crate::Raft::read_index).
    fn reads(&mut self, reads: Vec<ReadState>);

    /// The last call. After an error nothing may be acknowledged any more.
    fn stopped(&mut self, reason: Result<(), ConsensusError>);
}

/// Committed work for the apply thread.
#[derive(Debug, Clone, PartialEq)]
pub enum Apply {
    /// Entries, consecutive, after all handed over before.
    Entries(Vec<raftpb::Entry>),
    /// Replaces the whole state. The `.snap` file and its mark in the log are durable already.
    Snapshot(raftpb::Snapshot),
}

/// A linearizable read with this context may be served once `index` is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadState {
    /// Commit index of the leader when it got the request, confirmed by a quorum.
    pub index: Index,
    /// As given to [`Raft::read_index`](crate::Raft::read_index).
    pub context: Bytes,
}
