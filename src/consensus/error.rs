//! What can go wrong, by what the caller may do about it.

use wal::WalError;

/// Why raft did not start or cannot go on. The member must stop; none of these heals by waiting.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The log cannot be written any more. What was written last may or may not be durable.
    #[error("write the raft log")]
    Log(#[source] WalError),
    /// A leader's snapshot could not be saved.
    #[error("save the leader's snapshot")]
    Snapshot(#[source] WalError),
    /// What must be noted outside the log before anything is acknowledged cannot be. Nothing of it was.
    #[error("note what is to be acknowledged")]
    Witness(#[source] crate::WitnessError),
    /// What the disk says does not fit together. A human must look.
    #[error("the raft state on disk is inconsistent: {0}")]
    Inconsistent(String),
    /// Raft refuses its configuration: a bug of the caller.
    #[error("start raft")]
    Start(#[source] raft::Error),
    /// No thread could be started.
    #[error("start the raft thread")]
    Thread(#[source] std::io::Error),
    /// The leader counts on entries that this member acknowledged and does not have: its disk was
    /// lost or rolled back (R17). It must not vote again under this id.
    #[error(
        "leader {leader:x} knows this member's log up to {commit}, but it ends at {last}: \
         the disk was lost or rolled back; remove this member and add it anew"
    )]
    LogLost {
        /// Who said so.
        leader: u64,
        /// The index it said.
        commit: u64,
        /// Last index of the log.
        last: u64,
    },
    /// A bug; the text of the panic.
    #[error("raft panicked: {0}")]
    Panicked(String),
}

/// Why an input was not taken. The caller may try again after `Full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Too many inputs wait.
    #[error("the raft inbox is full")]
    Full,
    /// Raft has stopped.
    #[error("raft has stopped")]
    Stopped,
}
