//! The reconcile loop: look, plan, check, carry out one step, journal, and again until the plan is
//! empty. The only task that changes anything; requests come in one at a time.

use std::sync::Arc;

use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};
use wire::agentpb::progress::Outcome;

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
    execute::{Step, execute},
    observe,
    plan::{Action, NoteKind, Plan},
    spec::{ClusterSpec, Loaded},
    supervise::state::{NodeEvent, Phase},
};

/// Requests waiting.
pub(crate) const REQUESTS_MAX: usize = 4;
/// How often things are looked at though nothing seems to have changed.
const TICK: Duration = Duration::from_secs(10);
/// The same while a request waits for something.
const TICK_WAITING: Duration = Duration::from_millis(500);
/// What a request that was left by a killed agent may still take.
const RESUMED_MAX: Duration = Duration::from_secs(300);

/// Something somebody wants.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) goal: Goal,
    /// A new spec, to be committed first.
    pub(crate) spec: Option<Loaded>,
    pub(crate) timeout: Duration,
    pub(crate) voice: Voice,
}

/// The loop's own state.
#[derive(Debug)]
pub(crate) struct Reconciler {
    cluster: Arc<Cluster>,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Receiver<NodeEvent>,
    active: Option<Active>,
    /// Steps that a plan may skip because they were tried: R11 asks for an attempt, not for success.
    moves_tried: u32,
}

#[derive(Debug)]
struct Active {
    voice: Voice,
    deadline: Instant,
}

/// What one turn of the loop came to.
enum Turn {
    Again,
    Wait(String),
    Over(Settlement, String),
}

