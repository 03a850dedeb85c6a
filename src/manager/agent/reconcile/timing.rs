//! When a step may begin: before the apply's deadline, and if it is disruptive, in a maintenance window.

use tokio::time::Instant;

use super::{Active, Reconciler, Turn};
use crate::{
    archives::millis,
    control::entry::{Goal, Settlement, Terms},
    maintenance::{closed_until, is_disruptive, sentence},
    plan::{Action, Observation, Plan},
    spec::ClusterSpec,
};

/// What a turn has seen and means to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prospect<'a> {
    pub(super) plan: &'a Plan,
    pub(super) observation: &'a Observation,
    pub(super) chosen: &'a Action,
}

impl Reconciler {
    /// How the turn ends if the chosen step may not begin now.
    pub(super) fn untimely(
        &self,
        (goal, spec): (&Goal, &ClusterSpec),
        prospect: Prospect<'_>,
        active: &Active,
    ) -> Option<Turn> {
        let Goal::Converge(terms) = goal else { return None };
        if self.is_past(terms) {
            let left = prospect.plan.steps.iter().map(|step| step.action.to_string());
            let left = left.collect::<Vec<_>>().join("; ");
            let reason = format!("its deadline has passed; not begun: {left}");
            return Some(Turn::Over(Settlement::Held, reason));
        }
        let now = self.cluster.tools.clock.wall();
        let until = closed_until(&spec.running.windows, now)?;
        if terms.at_once || !is_disruptive(prospect.chosen, prospect.observation) {
            return None;
        }
        let reason = sentence(prospect.chosen, until);
        let left = active.deadline.saturating_duration_since(Instant::now());
        if until.duration_since(now).is_ok_and(|wait| wait < left) {
            return Some(Turn::Wait(reason));
        }
        Some(Turn::Over(Settlement::Postponed, reason))
    }

    /// Whether what was put off has to wait for a window still.
    pub(super) fn is_to_wait(
        &self,
        (goal, spec): (&Goal, &ClusterSpec),
        (plan, observation): (&Plan, &Observation),
    ) -> bool {
        let (Goal::Converge(terms), Some(first)) = (goal, plan.steps.first()) else { return false };
        let now = self.cluster.tools.clock.wall();
        !terms.at_once
            && !self.is_past(terms)
            && is_disruptive(&first.action, observation)
            && closed_until(&spec.running.windows, now).is_some()
    }

    /// A wait that has outlasted the apply's deadline is over; others of build and host are told of what they know.
    pub(super) fn in_time(&self, turn: Turn) -> Turn {
        let state = self.cluster.control.state();
        match (turn, &state.goal) {
            (Turn::Wait(reason), Some(Goal::Converge(terms))) if self.is_past(terms) => Turn::Over(
                Settlement::Held,
                format!("its deadline has passed; waited for: {reason}"),
            ),
            (Turn::Over(Settlement::Postponed, reason), _) if !state.group.understands(3) => {
                Turn::Over(Settlement::Deferred, reason)
            }
            (turn, _) => turn,
        }
    }

    fn is_past(&self, terms: &Terms) -> bool {
        let now = millis(self.cluster.tools.clock.wall());
        terms.deadline_ms.is_some_and(|deadline| now >= deadline)
    }
}
