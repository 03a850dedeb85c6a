//! Collects the facts that a plan is made from. Looks only; each fact is known, or unknown with the
//! reason.

mod data_dir;
pub(crate) mod inspected;
mod judged;
pub(crate) mod probe;
pub(crate) mod programs;
pub(crate) mod secure;
pub(crate) mod sights;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use base::{ClusterId, MemberId};
use client::ClientOptions;
use disk::Disk;

use crate::{
    agent::cluster::{Cluster, Node},
    control::state::ControlState,
    generate::{Launch, Lineage},
    guarded::Word,
    plan::{
        DataDir, Fact, Health, History, Member, MemberStatus, NodeObservation, NodeRecord,
        Observation, Process, Role, RunningProcess, not_asked,
    },
    report,
    spec::{ClusterSpec, Loaded, NodeSpec},
    supervise::{
        classify::Cause,
        record::{RunRecord, ShimOrder},
        state::{NodeState, Phase},
    },
};
use judged::judged;
pub(crate) use judged::words;
use probe::Probe;
use sights::HostFacts;

/// A data dir and the WAL dir outside of it, if any.
type Places = (PathBuf, Option<PathBuf>);

/// Longest wait for the member list.
const MEMBERS_MAX: Duration = Duration::from_secs(2);
/// The same while fewer than a quorum of the recorded voters run.
const MEMBERS_FEW: Duration = Duration::from_millis(300);

/// What the facts of one host are taken from.
pub(crate) struct Sources<'a> {
    /// Path of `etcd-manager`.
    pub(crate) manager: &'a Path,
    pub(crate) disk: &'a dyn Disk,
    pub(crate) state: &'a ControlState,
    /// Process and probe of each node that this agent keeps.
    pub(crate) nodes: BTreeMap<String, (NodeState, Probe)>,
    /// Host of the agent; none if all nodes are its own.
    pub(crate) host: Option<&'a str>,
    /// Nodes for which an order is being carried out, with its number.
    pub(crate) busy: BTreeMap<String, u64>,
    /// What the nodes' records say about dirs of nodes that do not run.
    pub(crate) records: BTreeMap<String, Word>,
    /// What inspections say of dirs whose node could not be started.
    pub(crate) inspected: BTreeMap<String, Fact<DataDir>>,
}

/// One look at the whole cluster.
pub(crate) async fn observe(cluster: &Cluster, spec: &ClusterSpec) -> Observation {
    let sights = sights::look_around(cluster, spec, None).await;
    sights::merge(&sights, &cluster.tools.manager, spec)
}

/// The same with a spec that is not committed.
pub(crate) async fn observe_draft(cluster: &Cluster, draft: &Loaded) -> Observation {
    let sights = sights::look_around(cluster, &draft.spec, Some(&draft.text)).await;
    sights::merge(&sights, &cluster.tools.manager, &draft.spec)
}

/// One look at everything this agent keeps.
pub(crate) async fn look_here(cluster: &Cluster, spec: &ClusterSpec) -> HostFacts {
    let both = |node: Node| (node.state.borrow().clone(), node.probe.borrow().clone());
    let nodes = cluster.nodes().into_iter().map(|(name, node)| (name, both(node)));
    let state = cluster.control.state();
    let nodes: BTreeMap<String, (NodeState, Probe)> = nodes.collect();
    let inspected = nodes.iter().filter_map(|(name, (process, _))| {
        let places = places(name, Some(process), spec, &state)?;
        Some((name.clone(), inspected::of(cluster, name, process, places)?))
    });
    let sources = Sources {
        manager: &cluster.tools.manager,
        disk: &*cluster.tools.disk,
        state: &state,
        inspected: inspected.collect(),
        records: words(&cluster.tools.disk, &cluster.tools.records, (spec, &state), &nodes),
        nodes,
        host: cluster.host(),
        busy: cluster.busy(),
    };
    let mut facts = facts_from(&sources, spec).await;
    let allow = cluster.many.as_ref().map(|many| &many.file.allow);
    cluster.programs.add(&mut facts, spec, allow).await;
    let now = cluster.tools.clock.wall();
    facts.reports = report::reports_of(&sources.nodes, &facts.nodes, now);
    facts
}

