//! Maintenance windows: when disruptive steps may begin. Pure: the time comes from the caller.

pub mod window;

use std::time::SystemTime;

use crate::plan::{Action, Fact, Health, Observation, Plan};
use window::Window;

/// Whether a step takes something away from a cluster that serves: a restart or removal of a healthy node, a move of
/// leadership or of URLs. First starts, nodes that are down and lost redundancy are put right at any time.
pub(crate) fn is_disruptive(action: &Action, observation: &Observation) -> bool {
    // What is not known to be ill may serve.
    let serves = |node: &str| {
        let health = observation.node(node).map(|node| &node.health);
        !matches!(health, Some(Fact::Known(Health::Unhealthy(_))) | None)
    };
    match action {
        Action::MoveLeader { .. } | Action::UpdateMember { .. } => true,
        Action::RestartNode { node, .. }
        | Action::StopNode { node }
        | Action::RemoveMember { node, .. } => serves(node),
        Action::StartAgent
        | Action::Bootstrap { .. }
        | Action::SealBootstrap
        | Action::StartNode { .. }
        | Action::AwaitHealthy { .. }
        | Action::AddLearner { .. }
        | Action::Promote { .. }
        | Action::Archive { .. } => false,
    }
}

/// Until when disruptive steps wait; nothing if one may begin now.
pub(crate) fn closed_until(windows: &[Window], now: SystemTime) -> Option<SystemTime> {
    if windows.is_empty() || windows.iter().any(|window| window.is_open(now)) {
        return None;
    }
    windows.iter().map(|window| window.next_opening(now)).min()
}

/// What of a plan waits for a window, in a sentence; nothing if none of it does.
pub(crate) fn waits(
    plan: &Plan,
    observation: &Observation,
    (windows, now): (&[Window], SystemTime),
) -> Option<String> {
    let until = closed_until(windows, now)?;
    let step = plan.steps.iter().find(|step| is_disruptive(&step.action, observation))?;
    Some(sentence(&step.action, until))
}

/// That a step waits, until when, and what else would do.
pub(crate) fn sentence(action: &Action, until: SystemTime) -> String {
    let until = humantime::format_rfc3339_seconds(until);
    format!(
        "{action} waits for the maintenance window that opens at {until}; etcd-manager apply --now does it at once"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Scene;

    #[test]
    fn only_what_takes_from_a_cluster_that_serves_is_disruptive() {
        let mut scene = Scene::healthy(3);
        let restart = Action::RestartNode { node: "n1".into(), changes: Vec::new(), soak_ms: None };
        let remove = Action::RemoveMember { node: "n1".into(), member: "1".into() };
        let start = Action::StartNode { node: "n1".into() };
        let handover = Action::MoveLeader { from: "n1".into(), to: "n2".into() };
        for (action, expected) in
            [(&restart, true), (&remove, true), (&start, false), (&handover, true)]
        {
            assert_eq!(is_disruptive(action, &scene.observation), expected, "{action}");
        }
        scene.ill("n1", "it hangs");
        assert!(
            !is_disruptive(&restart, &scene.observation)
                && !is_disruptive(&remove, &scene.observation),
            "it is ill"
        );
        scene.see("n1").health = Fact::Unknown("no answer".into());
        assert!(is_disruptive(&restart, &scene.observation), "it may serve");
    }
}
