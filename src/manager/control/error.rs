//! Why an entry was not committed, or the group could not be opened. All but a rejection end the
//! agent: it never goes on without its records (R13).

use std::{io, path::PathBuf};

use consensus::ConsensusError;
use disk::CheckedError;
use wal::WalError;

use super::state::Rejected;

/// A failure of the control group.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A file is there and cannot be read; it is never taken for fresh.
    #[error("the control state cannot be read, so nothing is done")]
    Unreadable(#[source] CheckedError),
    /// A file is there and makes no sense.
    #[error("{} is not understood, so nothing is done", path.display())]
    NotUnderstood {
        /// Where.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Something was there, and a part of it is gone.
    #[error("the control state in {} was lost ({what}), so nothing is done", root.display())]
    Lost {
        /// Where.
        root: PathBuf,
        /// What is gone.
        what: &'static str,
    },
    /// The state is of an agent among others, and an embedded one was started on it.
    #[error(
        "the control state in {} is of an agent among others; start it with --config agent.toml",
        root.display()
    )]
    NotAlone {
        /// Where.
        root: PathBuf,
    },
    /// The folder cannot be used.
    #[error("the control state cannot be reached")]
    Look(#[source] io::Error),
    /// The log or a snapshot cannot be read or written.
    #[error("the control log cannot be used, so nothing is done")]
    Log(#[source] WalError),
    /// Raft did not start.
    #[error("the control group does not start")]
    Raft(#[from] ConsensusError),
    /// A committed entry makes no sense.
    #[error("control entry {index} is not understood, so nothing is done")]
    Entry {
        /// Its index.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A committed change of the group makes no sense.
    #[error("control entry {index} is no change of the group, so nothing is done")]
    Change {
        /// Its index.
        index: u64,
        /// Why.
        source: prost::DecodeError,
    },
    /// A newer build wrote it.
    #[error("control entry {index} has version {version}, which only a newer build understands")]
    TooNew {
        /// Its index.
        index: u64,
        /// Its version.
        version: u32,
    },
    /// An entry could not be written down: a bug.
    #[error("encode a control entry")]
    Encode(#[source] serde_json::Error),
    /// This agent is in no group yet.
    #[error("this agent is in no group of agents yet")]
    NoGroup,
    /// No quorum has answered in time: it may be committed later, or never.
    #[error("the agents have no quorum, or none that answers: {0}")]
    Unanswered(String),
    /// Another agent leads.
    #[error("this agent does not lead")]
    NotLeading,
    /// Nothing can be committed any more.
    #[error("the control group does not go on: {0}")]
    Broken(String),
    /// It was committed and has no effect.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl ControlError {
    /// Whether the agent must end (R13): its own records cannot be trusted or written.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Rejected(_) | Self::NoGroup | Self::Unanswered(_) | Self::NotLeading)
    }
}
