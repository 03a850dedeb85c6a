//! Keeps one node: one task that owns its process, its pauses and its restart history.
//!
//! It receives commands from `execute`, watches the shim, and publishes a [`NodeState`]. What it may
//! start, and with what, it asks its [`Guidance`] each time.

use std::{fmt, path::PathBuf, process::Child, sync::Arc, time::Instant};

use base::Clock;
use disk::Disk;
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    classify::{Cause, Verdict},
    policy::{Decision, End, Policy, RestartHistory},
    process::port_owner,
    record::{ExitRecord, NodeDir, Record, RunRecord, ShimOrder, StopRecord, wall_ms},
    state::{EndSeen, NodeEvent, NodeState, Phase},
    watch::ProcessWatch,
};

mod adopt;
mod launch;
mod reclaim;

/// What a keeper may not decide for itself.
pub trait Guidance: Send + Sync {
    /// The restart policy in force.
    fn policy(&self) -> Policy;
    /// The order to restart a node with after an end that nobody asked for, made from the last one.
    ///
    /// # Errors
    /// Why it must not be restarted by itself.
    fn renew(&self, last: &ShimOrder) -> Result<ShimOrder, String>;
    /// Whether committed entries want this node to run.
    fn is_wanted(&self, node: &str) -> bool;
}

/// What a keeper works with.
#[derive(Clone)]
pub struct Workshop {
    /// Path of `etcd-manager`.
    pub manager: PathBuf,
    /// The agent's state dir.
    pub state_dir: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Decisions.
    pub guidance: Arc<dyn Guidance>,
    /// Where events go.
    pub events: mpsc::Sender<NodeEvent>,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workshop").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

/// What the journal knows of a node when its keeper begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// Restarts counted so far.
    pub restarts: u64,
    /// The last run whose end is known; 0 if none.
    pub ended_run: u64,
}

type Answer = oneshot::Sender<Result<(), String>>;

enum Command {
    Start { order: Box<ShimOrder>, answer: Answer },
    Stop { answer: Answer },
    Nudge { answer: Answer },
}

/// Handle of a keeper. The keeper ends (and the node runs on) when all handles are gone.
#[derive(Debug, Clone)]
pub struct Keeper {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<NodeState>,
}

impl Keeper {
    /// Looks for a node left by an earlier agent, adopts it, and goes on from there.
    /// Must run inside a tokio runtime.
    #[must_use]
    pub fn begin(node: String, past: Past, workshop: Workshop) -> Self {
        let (commands, inbox) = mpsc::channel(8);
        let first = NodeState {
            phase: Phase::Down,
            restarts: past.restarts,
            last_end: None,
            is_looked_at: false,
        };
        let (publish, state) = watch::channel(first);
        let origin = workshop.clock.now();
        let task = Task {
            dir: NodeDir::of(&workshop.state_dir, &node),
            node,
            workshop,
            publish,
            history: RestartHistory::default(),
            origin,
            journaled_end: past.ended_run,
            live: Live::Idle,
            shim: None,
            stop_answers: Vec::new(),
        };
        let keeper = Self { commands, state };
        tokio::spawn(task.run(inbox));
        keeper
    }

    /// The node's state, followed as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<NodeState> {
        self.state.clone()
    }

    /// Starts the node and returns when its process runs and is on record.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn start(&self, order: ShimOrder) -> Result<(), String> {
        self.ask(|answer| Command::Start { order: Box::new(order), answer }).await
    }

    /// Stops the node gracefully and returns when it has ended.
    ///
    /// # Errors
    /// Why it could not be stopped.
    pub async fn stop(&self) -> Result<(), String> {
        self.ask(|answer| Command::Stop { answer }).await
    }

    /// Ends a pause at once: an operator has come and may have mended what was wrong.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn nudge(&self) -> Result<(), String> {
        self.ask(|answer| Command::Nudge { answer }).await
    }

    async fn ask(&self, command: impl FnOnce(Answer) -> Command) -> Result<(), String> {
        let gone = "the keeper of this node has ended";
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.or(Err(gone))?;
        answered.await.or(Err(gone))?
    }
}

