//! R5, R11: one voter at a time, beside healthy others, the leader after it was asked to hand over.

use std::collections::BTreeSet;

use super::{Case, voters::walk};
use crate::plan::{Action, Note};

/// R5: while a member is unhealthy, the healthy ones are left alone.
pub(super) fn r5_no_healthy_member_is_restarted_beside_an_unhealthy_one(
    case: &Case<'_>,
) -> Vec<Note> {
    walk(case, |_, action, voters| {
        let Action::RestartNode { node, .. } = action else { return None };
        let healthy = &voters.healthy;
        let nodes = case.spec.nodes.iter().map(|node| node.name.as_str());
        let mut members = nodes.filter(|other| other != node && may_be_member(case, other));
        let ill = members.find(|other| !healthy.contains(other));
        let beside = match ill {
            Some(ill) => ill,
            None if voters.count > healthy.len() => "a member that the spec does not name",
            None => return None,
        };
        let text = format!("it would be restarted while {beside} is not healthy");
        healthy.contains(node.as_str()).then(|| Case::refuse(5, Some(node), text))
    })
}

/// A node that certainly is no member yet is not what the others have to wait for.
fn may_be_member(case: &Case<'_>, node: &str) -> bool {
    let Some(members) = case.observation.members.known() else { return true };
    let own = case.member_of(node);
    members.iter().any(|member| Some(member.id) == own)
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
    walk(case, |at, action, voters| {
        let (Action::StopNode { node } | Action::RestartNode { node, .. }) = action else {
            return None;
        };
        let stays = |other: &&str| *other != node && !stopped.contains(other);
        let asked = case
            .actions()
            .take(at)
            .any(|earlier| matches!(earlier, Action::MoveLeader { from, .. } if from == node));
        let other = voters.healthy.iter().copied().find(stays)?;
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
    walk(case, |_, action, voters| {
        let Action::RestartNode { node, .. } = action else { return None };
        let quorum = voters.count / 2 + 1;
        let after = voters.healthy.iter().filter(|other| **other != node).count();
        (voters.count > 2 && voters.healthy.len() >= quorum && after < quorum)
            .then(|| Case::refuse(11, Some(node), "its restart would take the quorum away"))
    })
}
