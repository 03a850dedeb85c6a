//! Judges a plan by the safety rules before anything of it is carried out. One function per rule; none decides what to
//! do, and none believes what the planner assumed: each looks at the facts again.

mod bootstrap;
mod membership;
mod restart;
mod start;
mod stop;
mod versions;
mod voters;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use base::MemberId;

use crate::{
    plan::{
        Action, Fact, Health, History, Note, NoteKind, Observation, Plan, Role, Rule,
        kinds::{Dir, Kinds, own_member},
    },
    spec::ClusterSpec,
};

/// A plan and the facts that it was made from.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    plan: &'a Plan,
    spec: &'a ClusterSpec,
    observation: &'a Observation,
    history: &'a History,
}

/// All rules, in the order of their numbers; those of etcd's versions have none.
const RULES: &[fn(&Case<'_>) -> Vec<Note>] = &[
    bootstrap::r1_no_new_cluster_beside_one_that_answers,
    bootstrap::r2_new_only_before_the_latch,
    bootstrap::r2_a_bootstrap_is_of_all_nodes_and_all_are_empty,
    start::r3_only_dirs_of_this_lineage_are_started,
    membership::r4_only_what_is_no_member_is_archived,
    membership::r5_one_change_at_a_time_beside_healthy_voters,
    restart::r5_no_healthy_member_is_restarted_beside_an_unhealthy_one,
    membership::r6_a_removal_leaves_a_quorum,
    stop::r10_stopping_does_nothing_else,
    restart::r11_a_leader_is_asked_to_hand_over_first,
    restart::r11_a_restart_keeps_the_quorum,
    start::r13_an_unreadable_record_starts_nothing,
    start::r14_what_is_unknown_is_not_stopped,
    start::r17_a_lost_disk_is_not_started,
    versions::a_new_program_is_known_before_it_is_started,
    versions::one_minor_version_at_a_time,
    versions::no_program_older_than_the_cluster,
];

/// The verdicts: any of them refuses the plan as a whole. Empty if it keeps all rules.
#[must_use]
pub fn check(
    plan: &Plan,
    spec: &ClusterSpec,
    observation: &Observation,
    history: &History,
) -> Vec<Note> {
    let case = Case { plan, spec, observation, history };
    RULES.iter().flat_map(|rule| rule(&case)).collect()
}

impl<'a> Case<'a> {
    /// A verdict.
    fn refuse(rule: u8, node: Option<&str>, text: impl Into<String>) -> Note {
        Note {
            kind: NoteKind::Refused,
            rule: Some(Rule(rule)),
            node: node.map(ToOwned::to_owned),
            text: text.into(),
            remedy: "the manager has planned against its own rules: report it with this output"
                .to_owned(),
        }
    }

    fn actions(&self) -> impl Iterator<Item = &'a Action> {
        self.plan.steps.iter().map(|step| &step.action)
    }

    /// Nodes that some step of the plan starts on what is there now.
    fn started(&self) -> BTreeSet<&'a str> {
        let mut nodes = BTreeSet::new();
        let mut emptied = BTreeSet::new();
        for action in self.actions() {
            match action {
                Action::Archive { node } => {
                    emptied.insert(node.as_str());
                }
                Action::StartNode { node } if emptied.contains(node.as_str()) => {}
                Action::StartNode { node } | Action::RestartNode { node, .. } => {
                    nodes.insert(node.as_str());
                }
                Action::Bootstrap { nodes: all } => nodes.extend(all.iter().map(String::as_str)),
                _ => {}
            }
        }
        nodes
    }

    fn dir(&self, node: &str) -> Option<Dir> {
        let node = self.spec.node(node)?;
        Some(Kinds::of(node, None, self.observation, self.history).dir)
    }

    /// Nodes that answer a linearizable read now.
    fn healthy(&self) -> BTreeSet<&'a str> {
        let nodes = self.observation.nodes.iter();
        nodes
            .filter(|node| node.health == Fact::Known(Health::Healthy))
            .map(|node| node.name.as_str())
            .collect()
    }

    /// The member of a node, by the records.
    fn member_of(&self, node: &str) -> Option<MemberId> {
        let lineage = self.history.lineage.known().and_then(Option::as_ref);
        own_member(node, lineage, self.history).map(|(_, id)| id)
    }

    /// The node of a member.
    fn node_of(&self, member: MemberId) -> Option<&'a str> {
        let mut nodes = self.observation.nodes.iter().map(|node| node.name.as_str());
        nodes.find(|node| self.member_of(node) == Some(member))
    }

    fn leads(&self, node: &str) -> bool {
        let status = self.observation.node(node).and_then(|node| node.status.known());
        status.is_some_and(|status| status.role == Role::Leader)
    }
}