/// What the task waits for.
enum Live {
    Idle,
    Watching { run: Box<RunRecord>, watch: ProcessWatch },
    Pausing { until: tokio::time::Instant, order: Box<ShimOrder> },
}

struct Task {
    node: String,
    dir: NodeDir,
    workshop: Workshop,
    publish: watch::Sender<NodeState>,
    history: RestartHistory,
    origin: Instant,
    /// The run whose end is in the journal already.
    journaled_end: u64,
    live: Live,
    /// The shim, if this agent started it: it must be reaped.
    shim: Option<Child>,
    stop_answers: Vec<Answer>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        self.adopt().await;
        self.publish.send_modify(|state| state.is_looked_at = true);
        loop {
            let happened = match &self.live {
                Live::Idle => Happened::from_command(inbox.recv().await),
                Live::Watching { watch, .. } => tokio::select! {
                    command = inbox.recv() => Happened::from_command(command),
                    () = watch.ended() => Happened::ShimEnded,
                },
                Live::Pausing { until, .. } => tokio::select! {
                    command = inbox.recv() => Happened::from_command(command),
                    () = tokio::time::sleep_until(*until) => Happened::PauseOver,
                },
            };
            match happened {
                Happened::HandlesGone => return,
                Happened::Command(Command::Start { order, answer }) => {
                    let started = self.on_start(*order).await;
                    answer.send(started).unwrap_or_default();
                }
                Happened::Command(Command::Stop { answer }) => self.on_stop(answer),
                Happened::Command(Command::Nudge { answer }) => {
                    if matches!(self.live, Live::Pausing { .. }) {
                        self.history.forget();
                        self.on_pause_over().await;
                    }
                    answer.send(Ok(())).unwrap_or_default();
                }
                Happened::ShimEnded => self.on_shim_end().await,
                Happened::PauseOver => self.on_pause_over().await,
            }
        }
    }

    async fn on_start(&mut self, order: ShimOrder) -> Result<(), String> {
        let phase = self.publish.borrow().phase.clone();
        match phase {
            Phase::Running(_) => return Ok(()),
            Phase::Stopping(_) => return Err("it is being stopped".to_owned()),
            Phase::Unknown { reason } => return Err(reason),
            Phase::Foreign { .. } | Phase::Down | Phase::Held | Phase::Pausing { .. } => {}
        }
        self.history.forget();
        self.publish.send_modify(|state| state.restarts = 0);
        self.launch(order).await
    }

    fn on_stop(&mut self, answer: Answer) {
        let Live::Watching { run, .. } = &self.live else {
            self.live = Live::Idle;
            self.publish.send_modify(|state| {
                if matches!(state.phase, Phase::Pausing { .. }) {
                    state.phase = Phase::Down;
                }
            });
            answer.send(Ok(())).unwrap_or_default();
            return;
        };
        match run.shim.signal(Signal::SIGTERM) {
            Ok(()) => self.stop_answers.push(answer),
            // It has just ended: `ended` fires next, and then the answer is due.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.stop_answers.push(answer);
            }
            Err(error) => {
                let refused = format!("signal shim {}: {error}", run.shim.pid);
                answer.send(Err(refused)).unwrap_or_default();
                return;
            }
        }
        let run = (**run).clone();
        self.publish.send_modify(|state| state.phase = Phase::Stopping(run));
    }

    async fn on_pause_over(&mut self) {
        let Live::Pausing { order, .. } = std::mem::replace(&mut self.live, Live::Idle) else {
            return;
        };
        match self.workshop.guidance.renew(&order) {
            Ok(order) => {
                self.publish.send_modify(|state| state.restarts += 1);
                if let Err(error) = self.launch(order).await {
                    tracing::warn!(node = self.node, "not restarted: {error}");
                }
            }
            Err(reason) => {
                self.event(format!("not restarted: {reason}"));
                self.publish.send_modify(|state| state.phase = Phase::Held);
            }
        }
    }

    /// The shim has ended: the node too, unless somebody killed the shim.
    async fn on_shim_end(&mut self) {
        let Live::Watching { run, .. } = std::mem::replace(&mut self.live, Live::Idle) else {
            return;
        };
        self.reap();
        match self.dir.exit(&*self.workshop.disk) {
            Record::Known(exit) if exit.run == run.run => self.on_node_end(&exit),
            _ if run.process.is_alive().unwrap_or(true) => {
                self.event(format!("its shim {} was killed; a new one takes over", run.shim.pid));
                self.take_over(*run).await;
            }
            _ => self.on_node_end(&self.unseen_end(run.run)),
        }
    }

    /// Decides what follows from an end.
    fn on_node_end(&mut self, exit: &ExitRecord) {
        let mut seen = EndSeen::of(exit);
        let port = exit.facts().port_refused();
        if let Some(owner) = port.and_then(|port| Some((port, port_owner(port)?))) {
            seen.text = format!("{}; port {} is held by {}", seen.text, owner.0, owner.1);
        }
        let text = seen.text.clone();
        let asked = !self.stop_answers.is_empty() || !self.workshop.guidance.is_wanted(&self.node);
        let (live, phase, then) = if asked {
            (Live::Idle, Phase::Down, String::new())
        } else if seen.cause == Cause::Stopped {
            // Somebody else told the shim to stop: the machine going down, most often.
            self.decide(Verdict::Wait, exit)
        } else {
            self.decide(seen.verdict, exit)
        };
        self.live = live;
        self.publish.send_modify(|state| {
            state.phase = phase;
            state.last_end = Some(seen);
        });
        for answer in self.stop_answers.drain(..) {
            answer.send(Ok(())).unwrap_or_default();
        }
        if exit.run > self.journaled_end {
            self.journaled_end = exit.run;
            self.event_of(format!("ended: {text}{then}"), Some(exit.run));
        }
    }

    fn decide(&mut self, verdict: Verdict, exit: &ExitRecord) -> (Live, Phase, String) {
        let end = End {
            verdict,
            lasted: exit.lasted(),
            at: self.workshop.clock.now().saturating_duration_since(self.origin),
            random: rand::random(),
        };
        let decision = self.history.decide(&self.workshop.guidance.policy(), end);
        let (after, crash_loop) = match decision {
            Decision::Hold => return (Live::Idle, Phase::Held, "; it stays down".to_owned()),
            Decision::Restart { after } => (after, false),
            Decision::CrashLoop { after, .. } => (after, true),
        };
        let Record::Known(order) = self.dir.order(&*self.workshop.disk) else {
            let reason = "its order cannot be read".to_owned();
            return (Live::Idle, Phase::Unknown { reason: reason.clone() }, format!("; {reason}"));
        };
        let phase = Phase::Pausing { launch: order.launch.clone(), crash_loop };
        let until = tokio::time::Instant::now() + after;
        let looping = if crash_loop { "; crash loop" } else { "" };
        let then = format!("{looping}; starts again in {after:.1?}");
        (Live::Pausing { until, order: Box::new(order) }, phase, then)
    }

    fn unseen_end(&self, run: u64) -> ExitRecord {
        ExitRecord {
            run,
            code: None,
            signal: None,
            spawn_error: None,
            stop: StopRecord::NotAsked,
            oom_counter_rose: false,
            free_bytes: None,
            lasted_ms: 0,
            ended_at_ms: wall_ms(self.workshop.clock.wall()),
            tail: Vec::new(),
        }
    }

    fn reap(&mut self) {
        if let Some(mut shim) = self.shim.take() {
            // It has ended, so this does not block.
            drop(shim.wait());
        }
    }

    fn set_phase(&self, phase: Phase) {
        self.publish.send_modify(|state| state.phase = phase);
    }

    fn event(&self, text: String) {
        self.event_of(text, None);
    }

    fn event_of(&self, text: String, ended_run: Option<u64>) {
        tracing::info!(node = self.node, "{text}");
        let restarts = self.publish.borrow().restarts;
        let event = NodeEvent { node: self.node.clone(), text, restarts, ended_run };
        // Never waits: the journal's reader may be waiting for this keeper.
        if self.workshop.events.try_send(event).is_err() {
            tracing::warn!(node = self.node, "the journal is full; this event is only in the log");
        }
    }
}

enum Happened {
    HandlesGone,
    Command(Command),
    ShimEnded,
    PauseOver,
}

impl Happened {
    fn from_command(command: Option<Command>) -> Self {
        command.map_or(Self::HandlesGone, Self::Command)
    }
}
