//! The plan itself. `execute` matches on [`Action`] and decides nothing.

use std::fmt;

use serde::Serialize;

use super::note::{Note, NoteKind};
use crate::generate::Change;

/// One thing to do. An action is over when its effect is there; only `AwaitHealthy`, `RestartNode`,
/// `MoveLeader`, `Promote` and `Archive` wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// Start the local agent, detached.
    StartAgent,
    /// Record a prepared lineage with exactly these nodes, their peer URLs and a new token, and start them all as `new`.
    /// A lineage that is still prepared is given up for the new one first (R2).
    Bootstrap {
        /// All nodes of the spec.
        nodes: Vec<String>,
    },
    /// Record that the cluster is formed: from here on nothing is started as `new` (R2).
    SealBootstrap,
    /// Start the process. Does not wait.
    StartNode {
        /// The node.
        node: String,
    },
    /// Wait until these nodes are healthy and caught up.
    AwaitHealthy {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Hand leadership over, before the leader is stopped (R11). Bounded: a failure is reported and the plan goes on.
    MoveLeader {
        /// The leader.
        from: String,
        /// The most caught-up healthy voter that stays up.
        to: String,
    },
    /// Stop the process, start it with what the spec wants, and wait until it is healthy and caught up. If that fails,
    /// it is started again with what ran before, and the step has failed.
    RestartNode {
        /// The node.
        node: String,
        /// What differs; empty if the operator just asked for it.
        changes: Vec<Change>,
        /// How long it must then stay up and healthy before the step is over, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        soak_ms: Option<u64>,
    },
    /// Stop the process. Changes neither membership nor data (R10).
    StopNode {
        /// The node.
        node: String,
    },
    /// Take the node into the cluster without a vote (R6: never with one).
    AddLearner {
        /// The node.
        node: String,
        /// Where its peers find it.
        peer_urls: Vec<String>,
    },
    /// Give a learner its vote, once it has kept up for a while. One that has not within the spec's `learner-limit` is
    /// taken out, and the step has failed.
    Promote {
        /// The node.
        node: String,
    },
    /// Take a member out of the cluster for good.
    RemoveMember {
        /// Its node.
        node: String,
        /// Its id.
        member: String,
    },
    /// Tell the cluster where a member's peers find it from now on.
    UpdateMember {
        /// The node.
        node: String,
        /// Its id.
        member: String,
        /// The new peer URLs.
        peer_urls: Vec<String>,
    },
    /// Put the data dir of a node that is no member into the archive (R4), after its process has ended.
    Archive {
        /// The node.
        node: String,
    },
}

impl Action {
    /// Whether it changes who is in the cluster, or where.
    #[must_use]
    pub const fn changes_membership(&self) -> bool {
        matches!(
            self,
            Self::AddLearner { .. }
                | Self::Promote { .. }
                | Self::RemoveMember { .. }
                | Self::UpdateMember { .. }
        )
    }
}

impl Action {
    /// Whether the agent that leads does it itself, by a call to the cluster; all else are orders to the
    /// agents of the nodes' hosts.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        matches!(
            self,
            Self::AddLearner { .. }
                | Self::Promote { .. }
                | Self::RemoveMember { .. }
                | Self::UpdateMember { .. }
        )
    }
}

/// Member failures that the cluster survives: healthy voters beyond the quorum. Negative: so many are missing for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tolerance {
    /// Before the step.
    pub before: i64,
    /// At the worst moment of the step.
    pub during: i64,
    /// After the step.
    pub after: i64,
    /// With every voter healthy.
    pub full: i64,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why: one sentence.
    pub reason: String,
    /// What the cluster survives around it.
    pub tolerance: Tolerance,
}

/// What to do, in order, and what cannot or need not be done. Only the first step is meant to be carried out before the
/// facts are looked at again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// The rest of the story, the worst first.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Whether nothing of it may be carried out.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.has(NoteKind::Refused)
    }

    /// Whether the goal is reached: nothing to do, to wait for or in the way. Drift may remain.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.notes.iter().all(|note| note.kind == NoteKind::Drift)
    }

    /// Whether it has a note of this kind.
    #[must_use]
    pub fn has(&self, kind: NoteKind) -> bool {
        self.notes.iter().any(|note| note.kind == kind)
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |tolerance: i64| match tolerance {
            ..0 => "no quorum".to_owned(),
            _ => tolerance.to_string(),
        };
        let Self { before, during, after, full } = *self;
        if before < 0 && during < 0 && after < 0 {
            return write!(f, "no quorum");
        }
        write!(f, "{} -> {} -> {} of {full}", shown(before), shown(during), shown(after))
    }
}