/// Makes facts of what was found on this host.
pub(crate) async fn facts_from(sources: &Sources<'_>, spec: &ClusterSpec) -> HostFacts {
    let nodes = &sources.nodes;
    let mut observed = Vec::new();
    for (name, (process, probe)) in nodes {
        let places = places(name, Some(process), spec, sources.state);
        let observation = NodeObservation {
            name: name.clone(),
            process: match sources.busy.get(name) {
                Some(order) => Fact::Unknown(format!("order {order} is being carried out")),
                None => of_this_life(name, process_fact(process, probe, spec), sources.state),
            },
            data_dir: judged(sources, name, data_dir_fact(sources.disk, places)),
            health: health_fact(process, probe),
            status: status_fact(probe),
            program: not_asked(),
        };
        observed.push(without_impostor(observation));
    }
    let is_own = |node: &&NodeSpec| sources.host.is_none_or(|host| node.host == host);
    let own: Vec<&NodeSpec> = spec.nodes.iter().filter(is_own).collect();
    for node in own.iter().filter(|node| !nodes.contains_key(&node.name)) {
        let never = "it was never started".to_owned();
        let places = places(&node.name, None, spec, sources.state);
        observed.push(NodeObservation {
            name: node.name.clone(),
            process: Fact::Known(Process::Stopped { ended: None }),
            data_dir: judged(sources, &node.name, data_dir_fact(sources.disk, places)),
            health: Fact::Known(Health::Unhealthy(never.clone())),
            status: Fact::Unknown(never),
            program: not_asked(),
        });
    }
    // Of a cluster on one host it is known here that too few run.
    let recorded = sources.state.lineage().map_or(0, Lineage::voters);
    let recorded = if sources.host.is_none() { recorded } else { 1 };
    HostFacts {
        manager: sources.manager.to_owned(),
        members: members(nodes, recorded).await,
        nodes: observed,
        reports: Vec::new(),
    }
}

/// What the control log says about the past.
pub(crate) fn history(state: &ControlState) -> History {
    let recorded = state.nodes.iter().filter_map(|(name, ledger)| {
        let record = NodeRecord {
            formed: ledger.member(),
            data_dir: ledger.data_dir.as_ref()?.into(),
            wal_dir: ledger.wal_dir.as_ref().map(Into::into),
        };
        Some((name.clone(), record))
    });
    History {
        lineage: Fact::Known(state.lineage().cloned()),
        nodes: recorded.collect(),
        stopped: state.stopped(),
    }
}

/// Whether the dir that an order names certainly holds nothing.
pub(crate) fn is_empty(disk: &dyn Disk, order: &ShimOrder) -> bool {
    data_dir::look(disk, &order.data_dir, order.wal_dir.as_deref()) == Fact::Known(DataDir::Empty)
}

/// Another member may answer on a node's port: what it says counts for nothing.
fn without_impostor(mut node: NodeObservation) -> NodeObservation {
    let answering = node.status.known().map(|status| status.member);
    let own = match node.data_dir {
        Fact::Known(DataDir::Formed { member, .. }) => Some(member),
        _ => None,
    };
    if let Some(answering) = answering.filter(|answering| Some(*answering) != own) {
        let reason = format!("member {answering}, which is not this one, answers on its port");
        node.status = Fact::Unknown(reason.clone());
        node.health = Fact::Known(Health::Unhealthy(reason));
    }
    node
}

/// The member in the data dir of a running node.
pub(crate) fn member_of(disk: &dyn Disk, run: &RunRecord) -> Option<(ClusterId, MemberId)> {
    match data_dir::look(disk, &run.data_dir, run.wal_dir.as_deref()) {
        Fact::Known(DataDir::Formed { cluster, member }) => Some((cluster, member)),
        _ => None,
    }
}

fn data_dir_fact(disk: &dyn Disk, places: Option<Places>) -> Fact<DataDir> {
    places.map_or(Fact::Known(DataDir::Empty), |(dir, wal)| {
        data_dir::look(disk, &dir, wal.as_deref())
    })
}

/// Where to look: where it runs, else where it was last started, else where the spec wants it.
fn places(
    name: &str,
    process: Option<&NodeState>,
    spec: &ClusterSpec,
    state: &ControlState,
) -> Option<Places> {
    if let Some(run) = process.and_then(|process| process.phase.running()) {
        return Some((run.data_dir.clone(), run.wal_dir.clone()));
    }
    if let Some(node) = spec.node(name) {
        return Some((node.data_dir.clone(), node.wal_dir.clone()));
    }
    let ledger = state.node(name)?;
    Some((ledger.data_dir.as_ref()?.into(), ledger.wal_dir.as_ref().map(Into::into)))
}

/// That the cluster removed a member says nothing of the one that its node is to become: once the old one's data is in
/// the archive, its last process is only one that ended.
fn of_this_life(name: &str, found: Fact<Process>, state: &ControlState) -> Fact<Process> {
    let has_left = state.lineage().is_some_and(|lineage| lineage.left.contains(name));
    let is_seen = state.node(name).is_some_and(|ledger| ledger.member().is_some());
    match found {
        Fact::Known(Process::Removed) if has_left && !is_seen => {
            Fact::Known(Process::Stopped { ended: Some("removed from the cluster".to_owned()) })
        }
        found => found,
    }
}

