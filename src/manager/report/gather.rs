//! Fills the status document from the control state, the keepers and the probes.

use std::{collections::BTreeMap, time::SystemTime};

use serde::Serialize;

use super::{
    AgentReport, HostReport, JournalReport, LastExit, LastRequest, MemberReport, PauseReport,
    QuorumReport, STATUS_SCHEMA, StatusReport, certificates::first_to_expire, current,
};
use crate::{
    agent::{
        cluster::Cluster,
        planner::{plan_checked, wanted_goal},
    },
    control::{
        entry::{Goal, Terms},
        state::ControlState,
    },
    maintenance,
    observe::{
        self,
        probe::Probe,
        sights::{self, HostSight},
    },
    plan::{Fact, Health, Member, NodeObservation, Observation, Plan, Process, Role},
    spec::{ClusterSpec, NodeSpec},
    supervise::state::{NodeState, Phase},
};

/// What every answer says while the agents cannot decide anything.
pub(crate) const NO_QUORUM: &str = "the agents have no quorum: nodes run on and are restarted when \
    they crash, but nothing can be changed until a majority of the agents answers";
/// Journal lines shown.
const JOURNAL_SHOWN: usize = 20;

/// One look at everything, as a document.
pub(crate) async fn gather(cluster: &Cluster) -> StatusReport {
    let current = current::catch_up(cluster).await;
    let state = cluster.control.state();
    let mut report = frame(cluster, &state);
    let spec = match cluster.spec() {
        Ok(Some(spec)) => spec,
        Ok(None) => return report,
        Err(reason) => {
            report.notes.push(reason);
            return report;
        }
    };
    let sights = sights::look_around(cluster, &spec, None).await;
    let observation = sights::merge(&sights, &cluster.tools.manager, &spec);
    let history = observe::history(&state);
    let plan = plan_checked(
        &wanted_goal(&Goal::Converge(Terms::default())),
        &spec,
        &observation,
        &history,
    );
    report.cluster.clone_from(&spec.name);
    report.converged = plan.is_converged() && state.goal.is_none() && current.is_ok();
    report.notes = notes(&plan);
    let is_open =
        matches!(state.goal.as_ref().or(state.deferred.as_ref()), Some(Goal::Converge(_)));
    let when = (&*spec.running.windows, cluster.tools.clock.wall());
    if is_open && let Some(waits) = maintenance::waits(&plan, &observation, when) {
        report.notes.insert(0, waits);
    }
    report.cluster_id = observation
        .nodes
        .iter()
        .find_map(|node| node.status.known())
        .map(|status| status.cluster.to_string());
    report.members = members(&state, &spec, &observation, &sights);
    report.hosts = hosts(cluster, &state, &sights);
    if let Err(reason) = current {
        report.notes.insert(0, reason);
    }
    report.quorum = quorum(&spec, &observation);
    report
}

fn frame(cluster: &Cluster, state: &ControlState) -> StatusReport {
    let skip = state.journal.len().saturating_sub(JOURNAL_SHOWN);
    StatusReport {
        schema: STATUS_SCHEMA,
        cluster: String::new(),
        cluster_id: None,
        uuid: state.lineage().map(|lineage| lineage.uuid.to_string()),
        bootstrap: state.lineage.as_ref().map(|record| word(&record.latch)),
        spec_revision: state.spec_revision(),
        spec_source: state.spec.as_ref().map(|spec| spec.source.clone()),
        converged: false,
        goal: state.goal.as_ref().map(|goal| goal.word().to_owned()),
        last: state.settled.as_ref().map(|settled| LastRequest {
            goal: settled.goal.word().to_owned(),
            outcome: word(&settled.outcome),
            reason: settled.reason.clone(),
        }),
        paused: state.paused.as_ref().map(|pause| PauseReport {
            since_ms: pause.since_ms,
            reason: pause.reason.clone(),
            text: pause.to_string(),
        }),
        quorum: QuorumReport { voters: 0, healthy: 0, tolerance: -1 },
        agent: AgentReport {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_dir: cluster.tools.state_dir.display().to_string(),
            host: cluster.host().unwrap_or_default().to_owned(),
        },
        hosts: Vec::new(),
        members: Vec::new(),
        notes: Vec::new(),
        journal: state
            .journal
            .iter()
            .skip(skip)
            .map(|line| JournalReport {
                at_ms: line.at_ms,
                node: line.node.clone(),
                text: line.text.clone(),
            })
            .collect(),
    }
}

