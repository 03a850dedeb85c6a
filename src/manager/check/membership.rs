//! R4, R5, R6: how members may come and go.

use std::collections::BTreeSet;

use base::MemberId;

use super::Case;
use crate::plan::{Action, Note};

/// The configuration as the plan changes it.
struct Voters<'a> {
    /// Nodes with a vote that answer.
    healthy: BTreeSet<&'a str>,
    /// All votes.
    count: usize,
    /// Nodes taken in and without a vote yet.
    learners: BTreeSet<&'a str>,
    /// Members that the plan took out.
    removed: BTreeSet<MemberId>,
}

impl<'a> Voters<'a> {
    fn now(case: &Case<'a>) -> Self {
        let members = case.observation.members.known().map_or(&[][..], Vec::as_slice);
        let (learners, voters): (Vec<_>, Vec<_>) = members.iter().partition(|it| it.learner);
        let learners: BTreeSet<&str> =
            learners.into_iter().filter_map(|member| case.node_of(member.id)).collect();
        let healthy = case.healthy().difference(&learners).copied().collect();
        Self { healthy, count: voters.len(), learners, removed: BTreeSet::new() }
    }

    fn follow(&mut self, action: &'a Action) {
        match action {
            Action::AddLearner { node, .. } => {
                self.learners.insert(node);
            }
            Action::Promote { node } => {
                self.learners.remove(node.as_str());
                self.healthy.insert(node);
                self.count += 1;
            }
            Action::RemoveMember { node, member } => {
                self.healthy.remove(node.as_str());
                if !self.learners.remove(node.as_str()) {
                    self.count = self.count.saturating_sub(1);
                }
                self.removed.extend(member.parse::<MemberId>());
            }
            Action::AwaitHealthy { nodes } => {
                let awaited = nodes.iter().map(String::as_str);
                let votes: Vec<_> = awaited.filter(|it| !self.learners.contains(it)).collect();
                self.healthy.extend(votes);
            }
            Action::RestartNode { node, .. } if !self.learners.contains(node.as_str()) => {
                self.healthy.insert(node);
            }
            _ => {}
        }
    }
}

/// Calls `look` for each action with the voters when its turn comes.
fn walk<'a>(
    case: &Case<'a>,
    mut look: impl FnMut(&'a Action, &Voters<'a>) -> Option<Note>,
) -> Vec<Note> {
    let mut voters = Voters::now(case);
    let mut notes = Vec::new();
    for action in case.actions() {
        notes.extend(look(action, &voters));
        voters.follow(action);
    }
    notes
}

/// R4: what may still be a member's data stays where it is.
pub(super) fn r4_only_what_is_no_member_is_archived(case: &Case<'_>) -> Vec<Note> {
    walk(case, |action, voters| {
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
    walk(case, |action, voters| {
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
    walk(case, |action, voters| {
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
