//! Tests only: a cluster of loopback nodes, healthy unless a test says otherwise.

use std::path::{Path, PathBuf};

use base::{ClusterId, Index, MemberId, Revision, Term};
use uuid::Uuid;

use super::{
    AgentState, DataDir, Fact, Goal, Health, History, Member, MemberStatus, NodeObservation,
    NodeRecord, Observation, Plan, Process, Role, RunningProcess,
};
use crate::{
    generate::{self, Launch, Lineage},
    spec::{self, ClusterSpec},
};

pub(crate) const MANAGER: &str = "/opt/etcd-manager";

/// Spec, facts and history of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) spec: ClusterSpec,
    pub(crate) observation: Observation,
    pub(crate) history: History,
}

/// A spec of `count` nodes n1, n2 …; `extra` goes in front of the nodes.
pub(crate) fn spec(count: usize, extra: &str) -> ClusterSpec {
    let mut text = format!("[cluster]\nname = \"c\"\ndir = \"/srv\"\n{extra}\n");
    for at in 1..=count {
        text += &format!(
            "[[node]]\nname = \"n{at}\"\nhost = \"127.0.0.1\"\nclient-port = {at}2379\npeer-port = {at}2380\n"
        );
    }
    spec::parse(Path::new("/etc/cluster.toml"), &text).expect("a good spec").spec
}

impl Scene {
    /// Nothing was ever started.
    pub(crate) fn virgin(count: usize) -> Self {
        let spec = spec(count, "");
        let nodes = spec.nodes.iter().map(|node| NodeObservation {
            name: node.name.clone(),
            process: Fact::Known(Process::Stopped { ended: None }),
            data_dir: Fact::Known(DataDir::Empty),
            health: Fact::Known(Health::Unhealthy("its process does not run".to_owned())),
            status: Fact::Unknown("it does not answer".to_owned()),
            program: Fact::Known("3.5.21".to_owned()),
        });
        let observation = Observation {
            agent: Fact::Known(AgentState::Running),
            manager: PathBuf::from(MANAGER),
            nodes: nodes.collect(),
            members: Fact::Unknown("no member answers".to_owned()),
        };
        let history = History { lineage: Fact::Known(None), nodes: [].into(), stopped: [].into() };
        Self { spec, observation, history }
    }

    /// A formed cluster, all healthy; n1 leads.
    pub(crate) fn healthy(count: usize) -> Self {
        let mut scene = Self::virgin(count);
        let lineage = Lineage::first(&scene.spec, Uuid::nil()).sealed();
        scene.history.lineage = Fact::Known(Some(lineage));
        scene.observation.members = Fact::Known(scene.member_list());
        for name in scene.names() {
            scene.run(&name);
        }
        scene
    }

    /// Nodes were just started as `new`: nothing is formed or answers yet.
    pub(crate) fn prepared(count: usize) -> Self {
        let mut scene = Self::virgin(count);
        let lineage = Lineage::first(&scene.spec, Uuid::nil());
        scene.history.lineage = Fact::Known(Some(lineage));
        scene
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.spec.nodes.iter().map(|node| node.name.clone()).collect()
    }

    pub(crate) fn lineage(&self) -> Lineage {
        self.history.lineage.known().cloned().flatten().expect("a lineage")
    }

    pub(crate) fn identity(&self, name: &str) -> (ClusterId, MemberId) {
        self.lineage().bootstrap_member(name).expect("a recorded node")
    }

    /// What the node would be started with by this scene's spec.
    pub(crate) fn launch(&self, name: &str) -> Launch {
        let node = self.spec.node(name).expect("a node");
        generate::launch(&self.spec, node, &self.lineage(), Path::new(MANAGER))
    }

    /// Makes a node run with what its spec wants, formed, recorded and healthy.
    pub(crate) fn run(&mut self, name: &str) {
        let (cluster, member) = self.identity(name);
        let position = self.spec.nodes.iter().position(|node| node.name == name).expect("a node");
        let leader = self.identity("n1").1;
        let launch = self.launch(name);
        let pid = 100 + u32::try_from(position).expect("few nodes");
        let node = self.spec.nodes[position].clone();
        let record = NodeRecord {
            formed: Some((cluster, member)),
            data_dir: node.data_dir,
            wal_dir: node.wal_dir,
        };
        self.history.nodes.insert(name.to_owned(), record);
        let seen = self.see(name);
        seen.process = Fact::Known(Process::Running(RunningProcess {
            pid,
            launch,
            is_binary_replaced: false,
        }));
        seen.data_dir = Fact::Known(DataDir::Formed { cluster, member });
        seen.health = Fact::Known(Health::Healthy);
        seen.status = Fact::Known(MemberStatus {
            member,
            cluster,
            role: if position == 0 { Role::Leader } else { Role::Follower },
            leader: Some(leader),
            term: Term::new(2),
            index: Index::new(1000),
            applied: Index::new(1000),
            revision: Revision::new(10),
            db_bytes: 20_480,
            version: "3.5.21".to_owned(),
        });
    }

    pub(crate) fn see(&mut self, name: &str) -> &mut NodeObservation {
        let seen = self.observation.nodes.iter_mut().find(|node| node.name == name);
        seen.expect("an observed node")
    }

    /// Its process ended; its data is there.
    pub(crate) fn down(&mut self, name: &str, ended: &str) {
        let seen = self.see(name);
        seen.process = Fact::Known(Process::Stopped { ended: Some(ended.to_owned()) });
        seen.health = Fact::Known(Health::Unhealthy("its process does not run".to_owned()));
        seen.status = Fact::Unknown("it does not answer".to_owned());
    }

    pub(crate) fn ill(&mut self, name: &str, why: &str) {
        self.see(name).health = Fact::Known(Health::Unhealthy(why.to_owned()));
    }

    pub(crate) fn status(&mut self, name: &str) -> &mut MemberStatus {
        match &mut self.see(name).status {
            Fact::Known(status) => status,
            Fact::Unknown(reason) => panic!("{name} has no status: {reason}"),
        }
    }

    /// Another leader.
    pub(crate) fn lead(&mut self, leader: &str) {
        let id = self.identity(leader).1;
        for name in self.names() {
            let status = self.status(&name);
            status.role = if name == leader { Role::Leader } else { Role::Follower };
            status.leader = Some(id);
        }
    }

    /// The operator edits a flag of all nodes.
    pub(crate) fn edit(&mut self, flag: &str, value: &str) {
        for node in &mut self.spec.nodes {
            node.flags.insert(flag.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn member_list(&self) -> Vec<Member> {
        let member = |node: &spec::NodeSpec| Member {
            id: self.identity(&node.name).1,
            name: node.name.clone(),
            peer_urls: node.advertise_peer_urls.clone(),
            client_urls: node.advertise_client_urls.clone(),
            learner: false,
        };
        self.spec.nodes.iter().map(member).collect()
    }

    /// The plan for a goal, with the verdicts of all rules.
    pub(crate) fn plan(&self, goal: &Goal) -> Plan {
        let mut plan = super::plan(goal, &self.spec, &self.observation, &self.history);
        let verdicts = crate::check::check(&plan, &self.spec, &self.observation, &self.history);
        plan.notes.extend(verdicts);
        plan
    }

    pub(crate) fn converge(&self) -> Plan {
        self.plan(&Goal::Converge)
    }
}

/// Its steps, one line each.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.action.to_string()).collect()
}
