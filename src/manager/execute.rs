//! Carries out one action. A flat match: what to do was decided by the plan.

mod membership;

use std::time::Duration;

use client::ClientOptions;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    agent::{
        cluster::{Cluster, Node},
        voice::Voice,
    },
    control::entry::Entry,
    generate::Lineage,
    observe,
    plan::{Action, Fact, Health},
    spec::ClusterSpec,
    supervise::state::Phase,
};

/// Longest wait for a leader to hand over.
const MOVE_LEADER_MAX: Duration = Duration::from_secs(5);
/// How often it is asked whether to go on waiting, though nothing has changed.
const WAIT_PAUSE: Duration = Duration::from_millis(250);
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
        Action::StartNode { node } => step.start(node).await,
        Action::AwaitHealthy { nodes } => {
            step.await_healthy(nodes, &|| step.should_leave() || step.voice.has_hung_up()).await
        }
        Action::MoveLeader { from, to } => step.move_leader(from, to).await,
        Action::RestartNode { node, .. } => {
            step.node(node)?.keeper.stop().await?;
            step.start(node).await?;
            step.await_healthy(std::slice::from_ref(node), &|| step.should_leave()).await
        }
        Action::StopNode { node } => {
            // R10: the process only. Neither membership nor data.
            step.commit(Entry::Wanted { node: node.clone(), run: false }).await?;
            step.node(node)?.keeper.stop().await?;
            Ok("stopped".to_owned())
        }
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
    async fn commit(&self, entry: Entry) -> Result<(), String> {
        let committed = self.cluster.control.commit(entry).await;
        committed.map(drop).map_err(|error| base::ErrorChain(&error).to_string())
    }

    fn node(&self, name: &str) -> Result<Node, String> {
        self.cluster.node(name).ok_or_else(|| format!("there is no node {name}"))
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
        let started = futures::future::join_all(nodes.iter().map(|node| self.start(node))).await;
        for (node, started) in nodes.iter().zip(started) {
            started.map_err(|error| format!("{node}: {error}"))?;
        }
        Ok(format!("lineage {uuid}, {} nodes started", nodes.len()))
    }

    async fn start(&self, name: &str) -> Result<String, String> {
        let node = self.spec.node(name).ok_or_else(|| format!("{name} is not in the spec"))?;
        let order = self.cluster.order(self.spec, node)?;
        let placed = Entry::Placed {
            node: name.to_owned(),
            data_dir: node.data_dir.to_string_lossy().into_owned(),
            wal_dir: node.wal_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()),
        };
        self.commit(placed).await?;
        self.commit(Entry::Wanted { node: name.to_owned(), run: true }).await?;
        let kept = self.node(name)?;
        kept.keeper.start(order).await?;
        let pid = kept.state.borrow().phase.running().map(|run| run.process.pid);
        Ok(pid.map_or_else(|| "it ended at once".to_owned(), |pid| format!("pid {pid}")))
    }

    fn should_leave(&self) -> bool {
        (self.is_superseded)()
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
            let observation = observe::observe(self.cluster, self.spec).await;
            let mut waiting = Vec::new();
            for name in nodes {
                if let Some(hopeless) = self.hopeless(name)? {
                    return Err(format!("{name}: {hopeless}"));
                }
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
            if leave() {
                return Err(format!("not waited for any more: {waiting}"));
            }
            self.voice.waiting(format!("waiting for {waiting}"));
            // Fails when it is time to look again, which is no failure.
            drop(tokio::time::timeout(WAIT_PAUSE, changes.changed()).await);
            if Instant::now() >= deadline {
                let waited = begun.elapsed().as_secs_f64();
                let ends = self.ends_so_far(nodes);
                return Err(format!("not healthy after {waited:.1} s: {waiting}{ends}"));
            }
        }
    }

    /// How those of the nodes ended last that were started again since.
    fn ends_so_far(&self, nodes: &[String]) -> String {
        let ended = nodes.iter().filter_map(|name| {
            let node = self.cluster.node(name)?;
            let state = node.state.borrow();
            let end = state.last_end.as_ref().filter(|_| state.restarts > 0)?;
            Some(format!("; {name} had ended {} times: {}", state.restarts, end.text))
        });
        ended.collect()
    }

    /// Why waiting for this node is of no use.
    fn hopeless(&self, name: &str) -> Result<Option<String>, String> {
        let node = self.node(name)?;
        let state = node.state.borrow();
        let end = || {
            let end = state.last_end.as_ref();
            end.map_or_else(
                || "it ended".to_owned(),
                |end| format!("{} ({})", end.text, end.remedy),
            )
        };
        Ok(match &state.phase {
            Phase::Running(_) | Phase::Stopping(_) | Phase::Pausing { crash_loop: false, .. } => {
                None
            }
            Phase::Pausing { crash_loop: true, .. } => Some(format!("crash loop: {}", end())),
            Phase::Down | Phase::Held => Some(end()),
            Phase::Foreign { owner } => Some(format!("its data dir is held by {owner}")),
            Phase::Unknown { reason } => Some(reason.clone()),
        })
    }

    /// R11: tried before the leader is stopped, for a bounded time.
    async fn move_leader(&self, from: &str, to: &str) -> Result<String, String> {
        let target = {
            let node = self.node(to)?;
            let probe = node.probe.borrow();
            let status = probe.status.known().ok_or("the target's id is not known")?;
            status.member
        };
        let node = self.node(from)?;
        let launch = node.state.borrow().phase.running().map(|run| run.launch.clone());
        let launch = launch.ok_or("the leader does not run")?;
        let options =
            ClientOptions { request_timeout: MOVE_LEADER_MAX, ..ClientOptions::default() };
        let client = observe::secure::client(&[launch], options)?;
        client.move_leader(target).await.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + MOVE_LEADER_MAX;
        // The planner must see the new leader, or it would plan the same move again.
        loop {
            if let Ok(status) = client.status().await
                && status.leader == Some(target)
                && self.probes_agree(target)
            {
                return Ok(format!("{to} leads"));
            }
            if Instant::now() >= deadline {
                return Err(format!("{to} does not lead after {MOVE_LEADER_MAX:?}"));
            }
            tokio::time::sleep(MOVE_LEADER_PAUSE).await;
        }
    }

    fn probes_agree(&self, leader: base::MemberId) -> bool {
        self.cluster.nodes().values().all(|node| {
            let probe = node.probe.borrow();
            probe.status.known().is_none_or(|status| status.leader == Some(leader))
        })
    }
}
