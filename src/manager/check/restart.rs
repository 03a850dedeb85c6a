//! R5, R11: one voter at a time, beside healthy others, the leader after it was asked to hand over.

use std::collections::BTreeSet;

use super::Case;
use crate::plan::{Action, Note};

/// Calls `look` for each action with the nodes that are healthy when its turn comes.
fn walk<'a>(
    case: &Case<'a>,
    mut look: impl FnMut(usize, &'a Action, &BTreeSet<&'a str>) -> Option<Note>,
) -> Vec<Note> {
    let mut healthy = case.healthy();
    let mut notes = Vec::new();
    for (at, action) in case.actions().enumerate() {
        notes.extend(look(at, action, &healthy));
        match action {
            Action::StopNode { node } => {
                healthy.remove(node.as_str());
            }
            Action::RestartNode { node, .. } => {
                healthy.insert(node);
            }
            Action::AwaitHealthy { nodes } => healthy.extend(nodes.iter().map(String::as_str)),
            _ => {}
        }
    }
    notes
}

/// R5: while a member is unhealthy, the healthy ones are left alone.
pub(super) fn r5_no_healthy_member_is_restarted_beside_an_unhealthy_one(
    case: &Case<'_>,
) -> Vec<Note> {
    walk(case, |_, action, healthy| {
        let Action::RestartNode { node, .. } = action else { return None };
        let nodes = case.spec.nodes.iter().map(|node| node.name.as_str());
        let ill = nodes.filter(|other| other != node).find(|other| !healthy.contains(other))?;
        healthy.contains(node.as_str()).then(|| {
            Case::refuse(5, Some(node), format!("it would be restarted while {ill} is not healthy"))
        })
    })
}

/// R11: MoveLeader comes before the leader is stopped, if another voter stays up to take over.
pub(super) fn r11_a_leader_is_asked_to_hand_over_first(case: &Case<'_>) -> Vec<Note> {
    let stopped: BTreeSet<&str> = case
        .actions()
        .filter_map(|action| match action {
            Action::StopNode { node } => Some(node.as_str()),
            _ => None,
        })
        .collect();
    walk(case, |at, action, healthy| {
        let (Action::StopNode { node } | Action::RestartNode { node, .. }) = action else {
            return None;
        };
        let stays = |other: &&str| *other != node && !stopped.contains(other);
        let asked = case
            .actions()
            .take(at)
            .any(|earlier| matches!(earlier, Action::MoveLeader { from, .. } if from == node));
        let other = healthy.iter().copied().find(stays)?;
        (case.leads(node) && !asked).then(|| {
            Case::refuse(
                11,
                Some(node),
                format!("the leader would be stopped without asking it to hand over to {other}"),
            )
        })
    })
}

/// R11: where there is a quorum and it can survive the loss of a member, a restart leaves it one.
pub(super) fn r11_a_restart_keeps_the_quorum(case: &Case<'_>) -> Vec<Note> {
    let voters = case.spec.nodes.len();
    let quorum = voters / 2 + 1;
    walk(case, |_, action, healthy| {
        let Action::RestartNode { node, .. } = action else { return None };
        let after = healthy.iter().filter(|other| **other != node).count();
        (voters > 2 && healthy.len() >= quorum && after < quorum)
            .then(|| Case::refuse(11, Some(node), "its restart would take the quorum away"))
    })
}
