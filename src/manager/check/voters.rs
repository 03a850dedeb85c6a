//! The configuration as a plan changes it, step by step: what the rules about voters look at.

use std::collections::BTreeSet;

use base::MemberId;

use super::Case;
use crate::plan::{Action, Fact, Member, NodeObservation, Note, Role};

/// Who has a vote, and who of them answers.
pub(super) struct Voters<'a> {
    /// Nodes with a vote that answer.
    pub(super) healthy: BTreeSet<&'a str>,
    /// All votes.
    pub(super) count: usize,
    /// Nodes taken in and without a vote yet.
    pub(super) learners: BTreeSet<&'a str>,
    /// Members that the plan took out.
    pub(super) removed: BTreeSet<MemberId>,
}

impl<'a> Voters<'a> {
    /// By the member list; where nobody tells it, every node of the spec counts that does not call itself a learner.
    fn now(case: &Case<'a>) -> Self {
        let (learners, count) = match case.observation.members.known() {
            Some(members) => listed(case, members),
            None => unlisted(case),
        };
        let votes = |name: &&str| match case.observation.members.known() {
            Some(members) => {
                let own = case.member_of(name);
                members.iter().any(|it| Some(it.id) == own && !it.learner)
            }
            None if learners.contains(name) => false,
            None if matches!(case.history.lineage, Fact::Known(Some(_))) => {
                case.member_of(name).is_some()
            }
            None => case.spec.node(name).is_some(),
        };
        let healthy = case.healthy().into_iter().filter(votes).collect();
        Self { healthy, count, learners, removed: BTreeSet::new() }
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
            Action::StopNode { node } => {
                self.healthy.remove(node.as_str());
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

/// Learners and the number of votes by the member list.
fn listed<'a>(case: &Case<'a>, members: &[Member]) -> (BTreeSet<&'a str>, usize) {
    let (learners, voters): (Vec<_>, Vec<_>) = members.iter().partition(|it| it.learner);
    let nodes = learners.into_iter().filter_map(|member| case.node_of(member.id));
    (nodes.collect(), voters.len())
}

/// The same where nobody tells the list.
fn unlisted<'a>(case: &Case<'a>) -> (BTreeSet<&'a str>, usize) {
    let learns = |it: &&NodeObservation| {
        it.status.known().is_some_and(|status| status.role == Role::Learner)
    };
    let nodes = case.observation.nodes.iter().filter(learns);
    let learners: BTreeSet<&str> = nodes.map(|it| it.name.as_str()).collect();
    let nodes = case.spec.nodes.iter().map(|node| node.name.as_str());
    let count = nodes.filter(|name| !learners.contains(name)).count();
    (learners, count)
}

/// Calls `look` for each action and its place with the voters when its turn comes.
pub(super) fn walk<'a>(
    case: &Case<'a>,
    mut look: impl FnMut(usize, &'a Action, &Voters<'a>) -> Option<Note>,
) -> Vec<Note> {
    let mut voters = Voters::now(case);
    let mut notes = Vec::new();
    for (at, action) in case.actions().enumerate() {
        notes.extend(look(at, action, &voters));
        voters.follow(action);
    }
    notes
}
