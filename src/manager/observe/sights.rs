//! What the agents of all hosts see, and what it adds up to. A host that does not answer is unknown,
//! never "down".

use std::path::{Path, PathBuf};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::look_here;
use crate::{
    agent::cluster::Cluster,
    plan::{
        AgentState, Fact, Health, Member, NodeObservation, Observation, Process, RunningProcess,
    },
    report::MemberReport,
    spec::{Binary, ClusterSpec},
};

/// Applied entries behind the furthest member at which a member still counts as caught up.
const LAG_MAX: u64 = 1000;

/// What one agent sees of the nodes of its host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostFacts {
    /// Path of its `etcd-manager`: the in-tree node lies beside it.
    pub(crate) manager: PathBuf,
    /// Lag is not counted yet: it takes all hosts.
    pub(crate) nodes: Vec<NodeObservation>,
    /// By a linearizable list through a node of this host.
    pub(crate) members: Fact<Vec<Member>>,
    /// The same for the status page, with more.
    #[serde(default)]
    pub(crate) reports: Vec<MemberReport>,
}

/// One host's answer.
#[derive(Debug, Clone)]
pub(crate) struct HostSight {
    /// Its name in the spec; empty for an embedded agent.
    pub(crate) host: String,
    /// What its agent sees, or why it is not known.
    pub(crate) facts: Result<HostFacts, String>,
}

/// Asks the agents of all hosts at once; each answer is bounded.
/// `draft`: the text of a spec that is not committed.
pub(crate) async fn look_around(
    cluster: &Cluster,
    spec: &ClusterSpec,
    draft: Option<&str>,
) -> Vec<HostSight> {
    let own = cluster.host().unwrap_or_default();
    let look = |host: String| async move {
        let facts = if host == own {
            Ok(look_here(cluster, spec).await)
        } else {
            cluster.look(&host, spec, draft).await
        };
        HostSight { host, facts }
    };
    join_all(cluster.hosts(spec).into_iter().map(look)).await
}

/// The facts of all hosts as one observation.
pub(crate) fn merge(sights: &[HostSight], manager: &Path, spec: &ClusterSpec) -> Observation {
    let mut nodes = Vec::new();
    let mut members = Fact::Unknown("no agent answers".to_owned());
    for HostSight { host, facts } in sights {
        match facts {
            Ok(facts) => {
                nodes.extend(facts.nodes.iter().cloned().map(|node| as_here(node, facts, manager)));
                if members.known().is_none() {
                    members = facts.members.clone();
                }
            }
            Err(reason) => {
                let theirs = spec.nodes.iter().filter(|node| node.host == *host);
                nodes.extend(theirs.map(|node| unknown(&node.name, host, reason)));
            }
        }
    }
    count_lag(&mut nodes);
    let agent = Fact::Known(AgentState::Running);
    Observation { agent, manager: manager.to_owned(), nodes, members }
}

fn unknown(name: &str, host: &str, reason: &str) -> NodeObservation {
    let text = format!("the agent of {host} does not answer: {reason}");
    NodeObservation {
        name: name.to_owned(),
        process: Fact::Unknown(text.clone()),
        data_dir: Fact::Unknown(text.clone()),
        health: Fact::Unknown(text.clone()),
        status: Fact::Unknown(text.clone()),
        program: Fact::Unknown(text),
    }
}

/// The in-tree node lies beside each host's own manager: elsewhere it counts as lying beside ours.
fn as_here(mut node: NodeObservation, facts: &HostFacts, manager: &Path) -> NodeObservation {
    let Fact::Known(
        Process::Starting(RunningProcess { launch, .. })
        | Process::Running(RunningProcess { launch, .. })
        | Process::BackingOff { launch, .. }
        | Process::CrashLoop { launch, .. },
    ) = &mut node.process
    else {
        return node;
    };
    if launch.binary == Binary::InTree.resolve(&facts.manager) {
        launch.binary = Binary::InTree.resolve(manager);
    }
    node
}

/// A member that answers and is far behind is not healthy.
fn count_lag(nodes: &mut [NodeObservation]) {
    let indexes = nodes.iter().filter_map(|node| Some(node.status.known()?.index.get()));
    let furthest = indexes.max().unwrap_or(0);
    for node in nodes {
        let Some(status) = node.status.known() else { continue };
        let lag = furthest.saturating_sub(status.applied.get());
        if node.health == Fact::Known(Health::Healthy) && lag > LAG_MAX {
            node.health = Fact::Known(Health::Unhealthy(format!("{lag} entries behind")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{MANAGER, Scene, spec};

    fn facts(scene: &Scene) -> HostFacts {
        HostFacts {
            manager: MANAGER.into(),
            nodes: scene.observation.nodes.clone(),
            members: scene.observation.members.clone(),
            reports: Vec::new(),
        }
    }

    #[test]
    fn facts_are_the_same_after_a_way_between_agents() {
        let scene = Scene::healthy(3);
        let text = serde_json::to_string(&facts(&scene)).unwrap();
        let there: HostFacts = serde_json::from_str(&text).unwrap();
        let sight = HostSight { host: String::new(), facts: Ok(there) };
        let merged = merge(&[sight], Path::new(MANAGER), &scene.spec);
        assert_eq!(merged, scene.observation);
    }

    #[test]
    fn a_host_that_does_not_answer_is_unknown_not_down() {
        let spec = spec(1, "");
        let sight = HostSight { host: "127.0.0.1".to_owned(), facts: Err("timed out".to_owned()) };
        let merged = merge(&[sight], Path::new(MANAGER), &spec);
        let node = merged.node("n1").unwrap();
        assert!(matches!(&node.process, Fact::Unknown(why) if why.contains("127.0.0.1")));
        assert!(matches!(&node.data_dir, Fact::Unknown(_)));
        assert!(matches!(merged.members, Fact::Unknown(_)));
    }

    #[test]
    fn an_in_tree_node_beside_another_hosts_manager_is_no_change() {
        let scene = Scene::healthy(1);
        let mut there = facts(&scene);
        there.manager = "/elsewhere/etcd-manager".into();
        if let Fact::Known(Process::Running(running)) = &mut there.nodes[0].process {
            running.launch.binary = "/elsewhere/etcd-node".into();
        }
        let sight = HostSight { host: String::new(), facts: Ok(there) };
        let merged = merge(&[sight], Path::new(MANAGER), &scene.spec);
        assert_eq!(merged, scene.observation);
    }
}
