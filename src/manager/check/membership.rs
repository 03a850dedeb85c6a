//! R4, R5, R6: how members may come and go.

use super::{Case, voters::walk};
use crate::plan::{Action, Note};

/// R4: what may still be a member's data stays where it is.
pub(super) fn r4_only_what_is_no_member_is_archived(case: &Case<'_>) -> Vec<Note> {
    walk(case, |_, action, voters| {
        let Action::Archive { node } = action else { return None };
        let Some(members) = case.observation.members.known() else {
            return Some(Case::refuse(4, Some(node), "its data would be put away unasked"));
        };
        let own = case.member_of(node)?;
        let listed = members.iter().any(|member| member.id == own);
        (listed && !voters.removed.contains(&own))
            .then(|| Case::refuse(4, Some(node), "a member's data would be put away"))
    })
}

/// R5: one change at a time, while all other voters are healthy.
pub(super) fn r5_one_change_at_a_time_beside_healthy_voters(case: &Case<'_>) -> Vec<Note> {
    walk(case, |_, action, voters| {
        let (Action::AddLearner { node, .. }
        | Action::Promote { node }
        | Action::RemoveMember { node, .. }
        | Action::UpdateMember { node, .. }) = action
        else {
            return None;
        };
        let is_voter = !voters.learners.contains(node.as_str())
            && !matches!(action, Action::AddLearner { .. });
        let excused = usize::from(is_voter && !voters.healthy.contains(node.as_str()));
        let pending = voters.learners.iter().any(|learner| learner != node);
        let text = if voters.count > voters.healthy.len() + excused {
            "the membership would change while another voter is ill"
        } else if pending && matches!(action, Action::AddLearner { .. }) {
            "a second learner would be added before the first has its vote"
        } else {
            return None;
        };
        Some(Case::refuse(5, Some(node), text))
    })
}

/// R6: the healthy voters that stay are a quorum of the configuration that results.
pub(super) fn r6_a_removal_leaves_a_quorum(case: &Case<'_>) -> Vec<Note> {
    walk(case, |_, action, voters| {
        let Action::RemoveMember { node, .. } = action else { return None };
        if voters.learners.contains(node.as_str()) {
            return None;
        }
        let stay = voters.healthy.iter().filter(|other| *other != node).count();
        let quorum = voters.count.saturating_sub(1) / 2 + 1;
        (stay < quorum)
            .then(|| Case::refuse(6, Some(node), "its removal would leave no healthy quorum"))
    })
}
