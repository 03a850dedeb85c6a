//! Keeps the group of agents what the spec says, while this agent leads: admits the agents of new
//! hosts and of hosts whose agent lost its records, first without a vote, and lets agents of hosts
//! go that are not in the spec any more. One change at a time, each committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use prost::bytes::Bytes;
use tokio::time::Instant;
use wire::{
    agentpb::{GreetResponse, greet_response::Standing},
    raftpb::{ConfChange, ConfChangeType},
};

use super::{
    cluster::Cluster,
    founding,
    many::{Many, contacts},
};
use crate::{
    control::{
        entry::{ENTRY_VERSION, Entry},
        seat::Contact,
        state::{AgentRecord, ControlState, NodeLedger},
    },
    observe::sights,
    plan::{Fact, Member},
    spec::ClusterSpec,
};

/// Pause between two looks at the group.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the agent of a host that leaves may be silent before its data is not waited for.
const SILENT_MAX: Duration = Duration::from_secs(20);
/// Control entries that an agent without a vote may lack when it gets one.
const LAG_MAX: u64 = 10;

/// Runs for the agent's life.
pub(crate) async fn run(cluster: Arc<Cluster>, many: Arc<Many>) {
    let mut silent = BTreeMap::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        register(&cluster, &many).await;
        founding::push(&cluster, &many).await;
        if cluster.reign().is_some()
            && let Ok(Some(spec)) = cluster.spec()
        {
            govern((&cluster, &many), &spec, &mut silent).await;
        }
    }
}

