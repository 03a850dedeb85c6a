//! What a keeper tells the rest of the agent about its node.

use crate::generate::Launch;

use super::{classify::Cause, record::RunRecord};

/// A node as its keeper sees it.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// What it does now.
    pub phase: Phase,
    /// Restarts after an end that nobody asked for, since it was last started on purpose.
    pub restarts: u64,
    /// How the last run ended; none if it never did.
    pub last_end: Option<EndSeen>,
    /// Whether the keeper has looked for what an earlier agent left; before that, `phase` says nothing.
    pub is_looked_at: bool,
}

/// What a node does now.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Not started, or stopped on request, or not yet looked at.
    Down,
    /// Its process runs under a shim.
    Running(RunRecord),
    /// It was asked to stop and has not ended yet.
    Stopping(RunRecord),
    /// It ended and will be started again after a pause.
    Pausing {
        /// What it will be started with.
        launch: Launch,
        /// Whether it ended so often that the pauses are the longest.
        crash_loop: bool,
    },
    /// It ended in a way that forbids a restart.
    Held,
    /// Somebody else's process holds its data dir.
    Foreign {
        /// Who.
        owner: String,
    },
    /// Its records cannot be read or contradict what runs: nothing is done to it (R13).
    Unknown {
        /// Why.
        reason: String,
    },
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct EndSeen {
    /// Which run.
    pub run: u64,
    /// What it is in the table of ends.
    pub cause: Cause,
    /// The whole story in one line.
    pub text: String,
    /// What a person may do.
    pub remedy: &'static str,
    /// Its last lines.
    pub tail: Vec<String>,
    /// Wall time, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Something that happened to a node.
#[derive(Debug, Clone)]
pub struct NodeEvent {
    /// Which node.
    pub node: String,
    /// One line.
    pub text: String,
    /// Restarts counted so far.
    pub restarts: u64,
    /// The run whose end this is, if it is one.
    pub ended_run: Option<u64>,
}

impl Phase {
    /// The record of the running process.
    #[must_use]
    pub fn running(&self) -> Option<&RunRecord> {
        match self {
            Self::Running(run) | Self::Stopping(run) => Some(run),
            _ => None,
        }
    }
}
