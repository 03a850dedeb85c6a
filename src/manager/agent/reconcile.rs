//! The reconcile loop: look, plan, check, carry out one step, journal, and again until the plan is
//! empty. The only task that changes anything; requests come in one at a time.

mod accept;
mod carry;
mod endings;
mod hold;
mod maintain;
mod reign;
mod timing;

use std::sync::Arc;

use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{
    agent::{
        cluster::Cluster,
        planner::{notes_text, plan_checked, wanted_goal},
        voice::Voice,
    },
    control::{
        ControlError,
        entry::{Entry, Goal, Settlement},
    },
    execute::Step,
    observe,
    plan::{Action, NoteKind, Observation, Plan},
    spec::{ClusterSpec, Loaded},
};
pub(crate) use accept::superseded_by;
use carry::carry_out;
use endings::without_steps;
pub(crate) use endings::{outcome_of, unrecorded};
use timing::Prospect;

/// Requests waiting.
pub(crate) const REQUESTS_MAX: usize = 4;
/// How often things are looked at though nothing seems to have changed.
const TICK: Duration = Duration::from_secs(10);
/// The same while a request waits for something.
const TICK_WAITING: Duration = Duration::from_millis(500);
/// The same while nothing waits, among several agents: a change elsewhere is only seen by a look.
const TICK_MANY: Duration = Duration::from_secs(2);
/// Before the next try after a failed commit.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(300);
/// What a request that was left by a killed agent may still take.
const RESUMED_MAX: Duration = Duration::from_secs(300);

/// Something somebody wants.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) goal: Goal,
    /// A new spec, to be committed first.
    pub(crate) spec: Option<Loaded>,
    /// Revision that the wanted spec must have.
    pub(crate) expect: Option<u64>,
    pub(crate) timeout: Duration,
    pub(crate) voice: Voice,
}

/// The loop's own state.
#[derive(Debug)]
pub(crate) struct Reconciler {
    cluster: Arc<Cluster>,
    requests: mpsc::Receiver<Request>,
    /// A request that has just come.
    waiting: Option<Request>,
    /// Nothing is decided before: a call of the last agent that led may still be under way (R5).
    hold: Option<hold::Hold>,
    /// The newest goal that the keepers were told of.
    heeded: u64,
    active: Option<Active>,
    /// Steps that a plan may skip because they were tried: R11 asks for an attempt, not for success.
    moves_tried: u32,
}

#[derive(Debug)]
struct Active {
    voice: Voice,
    deadline: Instant,
    /// Whether the listener knows that something is waited for.
    has_told: bool,
}

/// What one turn of the loop came to.
enum Turn {
    Again,
    Wait(String),
    Over(Settlement, String),
}

impl Reconciler {
    pub(crate) fn new(cluster: Arc<Cluster>, requests: mpsc::Receiver<Request>) -> Self {
        let heeded = cluster.control.state().goal_number;
        Self { cluster, requests, waiting: None, hold: None, heeded, active: None, moves_tried: 0 }
    }