fn process_fact(node: &NodeState, probe: &Probe, spec: &ClusterSpec) -> Fact<Process> {
    let ended = node.last_end.as_ref().map(|end| end.text.clone());
    Fact::Known(match &node.phase {
        Phase::Unknown { reason } => return Fact::Unknown(reason.clone()),
        Phase::Stopping(run) => {
            return Fact::Unknown(format!("pid {} is stopping", run.process.pid));
        }
        Phase::Down => Process::Stopped { ended },
        Phase::Held if node.last_end.as_ref().is_some_and(|end| end.cause == Cause::Removed) => {
            Process::Removed
        }
        Phase::Held => Process::Stopped { ended },
        Phase::Foreign { owner } => Process::Foreign { owner: owner.clone() },
        Phase::Pausing { launch, crash_loop } => {
            let (launch, ended) = (launch.clone(), ended.unwrap_or_default());
            if *crash_loop {
                Process::CrashLoop { launch, ended }
            } else {
                Process::BackingOff { launch, ended }
            }
        }
        Phase::Running(run) => {
            let process = RunningProcess {
                pid: u32::try_from(run.process.pid).unwrap_or(0),
                launch: run.launch.clone(),
                is_binary_replaced: run
                    .binary
                    .is_some_and(|started| started.was_replaced(&run.launch.binary)),
            };
            let is_fresh =
                run.process.uptime().is_some_and(|uptime| uptime < spec.supervise.ready_timeout);
            let was_ready = probe.was_ready && probe.run == Some(run.run);
            if was_ready || !is_fresh {
                Process::Running(process)
            } else {
                Process::Starting(process)
            }
        }
    })
}

fn health_fact(node: &NodeState, probe: &Probe) -> Fact<Health> {
    let Some(run) = node.phase.running() else {
        let reason = match (&node.phase, &node.last_end) {
            (Phase::Pausing { .. } | Phase::Held, Some(end)) => format!("it ended: {}", end.text),
            (Phase::Foreign { owner }, _) => format!("its data dir is held by {owner}"),
            (Phase::Unknown { reason }, _) => reason.clone(),
            _ => "its process does not run".to_owned(),
        };
        return Fact::Known(Health::Unhealthy(reason));
    };
    if probe.run != Some(run.run) {
        return Fact::Unknown("it was just started".to_owned());
    }
    match &probe.read {
        Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
        Fact::Known(Err(error)) => Fact::Known(Health::Unhealthy(error.clone())),
        Fact::Known(Ok(())) => Fact::Known(alarm(probe).map_or(Health::Healthy, Health::Unhealthy)),
    }
}

/// What keeps a member that answers from being healthy, by its own account.
fn alarm(probe: &Probe) -> Option<String> {
    let status = probe.status.known()?;
    status.errors.iter().find(|text| text.contains("CORRUPT")).cloned()
}

fn status_fact(probe: &Probe) -> Fact<MemberStatus> {
    match &probe.status {
        Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
        Fact::Known(status) => Fact::Known(MemberStatus {
            member: status.member,
            cluster: status.cluster,
            role: role(status.member, status.leader, status.is_learner),
            leader: status.leader,
            term: status.term,
            index: status.commit,
            applied: status.applied,
            revision: status.revision,
            db_bytes: status.db_bytes,
            version: status.version.clone(),
        }),
    }
}

pub(crate) fn role(member: MemberId, leader: Option<MemberId>, is_learner: bool) -> Role {
    match leader {
        _ if is_learner => Role::Learner,
        Some(leader) if leader == member => Role::Leader,
        _ => Role::Follower,
    }
}

/// How the healthy voters of all hosts were started, save this node.
pub(crate) fn voters(observation: &Observation, without: &str) -> Vec<Launch> {
    let nodes = observation.nodes.iter().filter(|node| {
        let role = node.status.known().map(|status| status.role);
        node.name != without
            && node.health == Fact::Known(Health::Healthy)
            && role.is_some_and(|role| role != Role::Learner)
    });
    let launch = |node: &NodeObservation| match &node.process {
        Fact::Known(Process::Running(running) | Process::Starting(running)) => {
            probe::advertised_url(&running.launch).map(|_| running.launch.clone())
        }
        _ => None,
    };
    nodes.filter_map(launch).collect()
}

fn voter(process: &NodeState, probe: &Probe) -> Option<Launch> {
    let learner = probe.status.known().is_some_and(|status| status.is_learner);
    (probe.read == Fact::Known(Ok(())) && !learner)
        .then(|| process.phase.running().map(|run| run.launch.clone()))
        .flatten()
        .filter(|launch| probe::client_url(launch).is_some())
}

/// By a linearizable list through a member that answers.
async fn members(
    nodes: &BTreeMap<String, (NodeState, Probe)>,
    recorded: usize,
) -> Fact<Vec<Member>> {
    let running = nodes.values().filter(|(process, _)| process.phase.running().is_some()).count();
    // With so few it can only be that others have just left: a quorum answers at once or not at all.
    let limit = if running * 2 <= recorded { MEMBERS_FEW } else { MEMBERS_MAX };
    let answering = nodes.values().filter_map(|(process, probe)| voter(process, probe));
    let answering: Vec<Launch> = answering.collect();
    if answering.is_empty() {
        return Fact::Unknown("no member answers a linearizable read".to_owned());
    }
    let options = ClientOptions { request_timeout: limit, ..ClientOptions::default() };
    let listed = match secure::client(&answering, options) {
        Ok(client) => client.member_list(true).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match listed {
        Err(error) => Fact::Unknown(error),
        Ok(members) => Fact::Known(
            members
                .into_iter()
                .map(|member| Member {
                    id: member.id,
                    name: member.name,
                    peer_urls: member.peer_urls,
                    client_urls: member.client_urls,
                    learner: member.is_learner,
                })
                .collect(),
        ),
    }
}
