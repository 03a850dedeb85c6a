//! A cluster as a pure fold: what each step of a plan does to the facts that the next plan is made from.

use std::collections::BTreeMap;

use base::{Index, MemberId, Revision, Term};

use crate::{
    generate::{self, InitialState, Joined, Lineage},
    plan::{
        Action, AgentState, DataDir, Fact, Health, Member, MemberStatus, NodeRecord, Process, Role,
        RunningProcess,
        fixture::{MANAGER, Scene},
    },
};

/// How a node takes it when it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// It comes up and follows.
    Sound,
    /// It ends at once, every time.
    Crashing,
    /// It runs and never answers.
    Mute,
}

/// The facts, and the truth behind them.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) scene: Scene,
    /// Nodes that are not sound.
    pub(super) natures: BTreeMap<String, Nature>,
    /// The members, whether or not anybody answers.
    pub(super) members: Vec<Member>,
    leader: Option<MemberId>,
    next_id: u64,
}

impl Model {
    /// Of a cluster as this scene has it.
    pub(super) fn new(scene: Scene, natures: BTreeMap<String, Nature>) -> Self {
        let members = scene.observation.members.known().cloned().unwrap_or_default();
        let leads = |node: &&crate::plan::NodeObservation| {
            node.status.known().is_some_and(|status| status.role == Role::Leader)
        };
        let leader = scene.observation.nodes.iter().find(leads);
        let leader = leader.and_then(|node| node.status.known()).map(|status| status.member);
        let mut model = Self { scene, natures, members, leader, next_id: 0xabc0 };
        model.settle();
        model
    }

    /// Healthy voters beyond the quorum, in truth.
    pub(super) fn tolerance(&self) -> i64 {
        let voters = self.members.iter().filter(|member| !member.learner);
        let (mut all, mut healthy) = (0, 0);
        for member in voters {
            all += 1;
            let node = self.node_of(member.id);
            let seen = node.and_then(|node| self.scene.observation.node(&node));
            healthy += i64::from(seen.is_some_and(|it| it.health == Fact::Known(Health::Healthy)));
        }
        healthy - (all / 2 + 1)
    }

    /// Whether it runs, answers and is in the member list.
    pub(super) fn is_healthy(&self, node: &str) -> bool {
        let seen = self.scene.observation.node(node);
        seen.is_some_and(|it| it.health == Fact::Known(Health::Healthy))
    }

    /// Does it, and lets the cluster come to rest.
    ///
    /// # Errors
    /// Why it has not had its effect.
    pub(super) fn apply(&mut self, action: &Action) -> Result<(), String> {
        self.act(action)?;
        self.settle();
        let awaited = match action {
            Action::AwaitHealthy { nodes } => nodes.clone(),
            Action::RestartNode { node, .. } | Action::Promote { node } => vec![node.clone()],
            _ => Vec::new(),
        };
        match awaited.into_iter().find(|node| !self.is_healthy(node)) {
            Some(ill) => Err(format!("{ill} is not healthy")),
            None => Ok(()),
        }
    }

    fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::StartAgent => {
                self.scene.observation.agent = Fact::Known(AgentState::Running);
            }
            Action::Bootstrap { nodes } => self.bootstrap(nodes),
            Action::SealBootstrap => self.edit_lineage(|lineage| *lineage = lineage.sealed()),
            Action::StartNode { node } | Action::RestartNode { node, .. } => self.start(node),
            Action::StopNode { node } => {
                self.scene.down(node, "exit code 0");
                self.scene.history.stopped.insert(node.clone());
            }
            Action::AwaitHealthy { .. } => {}
            Action::MoveLeader { to, .. } => self.leader = self.id_of(to),
            Action::AddLearner { node, peer_urls } => self.add_learner(node, peer_urls)?,
            Action::Promote { node } => self.promote(node)?,
            Action::RemoveMember { member, .. } => {
                let at = self.members.iter().position(|it| it.id.to_string() == *member);
                self.members.remove(at.ok_or_else(|| format!("{member} was no member"))?);
            }
            Action::UpdateMember { member, peer_urls, .. } => {
                let found = self.members.iter_mut().find(|it| it.id.to_string() == *member);
                let found = found.ok_or_else(|| format!("{member} is no member"))?;
                found.peer_urls.clone_from(peer_urls);
            }
            Action::Archive { node } => self.archive(node),
        }
        Ok(())
    }

    fn bootstrap(&mut self, nodes: &[String]) {
        let known = self.scene.history.lineage.known().cloned().flatten();
        let lineage = match known {
            None => Lineage::first(&self.scene.spec, uuid::Uuid::nil()),
            Some(aborted) => aborted.after_abort(&self.scene.spec),
        };
        assert_eq!(nodes.len(), self.scene.spec.nodes.len(), "R2");
        self.members = self
            .scene
            .spec
            .nodes
            .iter()
            .map(|node| Member {
                id: lineage.bootstrap_member(&node.name).expect("a member").1,
                name: node.name.clone(),
                peer_urls: node.advertise_peer_urls.clone(),
                client_urls: Vec::new(),
                learner: false,
            })
            .collect();
        self.scene.history.lineage = Fact::Known(Some(lineage));
        for node in nodes {
            self.start(node);
        }
    }

    /// An empty dir becomes the member that the record says; any other must be its own.
    fn start(&mut self, name: &str) {
        let lineage = self.scene.lineage();
        let node = self.scene.spec.node(name).expect("a node of the spec").clone();
        let own = lineage.member(name).expect("a recorded member");
        let formed = DataDir::Formed { cluster: own.0, member: own.1 };
        let launch =
            generate::launch(&self.scene.spec, &node, &lineage, std::path::Path::new(MANAGER));
        let record =
            NodeRecord { formed: Some(own), data_dir: node.data_dir, wal_dir: node.wal_dir };
        let before = self.scene.history.nodes.insert(name.to_owned(), record);
        let nature = self.nature(name);
        let may_be_new = lineage.initial_state == InitialState::New
            || lineage.joined.contains_key(name) && before.is_none_or(|it| it.formed.is_none());
        let seen = self.scene.see(name);
        match &seen.data_dir {
            Fact::Known(DataDir::Empty) => assert!(may_be_new, "R17: {name} starts empty"),
            found => assert_eq!(*found, Fact::Known(formed), "R3: {name}"),
        }
        seen.data_dir = Fact::Known(formed);
        seen.process = Fact::Known(match nature {
            Nature::Crashing => Process::CrashLoop { launch, ended: "exit code 1".to_owned() },
            Nature::Sound | Nature::Mute => {
                Process::Running(RunningProcess { pid: 200, launch, is_binary_replaced: false })
            }
        });
    }

    fn add_learner(&mut self, node: &str, peer_urls: &[String]) -> Result<(), String> {
        if self.scene.observation.members.known().is_none() {
            return Err("no quorum".to_owned());
        }
        let taken = |member: &Member| member.peer_urls.iter().any(|url| peer_urls.contains(url));
        assert!(!self.members.iter().any(taken), "etcd refuses a peer URL twice: {node}");
        assert!(!self.members.iter().any(|member| member.learner), "etcd takes one learner");
        self.next_id += 1;
        let id = MemberId::new(self.next_id);
        self.members.push(Member {
            id,
            name: String::new(),
            peer_urls: peer_urls.to_vec(),
            client_urls: Vec::new(),
            learner: true,
        });
        let incarnation = self.scene.spec.node(node).expect("a node of the spec").incarnation;
        let joined =
            Joined { member: self.next_id, votes: false, incarnation, initial_cluster: Vec::new() };
        self.edit_lineage(|lineage| {
            lineage.joined.insert(node.to_owned(), joined);
        });
        if let Some(record) = self.scene.history.nodes.get_mut(node) {
            record.formed = None;
        }
        Ok(())
    }

    fn promote(&mut self, node: &str) -> Result<(), String> {
        if !self.is_healthy(node) {
            return Err(format!("{node} has not caught up"));
        }
        let id = self.id_of(node);
        let found = self.members.iter_mut().find(|member| Some(member.id) == id);
        found.ok_or_else(|| format!("{node} is no member"))?.learner = false;
        self.edit_lineage(|lineage| {
            if let Some(joined) = lineage.joined.get_mut(node) {
                joined.votes = true;
            }
        });
        Ok(())
    }

    fn archive(&mut self, node: &str) {
        let id = self.id_of(node);
        assert!(!self.members.iter().any(|member| Some(member.id) == id), "R4: {node}");
        self.edit_lineage(|lineage| {
            lineage.joined.remove(node);
            lineage.left.insert(node.to_owned());
        });
        self.scene.history.nodes.remove(node);
        self.scene.down(node, "exit code 0");
        self.scene.see(node).data_dir = Fact::Known(DataDir::Empty);
    }

    fn edit_lineage(&mut self, edit: impl FnOnce(&mut Lineage)) {
        let mut lineage = self.scene.lineage();
        edit(&mut lineage);
        self.scene.history.lineage = Fact::Known(Some(lineage));
    }

    fn nature(&self, node: &str) -> Nature {
        self.natures.get(node).copied().unwrap_or(Nature::Sound)
    }

    /// The member of a node by the record.
    fn id_of(&self, node: &str) -> Option<MemberId> {
        let lineage = self.scene.history.lineage.known()?.as_ref()?;
        lineage.member(node).map(|(_, id)| id)
    }

    fn node_of(&self, id: MemberId) -> Option<String> {
        let mut nodes = self.scene.observation.nodes.iter().map(|node| &node.name);
        nodes.find(|name| self.id_of(name) == Some(id)).cloned()
    }

    /// Who could answer, if a quorum does: it runs, on its own data, in the cluster.
    fn able(&self) -> Vec<(String, MemberId)> {
        let nodes = self.scene.observation.nodes.iter();
        let able = nodes.filter_map(|seen| {
            let id = self.id_of(&seen.name)?;
            let runs = matches!(
                seen.process.known()?,
                Process::Running(_) | Process::Starting(_)
            );
            let own = matches!(seen.data_dir, Fact::Known(DataDir::Formed { member, .. }) if member == id);
            let is_in = self.members.iter().any(|member| member.id == id);
            let sound = self.nature(&seen.name) == Nature::Sound;
            (runs && own && is_in && sound).then(|| (seen.name.clone(), id))
        });
        able.collect()
    }

    fn settle(&mut self) {
        let able = self.able();
        let votes =
            |id: MemberId| self.members.iter().any(|member| member.id == id && !member.learner);
        let voters: Vec<MemberId> =
            able.iter().map(|(_, id)| *id).filter(|id| votes(*id)).collect();
        let all = self.members.iter().filter(|member| !member.learner).count();
        let quorum = all > 0 && voters.len() > all / 2;
        self.leader =
            self.leader.filter(|id| voters.contains(id)).or_else(|| voters.first().copied());
        for member in &mut self.members {
            if let Some((name, _)) = able.iter().find(|(_, id)| quorum && *id == member.id) {
                member.name.clone_from(name);
                member.client_urls = vec![format!("http://{name}")];
            }
        }
        self.scene.observation.members = if quorum {
            Fact::Known(self.members.clone())
        } else {
            Fact::Unknown("no member answers".to_owned())
        };
        for name in
            self.scene.observation.nodes.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
        {
            let is_able = able.iter().any(|(node, _)| *node == name);
            self.settle_node(&name, is_able);
        }
    }

    fn settle_node(&mut self, name: &str, able: bool) {
        let quorum = self.scene.observation.members.known().is_some();
        let answers = able && quorum;
        let id = self.id_of(name);
        let is_in = self.members.iter().any(|member| Some(member.id) == id);
        let learner = self.members.iter().any(|it| Some(it.id) == id && it.learner);
        let leader = self.leader;
        let seen = self.scene.see(name);
        if let Fact::Known(Process::Starting(running)) = &seen.process {
            seen.process = Fact::Known(Process::Running(running.clone()));
        }
        let runs = matches!(seen.process, Fact::Known(Process::Running(_)));
        if runs && quorum && !is_in && matches!(seen.data_dir, Fact::Known(DataDir::Formed { .. }))
        {
            seen.process = Fact::Known(Process::Removed);
        }
        let Fact::Known(DataDir::Formed { cluster, member }) = seen.data_dir else {
            seen.health = Fact::Known(Health::Unhealthy("it has no data".to_owned()));
            seen.status = Fact::Unknown("it does not answer".to_owned());
            return;
        };
        if !answers {
            seen.health = Fact::Known(Health::Unhealthy("it does not answer".to_owned()));
            seen.status = Fact::Unknown("it does not answer".to_owned());
            return;
        }
        let role = match (Some(member) == leader, learner) {
            (true, _) => Role::Leader,
            (false, true) => Role::Learner,
            (false, false) => Role::Follower,
        };
        seen.health = Fact::Known(Health::Healthy);
        seen.status = Fact::Known(MemberStatus {
            member,
            cluster,
            role,
            leader,
            term: Term::new(3),
            index: Index::new(1000),
            applied: Index::new(1000),
            revision: Revision::new(10),
            db_bytes: 20_480,
            version: "3.5.21".to_owned(),
        });
    }
}