    /// Runs until the handles are gone, or the control log cannot be written.
    ///
    /// # Errors
    /// [`ControlError`]: then the agent must end (R13).
    pub(crate) async fn run(mut self) -> Result<(), ControlError> {
        let mut changes = self.cluster.changes.subscribe();
        let mut states = self.cluster.control.watch();
        loop {
            self.promise();
            changes.borrow_and_update();
            states.borrow_and_update();
            let pause = match self.round().await {
                Ok(None) => continue,
                Ok(Some(pause)) => pause,
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => {
                    tracing::warn!("{}", base::ErrorChain(&error));
                    self.step_down();
                    PAUSE_AFTER_FAILURE
                }
            };
            let is_many = self.cluster.many.is_some();
            let hung_up = async {
                match &self.active {
                    Some(active) => active.voice.hung_up().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.waiting = Some(request),
                    None => return Ok(()),
                },
                _ = changes.changed() => {}
                _ = states.changed(), if is_many => {}
                () = self.cluster.control.leadership_changed(), if is_many => {}
                () = hung_up => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round; returns how long to wait before the next, if at all.
    async fn round(&mut self) -> Result<Option<Duration>, ControlError> {
        self.heed().await;
        self.check_reign().await?;
        let request = self.waiting.take().or_else(|| self.requests.try_recv().ok());
        if let Some(request) = request {
            self.accept(request).await?;
        }
        let noted = self.note_members().await;
        if self.cluster.reign().is_none() {
            // An agent that only follows tells what it saw when it can.
            return match noted {
                Err(error) if error.is_fatal() => Err(error),
                _ => Ok(Some(TICK)),
            };
        }
        noted?;
        if let Some(left) = self.hold_left().await {
            return Ok(Some(left));
        }
        if self.active.is_some() { self.pursue().await } else { self.maintain().await }
    }

    /// A turn may take as long as its request; without one, as long as a start.
    fn promise(&self) {
        let within = self.active.as_ref().map_or(RESUMED_MAX, |active| {
            active.deadline.saturating_duration_since(Instant::now()).max(RESUMED_MAX)
        });
        self.cluster.tools.pulse.promise(within);
    }

    /// One turn towards the goal; returns how long to wait before the next, if at all.
    async fn pursue(&mut self) -> Result<Option<Duration>, ControlError> {
        let Some(mut active) = self.active.take() else { return Ok(None) };
        let turn = self.turn(&active).await?;
        let turn = self.in_time(turn);
        match turn {
            Turn::Again => {
                self.active = Some(active);
                Ok(None)
            }
            Turn::Wait(reason) => {
                if !std::mem::replace(&mut active.has_told, true) {
                    active.voice.note(format!("waits: {reason}")).await;
                }
                active.voice.waiting(reason);
                self.active = Some(active);
                Ok(Some(TICK_WAITING))
            }
            Turn::Over(settlement, reason) => {
                let entry = Entry::Settled { outcome: settlement, reason: reason.clone() };
                self.cluster.decree(entry).await?;
                active.voice.end(outcome_of(settlement), reason).await;
                Ok(None)
            }
        }
    }

    async fn turn(&mut self, active: &Active) -> Result<Turn, ControlError> {
        let state = self.cluster.control.state();
        let Some(goal) = state.goal.clone() else {
            return Ok(Turn::Over(Settlement::Reached, "nothing to do".to_owned()));
        };
        let spec = match self.cluster.spec() {
            Ok(Some(spec)) => spec,
            Ok(None) => {
                let reason = "no spec was applied yet: etcd-manager apply cluster.toml".to_owned();
                return Ok(Turn::Over(Settlement::Failed, reason));
            }
            Err(reason) => return Ok(Turn::Over(Settlement::Failed, reason)),
        };
        if active.voice.has_hung_up() {
            let reason = "interrupted; apply again to go on".to_owned();
            return Ok(Turn::Over(Settlement::Held, reason));
        }
        if let Some(over) = self.forbidden(&state, &goal) {
            return Ok(over);
        }
        let plan = self.look_and_plan(&spec, &goal).await;
        if plan.is_refused() {
            return Ok(Turn::Over(Settlement::Refused, notes_text(&plan, NoteKind::Refused)));
        }
        let late = Instant::now() >= active.deadline;
        let Some(first) = plan.steps.first() else {
            if plan.is_converged() {
                for drift in &plan.notes {
                    active.voice.note(drift.to_string()).await;
                }
            }
            return Ok(self.put_off(&goal, without_steps(&goal, &plan, late)).await);
        };
        if late {
            let reason = format!("out of time before: {}", first.action);
            let turn = Turn::Over(Settlement::Failed, reason);
            return Ok(self.put_off(&goal, turn).await);
        }
        // A leader that could not hand over is restarted all the same: R11 asks for a bounded try.
        let skip = matches!(first.action, Action::MoveLeader { .. }) && self.moves_tried > 0;
        let chosen = if skip { plan.steps.get(1).unwrap_or(first) } else { first };
        // The guard: fresh facts must lead to the same step.
        let (again, observation) = self.look(&spec, &goal).await;
        if again.steps.get(usize::from(skip)) != Some(chosen) {
            return Ok(Turn::Again);
        }
        let prospect = Prospect { plan: &again, observation: &observation, chosen: &chosen.action };
        if let Some(turn) = self.untimely((&goal, &spec), prospect, active) {
            return Ok(turn);
        }
        let is_superseded = || !self.requests.is_empty();
        let step = Step {
            cluster: &self.cluster,
            spec: &spec,
            voice: &active.voice,
            deadline: active.deadline,
            is_superseded: &is_superseded,
        };
        let said = chosen.action.to_string();
        let tried_move = matches!(chosen.action, Action::MoveLeader { .. });
        let done = carry_out(&step, &chosen.action, &said, &chosen.reason).await?;
        self.moves_tried = if tried_move { self.moves_tried + 1 } else { 0 };
        let is_left = !self.requests.is_empty() || active.voice.has_hung_up();
        Ok(match done.result {
            Err(_) if is_left => Turn::Again,
            Err(reason) if !tried_move || done.is_forbidden => {
                let turn = Turn::Over(Settlement::Failed, format!("{said}: {reason}"));
                self.put_off(&goal, turn).await
            }
            _ => Turn::Again,
        })
    }

    async fn look_and_plan(&self, spec: &ClusterSpec, goal: &Goal) -> Plan {
        self.look(spec, goal).await.0
    }

    async fn look(&self, spec: &ClusterSpec, goal: &Goal) -> (Plan, Observation) {
        let observation = observe::observe(&self.cluster, spec).await;
        let history = observe::history(&self.cluster.control.state());
        let plan = plan_checked(&wanted_goal(goal), spec, &observation, &history);
        (plan, observation)
    }

    /// Records which member each data dir was seen to hold.
    async fn note_members(&self) -> Result<(), ControlError> {
        let state = self.cluster.control.state();
        for (name, node) in self.cluster.nodes() {
            let known = state.node(&name).and_then(crate::control::state::NodeLedger::member);
            if known.is_some() {
                continue;
            }
            let run = node.state.borrow().phase.running().cloned();
            let disk = &*self.cluster.tools.disk;
            if let Some((cluster, member)) = run.and_then(|run| observe::member_of(disk, &run)) {
                self.cluster
                    .control
                    .commit(Entry::MemberSeen { node: name, cluster, member })
                    .await?;
            }
        }
        Ok(())
    }
}
