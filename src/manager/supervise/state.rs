//! What a keeper tells the rest of the agent about its node.

use disk::Disk;

use super::{
    classify::{Cause, Verdict, classify, exit_text},
    record::{ExitRecord, NodeDir, Record, RunRecord, StopRecord},
};
use crate::generate::Launch;

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
    /// What the table says of it.
    pub verdict: Verdict,
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

/// What the records say of a node that no keeper keeps. Reads only.
#[must_use]
pub fn left_behind(dir: &NodeDir, disk: &dyn Disk) -> NodeState {
    let exit = dir.exit(disk);
    let phase = match (dir.run(disk), &exit) {
        (Record::Absent, _) => Phase::Down,
        (Record::Unreadable(reason), _) => Phase::Unknown { reason },
        (Record::Known(run), Record::Known(exit)) if exit.run >= run.run => Phase::Down,
        (Record::Known(run), _) => match run.process.is_alive() {
            Ok(true) => Phase::Running(run),
            Ok(false) => Phase::Down,
            Err(error) => Phase::Unknown { reason: error.to_string() },
        },
    };
    let last_end = match &exit {
        Record::Known(exit) => Some(EndSeen::of(exit)),
        Record::Absent | Record::Unreadable(_) => None,
    };
    let held = last_end.as_ref().is_some_and(|end| end.cause == Cause::Removed);
    let phase = if held && matches!(phase, Phase::Down) { Phase::Held } else { phase };
    NodeState { phase, restarts: 0, last_end, is_looked_at: true }
}

impl EndSeen {
    /// What a record of an end comes to.
    #[must_use]
    pub fn of(exit: &ExitRecord) -> Self {
        let facts = exit.facts();
        let row = classify(&facts);
        let mut text = format!("{}: {}", row.cause, exit_text(&facts));
        if exit.stop == StopRecord::Forced {
            text.push_str(" (it did not stop in time and was killed)");
        }
        if row.verdict != Verdict::Hold
            && let Some(words) = facts.last_words()
        {
            text = format!("{text}; last words: {words}");
        }
        Self {
            run: exit.run,
            cause: row.cause,
            verdict: row.verdict,
            text,
            remedy: row.remedy,
            tail: exit.tail.clone(),
            at_ms: exit.ended_at_ms,
        }
    }
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