/// A value's name as serde writes it.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn notes(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().map(|step| format!("to do: {}: {}", step.action, step.reason));
    plan.notes.iter().map(ToString::to_string).chain(steps).collect()
}

fn quorum(spec: &ClusterSpec, observation: &Observation) -> QuorumReport {
    let healthy_names: Vec<&str> = observation
        .nodes
        .iter()
        .filter(|node| node.health == Fact::Known(Health::Healthy))
        .filter(|node| node.status.known().is_none_or(|status| status.role != Role::Learner))
        .map(|node| node.name.as_str())
        .collect();
    let voters = match observation.members.known() {
        Some(members) => members.iter().filter(|member| !member.learner).count(),
        None => spec.nodes.len(),
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (voters, healthy) = (count(voters), count(healthy_names.len()));
    let tolerance = i64::from(healthy) - i64::from(voters / 2 + 1);
    QuorumReport { voters, healthy, tolerance }
}

/// What this agent knows of its nodes: by the same process and probe that the facts were made from.
pub(crate) fn reports_of(
    kept: &BTreeMap<String, (NodeState, Probe)>,
    seen: &[NodeObservation],
    now: SystemTime,
) -> Vec<MemberReport> {
    let report = |seen: &NodeObservation| {
        let (state, probe) = kept.get(&seen.name)?;
        let mut member = processed(&seen.name, state, seen);
        answered(&mut member, probe, seen);
        let run = state.phase.running();
        member.certificate = run.and_then(|run| first_to_expire(&run.launch, now));
        Some(member)
    };
    seen.iter().filter_map(report).collect()
}

/// All nodes of the spec in its order, then those that are only on record.
fn members(
    state: &ControlState,
    spec: &ClusterSpec,
    observation: &Observation,
    sights: &[HostSight],
) -> Vec<MemberReport> {
    let answers = sights.iter().filter_map(|sight| sight.facts.as_ref().ok());
    let told: BTreeMap<&str, &MemberReport> = answers
        .flat_map(|facts| &facts.reports)
        .map(|report| (report.name.as_str(), report))
        .collect();
    let indexes =
        observation.nodes.iter().filter_map(|node| Some(node.status.known()?.index.get()));
    let furthest = indexes.max();
    let mut names: Vec<&str> = spec.nodes.iter().map(|node| node.name.as_str()).collect();
    let is_left = |node: &NodeObservation| {
        let alive = matches!(
            node.process,
            Fact::Known(Process::Running(_) | Process::Starting(_)) | Fact::Unknown(_)
        );
        !alive && state.lineage().is_some_and(|lineage| lineage.member(&node.name).is_none())
    };
    let others = observation.nodes.iter().filter(|node| spec.node(&node.name).is_none());
    names.extend(others.filter(|node| !is_left(node)).map(|node| node.name.as_str()));
    names
        .into_iter()
        .filter_map(|name| {
            let seen = observation.node(name)?;
            let mut member = match told.get(name) {
                Some(report) => (*report).clone(),
                None => untold(name),
            };
            (member.health, member.reason) = health(seen);
            let listed =
                observation.members.known().and_then(|members| listed(members, name, seen));
            placed(&mut member, spec, listed);
            if let (Some(furthest), Some(applied)) = (furthest, member.applied) {
                member.lag = Some(furthest.saturating_sub(applied));
            }
            member.id = member.id.or_else(|| Some(state.node(name)?.member()?.1.to_string()));
            Some(member)
        })
        .collect()
}

fn health(seen: &NodeObservation) -> (String, Option<String>) {
    match &seen.health {
        Fact::Known(Health::Healthy) => ("healthy".to_owned(), None),
        Fact::Known(Health::Unhealthy(reason)) => ("unhealthy".to_owned(), Some(reason.clone())),
        Fact::Unknown(reason) => ("unknown".to_owned(), Some(reason.clone())),
    }
}

/// The agents of all hosts.
fn hosts(cluster: &Cluster, state: &ControlState, sights: &[HostSight]) -> Vec<HostReport> {
    if cluster.many.is_none() {
        return Vec::new();
    }
    let leader = state.group.reign.map(|reign| reign.member);
    let report = |sight: &HostSight| {
        let agent = state.group.of_host(&sight.host);
        let is_voter = agent.is_some_and(|(member, _)| state.group.voters.contains(&member));
        HostReport {
            host: sight.host.clone(),
            address: agent.map(|(_, agent)| agent.address.clone()).unwrap_or_default(),
            agent: agent.map(|(member, _)| format!("{member:x}")),
            version: agent.map(|(_, agent)| agent.build.clone()).unwrap_or_default(),
            role: match agent {
                None => "none",
                Some((member, _)) if Some(member) == leader => "leader",
                Some(_) if is_voter => "follower",
                Some(_) => "learner",
            }
            .to_owned(),
            answers: sight.facts.is_ok(),
            reason: sight.facts.as_ref().err().cloned(),
        }
    };
    sights.iter().map(report).collect()
}

fn listed<'a>(members: &'a [Member], name: &str, seen: &NodeObservation) -> Option<&'a Member> {
    let id = seen.status.known().map(|status| status.member);
    members.iter().find(|member| Some(member.id) == id || member.name == name)
}

