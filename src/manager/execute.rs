//! Carries out one action: by committed orders to the agents of the nodes' hosts, who perform them.
//! A flat match: what to do was decided by the plan.

mod hooks;
mod membership;
mod perform;
pub(crate) mod restart;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    agent::{cluster::Cluster, voice::Voice},
    control::{
        entry::{Entry, Task},
        state::ControlState,
    },
    generate::{Launch, Lineage},
    observe::{
        self,
        sights::{self, HostSight},
    },
    plan::{Action, Fact, Health, Observation},
    report::MemberReport,
    spec::ClusterSpec,
};

pub(crate) use perform::perform;

/// Longest wait for a leader to hand over.
const MOVE_LEADER_MAX: Duration = Duration::from_secs(5);
/// How often it is asked whether to go on waiting, though nothing has changed.
const WAIT_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for a start to be on record, besides the margin.
const START_MAX: Duration = Duration::from_secs(30);
/// What an order may take besides what it does: commits, an election, an agent that comes back.
const ORDER_MARGIN: Duration = Duration::from_secs(20);
const MOVE_LEADER_PAUSE: Duration = Duration::from_millis(20);

/// What a step works with.
pub(crate) struct Step<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) spec: &'a ClusterSpec,
    pub(crate) voice: &'a Voice,
    /// When the whole request must be over.
    pub(crate) deadline: Instant,
    /// Whether another request waits for this one to make room.
    pub(crate) is_superseded: &'a (dyn Fn() -> bool + Send + Sync),
}

/// Carries it out; returns what came of it in a few words.
///
/// # Errors
/// Why it has not had its effect.
pub(crate) async fn execute(step: &Step<'_>, action: &Action) -> Result<String, String> {
    match action {
        Action::StartAgent => Ok("it runs".to_owned()),
        Action::Bootstrap { nodes } => step.bootstrap(nodes).await,
        Action::SealBootstrap => {
            step.commit(Entry::LineageFormed).await?;
            Ok("formed: nothing is started as new again".to_owned())
        }
        Action::StartNode { node } => step.start(node, None).await,
        Action::AwaitHealthy { nodes } => {
            step.await_healthy(nodes, &|| step.should_leave() || step.voice.has_hung_up()).await
        }
        Action::MoveLeader { from, to } => step.move_leader(from, to).await,
        Action::RestartNode { node, soak_ms, .. } => step.restart(node, *soak_ms).await,
        // R10: the process only. Neither membership nor data.
        Action::StopNode { node } => step.order(node, Task::Stop { for_good: true }).await,
        Action::AddLearner { node, peer_urls } => step.add_learner(node, peer_urls).await,
        Action::Promote { node } => step.promote(node).await,
        Action::RemoveMember { node, member } => step.remove_member(node, member).await,
        Action::UpdateMember { member, peer_urls, .. } => {
            step.update_member(member, peer_urls).await
        }
        Action::Archive { node } => step.archive(node).await,
    }
}

