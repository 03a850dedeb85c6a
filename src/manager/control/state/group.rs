//! The part of the control state that concerns the agents themselves: who they are, who leads, and
//! what they are to do. Folded like the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ControlState, Rejected};
use crate::control::entry::{Entry, Envelope, Task};

/// The agents of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The agents by control member id.
    pub agents: BTreeMap<u64, AgentRecord>,
    /// Those of them that have a vote.
    pub voters: Vec<u64>,
    /// Who leads, by the newest reign committed.
    pub reign: Option<ReignRecord>,
}

/// An agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its host in the spec; empty for an embedded agent.
    pub host: String,
    /// Where other agents reach it: `HOST:PORT`.
    pub address: String,
    /// Its build; empty until it said so.
    #[serde(default)]
    pub build: String,
    /// Highest version of entries that it understands; 0 until it said so.
    #[serde(default)]
    pub entry_version: u32,
}

/// A time in which one agent decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReignRecord {
    /// The agent's control member id.
    pub member: u64,
    /// The raft term: its number.
    pub term: u64,
}

/// An order that no outcome is known of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its number.
    pub id: u64,
    /// Host of the agent that carries it out; empty for an embedded one.
    pub host: String,
    /// What.
    pub task: Task,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEnd {
    /// Its number.
    pub id: u64,
    /// Whether it had its effect.
    pub done: bool,
    /// What came of it.
    pub text: String,
}

impl GroupRecord {
    /// The agent of a host, with its control member id.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Option<(u64, &AgentRecord)> {
        let mut agents = self.agents.iter();
        agents.find(|(_, agent)| agent.host == host).map(|(member, agent)| (*member, agent))
    }

    /// Whether no agent is known to be of a build that does not understand entries of this version.
    #[must_use]
    pub fn understands(&self, version: u32) -> bool {
        self.agents.values().all(|agent| agent.entry_version == 0 || agent.entry_version >= version)
    }

    /// Highest version of entries that every agent understands; none if one has not said so yet.
    #[must_use]
    pub fn entry_version(&self) -> Option<u32> {
        let versions = self.agents.values().map(|agent| agent.entry_version);
        versions.min().filter(|version| *version > 0)
    }
}

impl ControlState {
    /// An agent that was deposed may still have proposals on their way: they have no effect.
    pub(super) fn check_reign(&self, envelope: &Envelope) -> Result<(), Rejected> {
        let actual = self.group.reign.map_or(0, |reign| reign.term);
        match envelope.reign {
            Some(reign) if reign != actual => Err(Rejected::Deposed { reign, actual }),
            _ => Ok(()),
        }
    }

    pub(super) fn apply_group_entry(&mut self, entry: &Entry) -> Result<(), Rejected> {
        match entry {
            Entry::Reign { member, term } => {
                let actual = self.group.reign.map_or(0, |reign| reign.term);
                if *term <= actual {
                    return Err(Rejected::Deposed { reign: *term, actual });
                }
                self.group.reign = Some(ReignRecord { member: *member, term: *term });
                // Their agents look here before they act, and report what they have in hand.
                self.orders.clear();
            }
            Entry::Agent { member, host, address, build, entry_version } => {
                let record = AgentRecord {
                    host: host.clone(),
                    address: address.clone(),
                    build: build.clone(),
                    entry_version: *entry_version,
                };
                self.group.agents.insert(*member, record);
            }
            Entry::Order { node, host, task } => self.order(node, host, task),
            Entry::OrderDone { node, id, done, text } => self.order_done(node, *id, (*done, text)),
            _ => {}
        }
        Ok(())
    }

    /// Of a void order nothing is told.
    fn order_done(&mut self, node: &str, id: u64, (done, text): (bool, &str)) {
        if self.orders.get(node).is_some_and(|order| order.id == id) {
            self.orders.remove(node);
            self.node_mut(node).order = Some(OrderEnd { id, done, text: text.to_owned() });
        }
    }

    fn order(&mut self, node: &str, host: &str, task: &Task) {
        self.order_number += 1;
        let record =
            OrderRecord { id: self.order_number, host: host.to_owned(), task: task.clone() };
        self.orders.insert(node.to_owned(), record);
        let ledger = self.node_mut(node);
        match task {
            Task::Start { data_dir, wal_dir, .. } => {
                ledger.wanted = Some(true);
                ledger.data_dir = Some(data_dir.clone());
                ledger.wal_dir.clone_from(wal_dir);
                ledger.host = Some(host.to_owned()).filter(|host| !host.is_empty());
            }
            Task::Stop { for_good: true } | Task::Archive { .. } => ledger.wanted = Some(false),
            Task::Stop { for_good: false } | Task::MoveLeader { .. } | Task::Hook(_) => {}
        }
    }

    /// A change of the group itself was applied: `voters` and `members` are what it is now.
    pub(crate) fn group_changed(&mut self, voters: &[u64], members: &[u64]) {
        self.group.voters = voters.to_vec();
        self.group.agents.retain(|member, _| members.contains(member));
    }
}
