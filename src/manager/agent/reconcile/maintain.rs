//! What is done without a request: what is to run and is merely down is started, and what was put
//! off goes on.

use std::collections::BTreeSet;

use tokio::time::{Duration, Instant};

use super::{Active, RESUMED_MAX, Reconciler, TICK, TICK_MANY, Turn, carry_out};
use crate::{
    agent::voice::Voice,
    control::{
        ControlError,
        entry::{Entry, Goal, Settlement},
    },
    execute::{Step, restart::was_rolled_back},
    observe,
    plan::{Action, Fact, Process},
    spec::ClusterSpec,
    supervise::state::Phase,
};

impl Reconciler {
    /// What fails while a host does not answer is put off: it goes on by itself when it does.
    pub(super) async fn put_off(&self, goal: &Goal, turn: Turn) -> Turn {
        let Turn::Over(Settlement::Failed, reason) = turn else { return turn };
        if was_rolled_back(&reason) {
            return Turn::Over(Settlement::Failed, reason);
        }
        let (Some(_), Goal::Converge(_)) = (&self.cluster.many, goal) else {
            return Turn::Over(Settlement::Failed, reason);
        };
        let Ok(Some(spec)) = self.cluster.spec() else {
            return Turn::Over(Settlement::Failed, reason);
        };
        let sights = observe::sights::look_around(&self.cluster, &spec, None).await;
        let silent: Vec<&str> = sights
            .iter()
            .filter(|sight| sight.facts.is_err())
            .map(|sight| sight.host.as_str())
            .collect();
        if silent.is_empty() {
            return Turn::Over(Settlement::Failed, reason);
        }
        let silent = silent.join(", ");
        let text = format!("{reason}; goes on by itself when the agent of {silent} answers");
        Turn::Over(Settlement::Deferred, text)
    }

    /// Without a goal: what is wanted to run and is merely down is started, as after a reboot.
    /// Nothing else is changed: drift waits for an `apply`.
    pub(super) async fn maintain(&mut self) -> Result<Option<Duration>, ControlError> {
        let Ok(Some(spec)) = self.cluster.spec() else { return Ok(Some(TICK)) };
        let tick = if self.cluster.many.is_some() { TICK_MANY } else { TICK };
        let state = self.cluster.control.state();
        match (&state.deferred, &state.paused) {
            // A node started now would not be as it was, but as what waits says.
            (Some(_), Some(_)) => return Ok(Some(tick)),
            (Some(_), None) => return self.resume(&spec).await,
            (None, _) => {}
        }
        let nodes = self.down_and_wanted(&spec).await;
        if nodes.is_empty() {
            return Ok(Some(tick));
        }
        let goal = Goal::Start { nodes };
        let plan = self.look_and_plan(&spec, &goal).await;
        let Some(first) = plan.steps.first().filter(|_| !plan.is_refused()) else {
            return Ok(Some(TICK));
        };
        let starts = matches!(first.action, Action::StartNode { .. } | Action::RestartNode { .. });
        if !starts {
            return Ok(Some(TICK));
        }
        let voice = Voice::to_log();
        let deadline = Instant::now() + RESUMED_MAX;
        let is_superseded = || !self.requests.is_empty();
        let step = Step {
            cluster: &self.cluster,
            spec: &spec,
            voice: &voice,
            deadline,
            is_superseded: &is_superseded,
        };
        let said = first.action.to_string();
        let done = carry_out(&step, &first.action, &said, &first.reason).await?;
        Ok(done.result.is_err().then_some(TICK))
    }

    /// What was put off goes on as soon as there is something to do, or nothing in the way any more.
    async fn resume(&mut self, spec: &ClusterSpec) -> Result<Option<Duration>, ControlError> {
        let Some(goal) = self.cluster.control.state().deferred.clone() else { return Ok(None) };
        let (plan, observation) = self.look(spec, &goal).await;
        if self.is_to_wait((&goal, spec), (&plan, &observation)) {
            return Ok(Some(TICK_MANY));
        }
        if plan.is_refused() || plan.steps.is_empty() && !plan.is_converged() {
            return Ok(Some(TICK_MANY));
        }
        tracing::info!("goes on with what was put off");
        self.cluster.decree(Entry::Goal(goal)).await?;
        let deadline = Instant::now() + RESUMED_MAX;
        self.active = Some(Active { voice: Voice::to_log(), deadline, has_told: false });
        Ok(None)
    }

    /// Nodes that are to run and do not, as far as their agents answer.
    async fn down_and_wanted(&self, spec: &ClusterSpec) -> BTreeSet<String> {
        let state = self.cluster.control.state();
        let wanted = |name: &String| state.is_wanted(name);
        if self.cluster.many.is_none() {
            let nodes = self.cluster.nodes().into_iter().filter(|(name, node)| {
                wanted(name) && matches!(node.state.borrow().phase, Phase::Down)
            });
            return nodes.map(|(name, _)| name).collect();
        }
        let observation = observe::observe(&self.cluster, spec).await;
        let is_down =
            |process: &Fact<Process>| matches!(process, Fact::Known(Process::Stopped { .. }));
        let nodes = observation.nodes.into_iter();
        nodes
            .filter(|node| wanted(&node.name) && is_down(&node.process))
            .map(|node| node.name)
            .collect()
    }
}
