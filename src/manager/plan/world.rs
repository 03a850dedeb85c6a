//! The cluster as it will be while a plan is carried out: counts what it survives before, during and after each step.

use std::collections::BTreeSet;

use super::{
    action::{Action, Step, Tolerance},
    kinds::Vital,
    note::Note,
    observation::{History, Observation, Role},
};
use crate::spec::ClusterSpec;

/// Collects steps; each moves the projected health on.
#[derive(Debug)]
pub(super) struct World {
    voters: i64,
    healthy: BTreeSet<String>,
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
            (None, Some(lineage)) => lineage.initial_cluster.len(),
            (None, None) => spec.nodes.len(),
        };
        let learner = |name: &str| {
            let status = observation.node(name).and_then(|node| node.status.known());
            status.is_some_and(|status| status.role == Role::Learner)
        };
        let healthy = observation
            .nodes
            .iter()
            .filter(|node| vital(&node.name) == Vital::Healthy && !learner(&node.name))
            .map(|node| node.name.clone())
            .collect();
        let voters = i64::try_from(voters).unwrap_or(i64::MAX);
        Self { voters, healthy, steps: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn is_healthy(&self, node: &str) -> bool {
        self.healthy.contains(node)
    }

    pub(super) fn healthy(&self) -> &BTreeSet<String> {
        &self.healthy
    }

    /// Healthy voters beyond the quorum.
    pub(super) fn tolerance(&self) -> i64 {
        i64::try_from(self.healthy.len()).unwrap_or(i64::MAX) - (self.voters / 2 + 1)
    }

    /// Adds a step.
    pub(super) fn step(&mut self, action: Action, reason: impl Into<String>) {
        let before = self.tolerance();
        let during = match &action {
            Action::RestartNode { node, .. } | Action::StopNode { node } => {
                self.healthy.remove(node);
                self.tolerance()
            }
            Action::StartAgent
            | Action::Bootstrap { .. }
            | Action::SealBootstrap
            | Action::StartNode { .. }
            | Action::AwaitHealthy { .. }
            | Action::MoveLeader { .. } => before,
        };
        match &action {
            Action::RestartNode { node, .. } => {
                self.healthy.insert(node.clone());
            }
            Action::AwaitHealthy { nodes } => self.healthy.extend(nodes.iter().cloned()),
            Action::StartAgent
            | Action::Bootstrap { .. }
            | Action::SealBootstrap
            | Action::StartNode { .. }
            | Action::StopNode { .. }
            | Action::MoveLeader { .. } => {}
        }
        let tolerance =
            Tolerance { before, during, after: self.tolerance(), full: (self.voters - 1) / 2 };
        self.steps.push(Step { action, reason: reason.into(), tolerance });
    }
}