impl Step<'_> {
    async fn commit(&self, entry: Entry) -> Result<Arc<ControlState>, String> {
        let committed = self.cluster.decree(entry).await;
        committed.map_err(|error| base::ErrorChain(&error).to_string())
    }

    /// Commits an order to the agent of a node's host, and waits for what it commits about it.
    async fn order(&self, name: &str, task: Task) -> Result<String, String> {
        let margin = match &task {
            Task::Start { .. } => START_MAX,
            Task::Stop { .. } | Task::Archive { .. } => self.spec.supervise.stop_timeout,
            Task::MoveLeader { .. } => 2 * MOVE_LEADER_MAX,
            Task::Hook(call) => hooks::limit(self.spec, call),
        };
        let limit = margin + ORDER_MARGIN;
        let host = self.cluster.host_of(name, Some(self.spec));
        let entry = Entry::Order { node: name.to_owned(), host: host.clone(), task };
        let ordered = self.commit(entry).await?;
        let id = ordered.orders.get(name).map(|order| order.id).ok_or("the order is void")?;
        let is_over =
            |state: &Arc<ControlState>| state.orders.get(name).is_none_or(|order| order.id != id);
        let mut states = self.cluster.control.watch();
        let waited = tokio::time::timeout(limit, states.wait_for(is_over)).await.is_ok();
        if !waited {
            // It must not be carried out when nobody counts on it any more.
            let text = format!("withdrawn: the agent of {host} has not done it within {limit:?}");
            let node = name.to_owned();
            self.commit(Entry::OrderDone { node, id, done: false, text }).await?;
        }
        let state = self.cluster.control.state();
        let end = state.node(name).and_then(|ledger| ledger.order.clone());
        match end.filter(|end| end.id == id) {
            Some(end) if end.done => Ok(end.text),
            Some(end) => Err(end.text),
            None => Err("the order is void: another agent leads".to_owned()),
        }
    }

    /// R2: PREPARED is durable before anything starts, STARTED before the first node does.
    async fn bootstrap(&self, nodes: &[String]) -> Result<String, String> {
        let state = self.cluster.control.state();
        // A prepared lineage that never formed a cluster is given up: higher epoch, other token.
        let lineage = state.lineage().map_or_else(
            || Lineage::first(self.spec, Uuid::new_v4()),
            |aborted| aborted.after_abort(self.spec),
        );
        let uuid = lineage.uuid;
        self.commit(Entry::LineagePrepared { lineage }).await?;
        self.commit(Entry::LineageStarted).await?;
        let started =
            futures::future::join_all(nodes.iter().map(|node| self.start(node, None))).await;
        for (node, started) in nodes.iter().zip(started) {
            started.map_err(|error| format!("{node}: {error}"))?;
        }
        Ok(format!("lineage {uuid}, {} nodes started", nodes.len()))
    }

    /// With what the spec wants, or with what ran before.
    async fn start(&self, name: &str, launch: Option<Launch>) -> Result<String, String> {
        let node = self.spec.node(name).ok_or_else(|| format!("{name} is not in the spec"))?;
        let state = self.cluster.control.state();
        let lineage =
            state.lineage().ok_or("no bootstrap was prepared, so nothing is started (R2)")?;
        let task = Task::Start {
            data_dir: node.data_dir.to_string_lossy().into_owned(),
            wal_dir: node.wal_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()),
            epoch: lineage.epoch.get(),
            launch,
        };
        self.order(name, task).await
    }

    fn should_leave(&self) -> bool {
        (self.is_superseded)() || self.cluster.reign().is_none()
    }

    /// Waits for a bounded time, and no longer than `leave` allows.
    async fn await_healthy(
        &self,
        nodes: &[String],
        leave: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<String, String> {
        let patience = Instant::now() + self.spec.supervise.ready_timeout;
        let deadline = patience.min(self.deadline);
        let begun = Instant::now();
        let mut changes = self.cluster.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let sights = sights::look_around(self.cluster, self.spec, None).await;
            let observation = sights::merge(&sights, &self.cluster.tools.manager, self.spec);
            let reports: Vec<&MemberReport> = reports_of(&sights, nodes);
            if let Some(hopeless) = reports.iter().find_map(|report| hopeless(report)) {
                return Err(hopeless);
            }
            let mut waiting = Vec::new();
            for name in nodes {
                match observation.node(name).map(|node| &node.health) {
                    Some(Fact::Known(Health::Healthy)) => {}
                    Some(Fact::Known(Health::Unhealthy(reason)) | Fact::Unknown(reason)) => {
                        waiting.push(format!("{name}: {reason}"));
                    }
                    None => waiting.push(format!("{name}: not looked at")),
                }
            }
            if waiting.is_empty() {
                return Ok(format!("healthy after {:.1} s", begun.elapsed().as_secs_f64()));
            }
            let waiting = waiting.join("; ");
            if leave() || self.cluster.reign().is_none() {
                return Err(format!("not waited for any more: {waiting}"));
            }
            self.voice.waiting(format!("waiting for {waiting}"));
            // Fails when it is time to look again, which is no failure.
            drop(tokio::time::timeout(WAIT_PAUSE, changes.changed()).await);
            if Instant::now() >= deadline {
                let waited = begun.elapsed().as_secs_f64();
                let ends = ends_so_far(&reports);
                return Err(format!("not healthy after {waited:.1} s: {waiting}{ends}"));
            }
        }
    }

    /// R11: tried before the leader is stopped, for a bounded time.
    async fn move_leader(&self, from: &str, to: &str) -> Result<String, String> {
        let target = |observation: &Observation| {
            observation.node(to).and_then(|node| Some(node.status.known()?.member))
        };
        let observation = observe::observe(self.cluster, self.spec).await;
        let target = target(&observation).ok_or("the target's id is not known")?;
        self.order(from, Task::MoveLeader { to: target }).await?;
        let deadline = Instant::now() + MOVE_LEADER_MAX;
        // The planner must see the new leader, or it would plan the same move again.
        loop {
            let observation = observe::observe(self.cluster, self.spec).await;
            let agree = observation
                .nodes
                .iter()
                .all(|node| node.status.known().is_none_or(|status| status.leader == Some(target)));
            if agree {
                return Ok(format!("{to} leads"));
            }
            if Instant::now() >= deadline {
                return Err(format!("{to} does not lead after {MOVE_LEADER_MAX:?}"));
            }
            tokio::time::sleep(MOVE_LEADER_PAUSE).await;
        }
    }
}

fn reports_of<'a>(sights: &'a [HostSight], nodes: &[String]) -> Vec<&'a MemberReport> {
    let reports = sights.iter().filter_map(|sight| sight.facts.as_ref().ok());
    reports.flat_map(|facts| &facts.reports).filter(|report| nodes.contains(&report.name)).collect()
}

/// How those of the nodes ended last that were started again since.
fn ends_so_far(reports: &[&MemberReport]) -> String {
    let ended = reports.iter().filter(|report| report.restarts > 0).filter_map(|report| {
        let end = report.last_exit.as_ref()?;
        Some(format!("; {} had ended {} times: {}", report.name, report.restarts, end.text))
    });
    ended.collect()
}

/// Why waiting for this node is of no use.
fn hopeless(report: &MemberReport) -> Option<String> {
    let end = || {
        let end = report.last_exit.as_ref();
        end.map_or_else(|| "it ended".to_owned(), |end| format!("{} ({})", end.text, end.remedy))
    };
    let reason = match report.state.as_str() {
        "crash-loop" => format!("crash loop: {}", end()),
        "stopped" | "held" | "removed" => end(),
        "foreign" | "unknown" => report.reason.clone().unwrap_or_default(),
        _ => return None,
    };
    Some(format!("{}: {reason}", report.name))
}
