//! One look at every node of the spec: its outcome by the start table, and what goals need to know besides.

use std::collections::BTreeMap;

use super::{
    kinds::{Kinds, Run, Vital},
    note::Note,
    observation::{Fact, History, MemberStatus, NodeObservation, Observation, Process, Role},
    table::{self, Outcome},
    texts,
    world::World,
};
use crate::{
    generate::{self, Change, Launch},
    spec::{ClusterSpec, NodeSpec},
};

/// The facts and what they mean for each node.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) spec: &'a ClusterSpec,
    pub(super) observation: &'a Observation,
    pub(super) history: &'a History,
    nodes: BTreeMap<&'a str, Surveyed>,
}

#[derive(Debug)]
struct Surveyed {
    kinds: Kinds,
    outcome: Outcome,
    wanted: Option<Launch>,
    /// Whether the spec counts its incarnation up.
    is_renewed: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        spec: &'a ClusterSpec,
        observation: &'a Observation,
        history: &'a History,
    ) -> Self {
        let lineage = history.lineage.known().and_then(Option::as_ref);
        let look = |node: &'a NodeSpec| {
            let wanted =
                lineage.map(|lineage| generate::launch(spec, node, lineage, &observation.manager));
            let kinds = Kinds::of(node, wanted.as_ref(), observation, history);
            let recorded = lineage.and_then(|lineage| lineage.incarnation(&node.name));
            let is_renewed = recorded.is_some_and(|recorded| node.incarnation > recorded);
            let outcome =
                if is_renewed { table::outcome_renewed(kinds) } else { table::outcome(kinds) };
            (node.name.as_str(), Surveyed { kinds, outcome, wanted, is_renewed })
        };
        Self { spec, observation, history, nodes: spec.nodes.iter().map(look).collect() }
    }

    pub(super) fn kinds(&self, node: &str) -> Option<Kinds> {
        self.nodes.get(node).map(|node| node.kinds)
    }

    pub(super) fn outcome(&self, node: &str) -> Option<Outcome> {
        self.nodes.get(node).map(|node| node.outcome)
    }

    /// Whether the spec gives its member up for a new one.
    pub(super) fn is_renewed(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.is_renewed)
    }

    pub(super) fn seen(&self, node: &str) -> Option<&'a NodeObservation> {
        self.observation.node(node)
    }

    /// Nodes of the spec with such an outcome, in its order.
    pub(super) fn with(&self, wanted: impl Fn(Outcome) -> bool) -> Vec<&'a NodeSpec> {
        let is = |node: &&NodeSpec| self.outcome(&node.name).is_some_and(&wanted);
        self.spec.nodes.iter().filter(is).collect()
    }

    /// The world as it is now.
    pub(super) fn world(&self) -> World {
        let vital = |name: &str| match self.seen(name).map(|seen| &seen.health) {
            Some(Fact::Known(super::observation::Health::Healthy)) => Vital::Healthy,
            Some(Fact::Known(super::observation::Health::Unhealthy(_))) => Vital::Unhealthy,
            Some(Fact::Unknown(_)) | None => Vital::Unknown,
        };
        World::now(self.spec, self.observation, self.history, vital)
    }

    /// The note of a node that waits or is blocked.
    pub(super) fn note(&self, node: &NodeSpec) -> Option<Note> {
        let seen = self.seen(&node.name);
        match self.outcome(&node.name)? {
            Outcome::Wait(why) => Some(texts::pending(why, node, seen)),
            Outcome::Block(why) => Some(texts::obstacle(why, node, seen, self.history)),
            Outcome::Keep
            | Outcome::Restart
            | Outcome::StartOwn
            | Outcome::StartNew
            | Outcome::StartJoin
            | Outcome::Join
            | Outcome::Rejoin
            | Outcome::Replace
            | Outcome::Fresh => None,
        }
    }

    /// Why a node is started.
    pub(super) fn start_reason(&self, node: &NodeSpec) -> String {
        let ended = texts::ended(self.seen(&node.name));
        match self.outcome(&node.name) {
            Some(Outcome::StartNew) => {
                format!("it belongs to the prepared bootstrap and has no data yet ({ended})")
            }
            Some(Outcome::StartJoin) => {
                format!("the cluster waits for its first start ({ended})")
            }
            _ => format!("it does not run: {ended}"),
        }
    }

    /// What differs between the node's process and the spec.
    pub(super) fn changes(&self, node: &str) -> Vec<Change> {
        let process = self.seen(node).and_then(|seen| seen.process.known());
        let wanted = self.nodes.get(node).and_then(|node| node.wanted.as_ref());
        match (process, wanted) {
            (Some(Process::Running(running) | Process::Starting(running)), Some(wanted)) => {
                let mut changes = running.launch.changes(wanted);
                if running.is_binary_replaced && running.launch.binary == wanted.binary {
                    changes.push(Change::replaced(&wanted.binary));
                }
                changes
            }
            _ => Vec::new(),
        }
    }

    /// The pid of its process.
    pub(super) fn pid(&self, node: &str) -> Option<u32> {
        match self.seen(node)?.process.known()? {
            Process::Running(running) | Process::Starting(running) => Some(running.pid),
            _ => None,
        }
    }

    pub(super) fn is_alive(&self, node: &str) -> bool {
        let run = self.kinds(node).map(|kinds| kinds.run);
        run.is_some_and(|run| [Run::Starting, Run::Current, Run::Changed].contains(&run))
    }

    fn status(&self, node: &str) -> Option<&'a MemberStatus> {
        self.seen(node).and_then(|seen| seen.status.known())
    }

    /// The node that leads: by its own word in the highest term, else by what others say.
    pub(super) fn leader(&self) -> Option<&'a str> {
        let statuses = || {
            let nodes = self.observation.nodes.iter();
            nodes.filter_map(|node| Some((node.name.as_str(), node.status.known()?)))
        };
        let own = statuses()
            .filter(|(_, status)| status.role == Role::Leader)
            .max_by_key(|(_, status)| status.term);
        let said = || {
            let (_, newest) = statuses().max_by_key(|(_, status)| status.term)?;
            statuses().find(|(_, status)| Some(status.member) == newest.leader)
        };
        own.or_else(said).map(|(name, _)| name)
    }

    /// The most caught-up of these, all of them voters by then; the first of the file among equals.
    pub(super) fn best_successor<'n>(
        &self,
        candidates: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let applied = |name: &str| self.status(name).map(|status| status.applied);
        let position = |name: &str| self.spec.nodes.iter().position(|node| node.name == name);
        candidates.max_by_key(|name| (applied(name), std::cmp::Reverse(position(name))))
    }
}