/// What the supervisor knows.
fn processed(name: &str, state: &NodeState, seen: &NodeObservation) -> MemberReport {
    let run = state.phase.running();
    let word = match (&state.phase, &seen.process) {
        (_, Fact::Known(Process::Starting(_))) => "starting",
        (_, Fact::Known(Process::Removed)) => "removed",
        (Phase::Running(_), _) => "running",
        (Phase::Stopping(_), _) => "stopping",
        (Phase::Down, _) => "stopped",
        (Phase::Pausing { crash_loop: true, .. }, _) => "crash-loop",
        (Phase::Pausing { .. }, _) => "backing-off",
        (Phase::Held, _) => "held",
        (Phase::Foreign { .. }, _) => "foreign",
        (Phase::Unknown { .. }, _) => "unknown",
    };
    let (health, reason) = health(seen);
    MemberReport {
        state: word.to_owned(),
        health,
        reason,
        pid: run.map(|run| run.process.pid),
        uptime_s: run.and_then(|run| run.process.uptime()).map(|uptime| uptime.as_secs()),
        restarts: state.restarts,
        last_exit: state.last_end.as_ref().map(|end| LastExit {
            cause: self::word(&end.cause),
            text: end.text.clone(),
            remedy: end.remedy.to_owned(),
            at_ms: end.at_ms,
        }),
        data_dir: run.map(|run| run.data_dir.display().to_string()),
        ..untold(name)
    }
}

/// A node whose agent does not answer.
fn untold(name: &str) -> MemberReport {
    MemberReport {
        name: name.to_owned(),
        id: None,
        zone: None,
        client_urls: Vec::new(),
        peer_urls: Vec::new(),
        state: "unknown".to_owned(),
        health: "unknown".to_owned(),
        reason: None,
        role: None,
        term: None,
        index: None,
        applied: None,
        lag: None,
        revision: None,
        db_bytes: None,
        db_in_use_bytes: None,
        version: None,
        errors: Vec::new(),
        pid: None,
        uptime_s: None,
        restarts: 0,
        last_exit: None,
        certificate: None,
        data_dir: None,
        log: None,
    }
}

/// What the spec and the member list say.
fn placed(member: &mut MemberReport, spec: &ClusterSpec, listed: Option<&Member>) {
    let node: Option<&NodeSpec> = spec.node(&member.name);
    if let Some(node) = node {
        member.zone.clone_from(&node.zone);
        member.client_urls.clone_from(&node.advertise_client_urls);
        member.peer_urls.clone_from(&node.advertise_peer_urls);
        member.log = Some(log_path(spec, &node.name).display().to_string());
        let data_dir = || node.data_dir.display().to_string();
        member.data_dir = member.data_dir.take().or_else(|| Some(data_dir()));
    }
    if let Some(listed) = listed {
        member.id = Some(listed.id.to_string());
        member.peer_urls.clone_from(&listed.peer_urls);
        if !listed.client_urls.is_empty() {
            member.client_urls.clone_from(&listed.client_urls);
        }
    }
}

/// What the member says about itself.
fn answered(member: &mut MemberReport, probe: &Probe, seen: &NodeObservation) {
    let Some(status) = seen.status.known() else { return };
    member.id = Some(status.member.to_string());
    member.role = Some(
        match status.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Learner => "learner",
        }
        .to_owned(),
    );
    member.term = Some(status.term.get());
    member.index = Some(status.index.get());
    member.applied = Some(status.applied.get());
    member.revision = Some(status.revision.get());
    member.db_bytes = Some(status.db_bytes);
    member.version = Some(status.version.clone());
    if let Some(own) = probe.status.known() {
        member.db_in_use_bytes = Some(own.db_in_use_bytes);
        member.errors.clone_from(&own.errors);
    }
}

/// Where a node's output goes.
pub(crate) fn log_path(spec: &ClusterSpec, node: &str) -> std::path::PathBuf {
    spec.log.dir.join(format!("{node}.log"))
}