/// What this agent is, where the log says otherwise: the build after an upgrade, for instance.
async fn register(cluster: &Cluster, many: &Many) {
    let Some((member, _)) = cluster.control.membership() else { return };
    let own = AgentRecord {
        host: many.file.host.clone(),
        address: many.address(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        entry_version: ENTRY_VERSION,
    };
    let state = cluster.control.state();
    let known = state.group.agents.get(&member);
    // Before the log has reached this agent, or once it was let go, there is nothing to register.
    let is_member = known.is_some() || state.group.voters.contains(&member);
    if !is_member || known == Some(&own) {
        return;
    }
    let AgentRecord { host, address, build, entry_version } = own;
    let entry = Entry::Agent { member, host, address, build, entry_version };
    if let Err(error) = cluster.control.commit(entry).await {
        tracing::debug!("not registered: {}", base::ErrorChain(&error));
    }
}

/// The first change that is due, if any.
async fn govern(
    (cluster, many): (&Cluster, &Many),
    spec: &ClusterSpec,
    silent: &mut BTreeMap<String, Instant>,
) {
    let state = cluster.control.state();
    let Some((own, group)) = cluster.control.membership() else { return };
    let wanted: BTreeSet<&str> = spec.nodes.iter().map(|node| node.host.as_str()).collect();
    for host in &wanted {
        let Some(address) = wanted_address(host, many, spec) else { continue };
        let seated = state.group.of_host(host);
        if seated.is_some_and(|(member, _)| member == own) {
            continue;
        }
        let Ok(greeting) = many.peers.greet(&address).await else { continue };
        if greeting.host != *host {
            tracing::warn!("{address} is the agent of {:?}, not of {host:?}", greeting.host);
            continue;
        }
        match seated {
            Some((member, _)) if member != greeting.member => {
                tracing::warn!("the agent of {host} lost its records: agent {member:x} leaves");
                return cluster.control.propose_change(removal(member));
            }
            Some((member, agent)) => {
                if greeting.standing() != Standing::Seated {
                    return enlist(cluster, many, &address, (group, member)).await;
                }
                if !state.group.voters.contains(&member) && is_caught_up(cluster, &state, member) {
                    let contact = Contact { member, host: agent.host.clone(), address };
                    return cluster.control.propose_change(addition(&contact, true));
                }
            }
            None => return admit(cluster, &greeting, address, group),
        }
    }
    let gone = state.group.agents.iter().find(|(member, agent)| {
        **member != own && !agent.host.is_empty() && !wanted.contains(agent.host.as_str())
    });
    if let Some((member, agent)) = gone
        && holds_no_member(cluster, spec, &agent.host, silent).await
        && is_idle(cluster)
    {
        tracing::info!("the agent of {} leaves: the spec has no node there", agent.host);
        return cluster.control.propose_change(removal(*member));
    }
    if !wanted.contains(many.file.host.as_str())
        && holds_no_member(cluster, spec, &many.file.host, silent).await
        && is_idle(cluster)
    {
        hand_over(cluster, &state, &wanted);
    }
}

/// While something is under way all agents stay: who follows it at one that left would not hear of its end.
fn is_idle(cluster: &Cluster) -> bool {
    cluster.control.state().goal.is_none()
}

/// An agent does not let itself go: whoever leads next does.
fn hand_over(cluster: &Cluster, state: &ControlState, wanted: &BTreeSet<&str>) {
    let heir = state.group.agents.iter().find(|(member, agent)| {
        wanted.contains(agent.host.as_str())
            && state.group.voters.contains(member)
            && is_caught_up(cluster, state, **member)
    });
    if let Some((member, agent)) = heir {
        tracing::info!("the spec has no node here: the agent of {} leads from now on", agent.host);
        cluster.control.hand_over(*member);
    }
}

fn wanted_address(host: &str, many: &Many, spec: &ClusterSpec) -> Option<String> {
    (host != many.file.host).then(|| format!("{host}:{}", spec.agent.port))
}

fn admit(cluster: &Cluster, greeting: &GreetResponse, address: String, group: u64) {
    if greeting.standing() == Standing::Seated && greeting.group != group {
        tracing::warn!("the agent of {} is in group {:x}", greeting.host, greeting.group);
        return;
    }
    tracing::info!("admits the agent of {} as {:x}", greeting.host, greeting.member);
    let contact = Contact { member: greeting.member, host: greeting.host.clone(), address };
    cluster.control.propose_change(addition(&contact, false));
}

async fn enlist(cluster: &Cluster, many: &Many, address: &str, seat: (u64, u64)) {
    let contacts = contacts(&cluster.control.state());
    if let Err(reason) = many.peers.enlist(address, seat, &contacts).await {
        tracing::warn!("{address} does not take its seat: {reason}");
    }
}

fn is_caught_up(cluster: &Cluster, state: &ControlState, member: u64) -> bool {
    let matched = cluster.control.progress_of(member).unwrap_or(0);
    matched + LAG_MAX >= state.applied
}

/// A host's agent leaves only after its voter is out of every configuration in force, and its data put
/// away; of a host that has been silent for long enough that is not waited for.
async fn holds_no_member(
    cluster: &Cluster,
    spec: &ClusterSpec,
    host: &str,
    silent: &mut BTreeMap<String, Instant>,
) -> bool {
    let state = cluster.control.state();
    let is_theirs = |ledger: &NodeLedger| ledger.host.as_deref() == Some(host);
    let mut nodes = state.nodes.iter();
    if !nodes.any(|(_, ledger)| is_theirs(ledger)) {
        return true;
    }
    let sights = sights::look_around(cluster, spec, None).await;
    let is_silent = sights.iter().any(|sight| sight.host == host && sight.facts.is_err());
    if !is_silent {
        silent.remove(host);
        return false;
    }
    let since = *silent.entry(host.to_owned()).or_insert_with(Instant::now);
    let observation = sights::merge(&sights, &cluster.tools.manager, spec);
    let Fact::Known(members) = observation.members else { return false };
    let is_listed = |(name, ledger): (&String, &NodeLedger)| {
        let id = ledger.member().map(|(_, member)| member);
        let listed = |member: &Member| Some(member.id) == id || member.name == *name;
        is_theirs(ledger) && members.iter().any(listed)
    };
    if state.nodes.iter().any(is_listed) || since.elapsed() <= SILENT_MAX {
        return false;
    }
    for (name, ledger) in state.nodes.iter().filter(|(_, ledger)| is_theirs(ledger)) {
        let dir = ledger.data_dir.as_deref().unwrap_or("its data dir");
        let place = Some(format!("{dir} on {host}, which does not answer"));
        let entry = Entry::Left { node: name.clone(), archived: place };
        if let Err(error) = cluster.decree(entry).await {
            tracing::warn!("{name}: {}", base::ErrorChain(&error));
            return false;
        }
    }
    true
}

fn addition(contact: &Contact, votes: bool) -> ConfChange {
    let kind = if votes {
        ConfChangeType::ConfChangeAddNode
    } else {
        ConfChangeType::ConfChangeAddLearnerNode
    };
    change(kind, contact.member, serde_json::to_vec(contact).unwrap_or_default())
}

fn removal(member: u64) -> ConfChange {
    change(ConfChangeType::ConfChangeRemoveNode, member, Vec::new())
}

fn change(kind: ConfChangeType, member: u64, context: Vec<u8>) -> ConfChange {
    ConfChange { id: 0, r#type: kind.into(), node_id: member, context: Some(Bytes::from(context)) }
}
