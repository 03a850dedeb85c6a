//! R10: stopping is only that.

use super::Case;
use crate::plan::{Action, Note};

/// R10: a plan that stops nodes for good does nothing else to the cluster.
pub(super) fn r10_stopping_does_nothing_else(case: &Case<'_>) -> Vec<Note> {
    if !case.actions().any(|action| matches!(action, Action::StopNode { .. })) {
        return Vec::new();
    }
    let other = |action: &&Action| {
        !matches!(action, Action::StopNode { .. } | Action::MoveLeader { .. } | Action::StartAgent)
    };
    let others = case.actions().filter(other);
    others.map(|action| Case::refuse(10, None, format!("a stop would also: {action}"))).collect()
}
