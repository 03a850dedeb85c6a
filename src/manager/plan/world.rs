//! The cluster as it will be while a plan is carried out: counts what it survives before, during and after each step.

use std::collections::BTreeSet;

use super::{
    action::{Action, Step, Tolerance},
    kinds::{self, Vital},
    note::Note,
    observation::{History, NodeObservation, Observation, Role},
};
use crate::{generate::Lineage, spec::ClusterSpec};

/// Collects steps; each moves the projected health on.
#[derive(Debug)]
pub(super) struct World {
    voters: i64,
    healthy: BTreeSet<String>,
    /// Nodes that have no vote.
    learners: BTreeSet<String>,
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<Note>,
}

impl World {
    /// As it is now. Voters by the member list, else by the record, else by the spec.
    pub(super) fn now(
        spec: &ClusterSpec,
        observation: &Observation,
        history: &History,
        vital: impl Fn(&str) -> Vital,
    ) -> Self {
        let lineage = history.lineage.known().and_then(Option::as_ref);
        let voters = match (observation.members.known(), lineage) {
            (Some(members), _) => members.iter().filter(|member| !member.learner).count(),
            (None, Some(lineage)) => lineage.voters(),
            (None, None) => spec.nodes.len(),
        };
        let learners = learners(observation, lineage);
        let nodes = observation.nodes.iter().map(|node| &node.name);
        // What answers and is no voter of this cluster does not count.
        let votes = |name: &str| {
            let own = kinds::own_member(name, lineage, history).map(|(_, id)| id);
            match (observation.members.known(), lineage) {
                (Some(members), _) => members.iter().any(|it| Some(it.id) == own && !it.learner),
                (None, Some(_)) => own.is_some() && !learners.contains(name),
                (None, None) => spec.node(name).is_some() && !learners.contains(name),
            }
        };
        let healthy =
            nodes.filter(|name| vital(name) == Vital::Healthy && votes(name)).cloned().collect();
        let voters = i64::try_from(voters).unwrap_or(i64::MAX);
        Self { voters, healthy, learners, steps: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn is_healthy(&self, node: &str) -> bool {
        self.healthy.contains(node)
    }

    pub(super) fn healthy(&self) -> &BTreeSet<String> {
        &self.healthy
    }

    pub(super) const fn voters(&self) -> i64 {
        self.voters
    }

    /// Healthy voters beyond the quorum.
    pub(super) fn tolerance(&self) -> i64 {
        i64::try_from(self.healthy.len()).unwrap_or(i64::MAX) - (self.voters / 2 + 1)
    }

    /// Adds a step.
    pub(super) fn step(&mut self, action: Action, reason: impl Into<String>) {
        let before = self.tolerance();
        self.begin(&action);
        let during = self.tolerance().min(before);
        self.end(&action);
        let tolerance =
            Tolerance { before, during, after: self.tolerance(), full: (self.voters - 1) / 2 };
        self.steps.push(Step { action, reason: reason.into(), tolerance });
    }

    /// The worst moment of a step.
    fn begin(&mut self, action: &Action) {
        match action {
            Action::RestartNode { node, .. }
            | Action::StopNode { node }
            // Its peers cannot reach it before it serves its new URLs.
            | Action::UpdateMember { node, .. } => {
                self.healthy.remove(node);
            }
            Action::RemoveMember { node, .. } => {
                self.healthy.remove(node);
                if !self.learners.remove(node) {
                    self.voters -= 1;
                }
            }
            Action::AddLearner { node, .. } => {
                self.learners.insert(node.clone());
            }
            Action::StartAgent
            | Action::Bootstrap { .. }
            | Action::SealBootstrap
            | Action::StartNode { .. }
            | Action::AwaitHealthy { .. }
            | Action::MoveLeader { .. }
            | Action::Promote { .. }
            | Action::Archive { .. } => {}
        }
    }

    fn end(&mut self, action: &Action) {
        match action {
            Action::RestartNode { node, .. } => self.recover(node),
            Action::AwaitHealthy { nodes } => nodes.iter().for_each(|node| self.recover(node)),
            Action::Promote { node } => {
                self.learners.remove(node);
                self.voters += 1;
                self.recover(node);
            }
            Action::StartAgent
            | Action::Bootstrap { .. }
            | Action::SealBootstrap
            | Action::StartNode { .. }
            | Action::StopNode { .. }
            | Action::MoveLeader { .. }
            | Action::AddLearner { .. }
            | Action::RemoveMember { .. }
            | Action::UpdateMember { .. }
            | Action::Archive { .. } => {}
        }
    }

    /// Only voters count.
    fn recover(&mut self, node: &str) {
        if !self.learners.contains(node) {
            self.healthy.insert(node.to_owned());
        }
    }
}

/// Nodes without a vote: by their own word, or by the member list.
fn learners(observation: &Observation, lineage: Option<&Lineage>) -> BTreeSet<String> {
    let listed = observation.members.known().into_iter().flatten();
    let ids: Vec<_> = listed.filter(|member| member.learner).map(|member| member.id).collect();
    let learns = |node: &&NodeObservation| {
        let id = lineage.and_then(|lineage| lineage.member(&node.name)).map(|(_, id)| id);
        node.status.known().is_some_and(|status| status.role == Role::Learner)
            || id.is_some_and(|id| ids.contains(&id))
    };
    observation.nodes.iter().filter(learns).map(|node| node.name.clone()).collect()
}