impl Reconciler {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Receiver<NodeEvent>,
    ) -> Self {
        Self { cluster, requests, events, active: None, moves_tried: 0 }
    }

    /// Runs until the handles are gone, or the control log cannot be written.
    ///
    /// # Errors
    /// [`ControlError`]: then the agent must end (R13).
    pub(crate) async fn run(mut self) -> Result<(), ControlError> {
        let spec = self.cluster.spec().ok().flatten();
        self.cluster.keep_nodes(spec.as_deref()).await;
        if self.cluster.control.state().goal.is_some() {
            let deadline = Instant::now() + RESUMED_MAX;
            self.active = Some(Active { voice: Voice::to_log(), deadline });
            tracing::info!("goes on with what the last agent had begun");
        }
        let mut changes = self.cluster.changes.subscribe();
        loop {
            self.promise();
            changes.borrow_and_update();
            self.journal().await?;
            if let Ok(request) = self.requests.try_recv() {
                self.accept(request).await?;
            }
            self.note_members().await?;
            self.cluster.hot.send_if_modified(|hot| {
                std::mem::replace(hot, self.active.is_some()) != self.active.is_some()
            });
            let pause =
                if self.active.is_some() { self.pursue().await? } else { self.maintain().await? };
            let Some(pause) = pause else { continue };
            let hung_up = async {
                match &self.active {
                    Some(active) => active.voice.hung_up().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.accept(request).await?,
                    None => return Ok(()),
                },
                Some(event) = self.events.recv() => self.write_event(event).await?,
                _ = changes.changed() => {}
                () = hung_up => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A turn may take as long as its request; without one, as long as a start.
    fn promise(&self) {
        let within = self.active.as_ref().map_or(RESUMED_MAX, |active| {
            active.deadline.saturating_duration_since(Instant::now()).max(RESUMED_MAX)
        });
        self.cluster.tools.pulse.promise(within);
    }

    /// Makes a request the goal, by committed entries.
    async fn accept(&mut self, request: Request) -> Result<(), ControlError> {
        if let Some(before) = self.active.take() {
            before.voice.end(Outcome::Held, "another request took over".to_owned()).await;
        }
        let control = &self.cluster.control;
        if let Some(loaded) = request.spec {
            let state = control.state();
            let known = state.spec.as_ref();
            let source = loaded.spec.source.to_string_lossy().into_owned();
            if known.is_none_or(|known| known.digest != loaded.digest || known.source != source) {
                let entry = Entry::Spec {
                    base: state.spec_revision(),
                    text: loaded.text,
                    digest: loaded.digest,
                    source,
                };
                if let Err(error) = control.commit(entry).await {
                    let text = base::ErrorChain(&error).to_string();
                    request.voice.end(Outcome::Failed, text).await;
                    return only_fatal(error);
                }
            }
        }
        let is_run_wanted = !matches!(request.goal, Goal::Stop { .. });
        control.commit(Entry::Goal(request.goal)).await?;
        let spec = self.cluster.spec().ok().flatten();
        self.cluster.keep_nodes(spec.as_deref()).await;
        if is_run_wanted {
            for (name, node) in self.cluster.nodes() {
                if let Err(reason) = node.keeper.nudge().await {
                    tracing::warn!("{name}: {reason}");
                }
            }
        }
        self.moves_tried = 0;
        let deadline = Instant::now() + request.timeout;
        self.active = Some(Active { voice: request.voice, deadline });
        Ok(())
    }

    /// One turn towards the goal; returns how long to wait before the next, if at all.
    async fn pursue(&mut self) -> Result<Option<Duration>, ControlError> {
        let Some(active) = self.active.take() else { return Ok(None) };
        let turn = self.turn(&active).await?;
        match turn {
            Turn::Again => {
                self.active = Some(active);
                Ok(None)
            }
            Turn::Wait(reason) => {
                active.voice.waiting(reason);
                self.active = Some(active);
                Ok(Some(TICK_WAITING))
            }
            Turn::Over(settlement, reason) => {
                let entry = Entry::Settled { outcome: settlement, reason: reason.clone() };
                self.cluster.control.commit(entry).await?;
                let outcome = match settlement {
                    Settlement::Reached => Outcome::Converged,
                    Settlement::Failed => Outcome::Failed,
                    Settlement::Refused => Outcome::Refused,
                    Settlement::Held => Outcome::Held,
                };
                active.voice.end(outcome, reason).await;
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
            return Ok(without_steps(&goal, &plan, late));
        };
        if late {
            let reason = format!("out of time before: {}", first.action);
            return Ok(Turn::Over(Settlement::Failed, reason));
        }
        // A leader that could not hand over is restarted all the same: R11 asks for a bounded try.
        let skip = matches!(first.action, Action::MoveLeader { .. }) && self.moves_tried > 0;
        let chosen = if skip { plan.steps.get(1).unwrap_or(first) } else { first };
        // The guard: fresh facts must lead to the same step.
        let again = self.look_and_plan(&spec, &goal).await;
        if again.steps.get(usize::from(skip)) != Some(chosen) {
            return Ok(Turn::Again);
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
        Ok(match done {
            Err(_) if is_left => Turn::Again,
            Err(reason) if !tried_move => {
                Turn::Over(Settlement::Failed, format!("{said}: {reason}"))
            }
            _ => Turn::Again,
        })
    }

    async fn look_and_plan(&self, spec: &ClusterSpec, goal: &Goal) -> Plan {
        let observation = observe::observe(&self.cluster, spec).await;
        let history = observe::history(&self.cluster.control.state());
        plan_checked(&wanted_goal(goal), spec, &observation, &history)
    }

    /// Without a goal: what is wanted to run and is merely down is started, as after a reboot.
    /// Nothing else is changed: drift waits for an `apply`.
    async fn maintain(&mut self) -> Result<Option<Duration>, ControlError> {
        let Ok(Some(spec)) = self.cluster.spec() else { return Ok(Some(TICK)) };
        let state = self.cluster.control.state();
        let is_down = |name: &String| {
            let node = self.cluster.node(name);
            node.is_some_and(|node| matches!(node.state.borrow().phase, Phase::Down))
        };
        let down = state.nodes.keys().filter(|name| state.is_wanted(name) && is_down(name));
        let nodes: std::collections::BTreeSet<String> = down.cloned().collect();
        if nodes.is_empty() {
            return Ok(Some(TICK));
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
        Ok(done.is_err().then_some(TICK))
    }

    /// Writes what the keepers reported.
    async fn journal(&mut self) -> Result<(), ControlError> {
        while let Ok(event) = self.events.try_recv() {
            self.write_event(event).await?;
        }
        Ok(())
    }

    async fn write_event(&self, event: NodeEvent) -> Result<(), ControlError> {
        let NodeEvent { node, text, restarts, ended_run } = event;
        self.cluster.control.commit(Entry::Happened { node, text, restarts, ended_run }).await?;
        Ok(())
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

/// Journals the intent, does it, journals the outcome.
async fn carry_out(
    step: &Step<'_>,
    action: &Action,
    said: &str,
    reason: &str,
) -> Result<Result<String, String>, ControlError> {
    let control = &step.cluster.control;
    step.voice.step(format!("{said}: {reason}")).await;
    control.commit(Entry::Intent { step: said.to_owned() }).await?;
    let done = execute(step, action).await;
    let (has_worked, text) = match &done {
        Ok(text) => (true, text.clone()),
        Err(text) => (false, text.clone()),
    };
    control.commit(Entry::Outcome { done: has_worked, text: text.clone() }).await?;
    let verb = if has_worked { "" } else { "failed: " };
    step.voice.step_done(format!("{said}: {verb}{text}")).await;
    Ok(done)
}

fn without_steps(goal: &Goal, plan: &Plan, late: bool) -> Turn {
    if plan.is_converged() {
        let reached = match goal {
            Goal::Converge => "converged",
            Goal::Stop { .. } => "stopped; membership and data are as they were",
            Goal::Start { .. } => "started",
            Goal::Restart { .. } => "restarted",
        };
        return Turn::Over(Settlement::Reached, reached.to_owned());
    }
    if plan.has(NoteKind::Blocked) {
        return Turn::Over(Settlement::Failed, notes_text(plan, NoteKind::Blocked));
    }
    let waiting = notes_text(plan, NoteKind::Wait);
    if late {
        return Turn::Over(Settlement::Failed, format!("out of time: {waiting}"));
    }
    Turn::Wait(waiting)
}

/// A rejected entry concerns its proposer only; a log that cannot be written ends the agent.
fn only_fatal(error: ControlError) -> Result<(), ControlError> {
    match error {
        ControlError::Rejected(_) => Ok(()),
        fatal => Err(fatal),
    }
}
