//! What is known when a plan is made. Each fact is `Known` or `Unknown` with the reason; unknown is neither an error nor
//! a default.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use base::{ClusterId, Index, MemberId, Revision, Term};
use serde::{Deserialize, Serialize};

use super::document::{DataDirDocument, MemberDocument, MemberStatusDocument};
use crate::generate::{Launch, Lineage};

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// It is so.
    Known(T),
    /// It could not be found out, and why.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, if it is known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// What the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Make the cluster what the spec says.
    Converge,
    /// Stop these nodes.
    Stop(BTreeSet<String>),
    /// Start these nodes where they are stopped; change nothing else.
    Start(BTreeSet<String>),
    /// Restart this node even if nothing changed; start it if it is down.
    Restart {
        /// The node.
        node: String,
        /// Its process when this was asked for: the goal is reached when another one runs.
        pid: Option<u32>,
    },
}

/// All facts of one look at the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The agent that would carry out the plan.
    pub agent: Fact<AgentState>,
    /// Path of the running `etcd-manager`: the in-tree node lies beside it.
    pub manager: PathBuf,
    /// The nodes of the spec and any other that this agent has a record of, in any order.
    pub nodes: Vec<NodeObservation>,
    /// The members by a linearizable member list of a live quorum.
    pub members: Fact<Vec<Member>>,
}

impl Observation {
    /// What is known about a node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeObservation> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// Whether an agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// It answers.
    Running,
    /// None runs for this state dir.
    Absent,
}

/// All facts about one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeObservation {
    /// The node.
    pub name: String,
    /// Its process, by its shim's record.
    pub process: Fact<Process>,
    /// Its data directory. While the process runs, what was found when it was last read.
    pub data_dir: Fact<DataDir>,
    /// By a linearizable read through this node. A node whose process does not run is `Known(Unhealthy)`.
    pub health: Fact<Health>,
    /// By the node's own answer to Maintenance.Status.
    pub status: Fact<MemberStatus>,
    /// Version of the program that the spec wants, by its own word; not asked while it runs already.
    #[serde(default = "not_asked")]
    pub program: Fact<String>,
}

/// Nobody has asked a program for its version.
pub(crate) fn not_asked() -> Fact<String> {
    Fact::Unknown("it was not asked".to_owned())
}

/// The process of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// None runs: never started, ended on request, or ended and not to be restarted by itself.
    Stopped {
        /// How the last one ended, in words; absent if there was none.
        ended: Option<String>,
    },
    /// It runs and has not been ready since it was started, still within its ready timeout.
    Starting(RunningProcess),
    /// It runs and was ready at least once, or its ready timeout is over.
    Running(RunningProcess),
    /// It ended and its supervisor starts it again by itself after a pause.
    BackingOff {
        /// What it was started with.
        launch: Launch,
        /// How it ended.
        ended: String,
    },
    /// It ended too often; its supervisor gave up.
    CrashLoop {
        /// What it was started with.
        launch: Launch,
        /// How it ended and why, as far as is known.
        ended: String,
    },
    /// It left because it was removed from the cluster. It is never started again as that member.
    Removed,
    /// Its data directory or a port of it is held by a process that is not ours.
    Foreign {
        /// The owner, in words: pid and program.
        owner: String,
    },
}

impl Process {
    /// Whether something runs there.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Starting(_) | Self::Running(_) | Self::Foreign { .. })
    }
}

/// A process of ours that is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningProcess {
    /// Its process id.
    pub pid: u32,
    /// What it was started with.
    pub launch: Launch,
    /// Whether another file lies at its binary's path since it was started.
    pub is_binary_replaced: bool,
}

/// A data directory as found. One that cannot be read is `Fact::Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DataDirDocument", into = "DataDirDocument")]
pub enum DataDir {
    /// It does not exist or holds nothing.
    Empty,
    /// It holds a member.
    Formed {
        /// The cluster, by the metadata of its log.
        cluster: ClusterId,
        /// The member.
        member: MemberId,
    },
    /// It holds something else than a member (files that are not etcd's).
    Foreign,
    /// It holds a member whose log cannot be read or fails its checks.
    Damaged,
    /// It holds nothing, and its host's record knows of a log (R17).
    Emptied,
    /// It holds the member's own log, older than what its host's record says it acknowledged (R17).
    Stale,
    /// A recovery was promised that is neither opened nor given up: it is not run (R3).
    Fenced,
}

/// The answer to a linearizable read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answered, is caught up, and has no alarm that stops it serving.
    Healthy,
    /// It did not answer, or answered with an error, or lags; in words.
    Unhealthy(String),
}

/// What a member does in raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Leads.
    Leader,
    /// A voter that does not lead.
    Follower,
    /// Has no vote.
    Learner,
}

/// A member's own account of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MemberStatusDocument", into = "MemberStatusDocument")]
pub struct MemberStatus {
    /// Its id.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its role.
    pub role: Role,
    /// The leader it knows.
    pub leader: Option<MemberId>,
    /// Its raft term.
    pub term: Term,
    /// Its last raft index.
    pub index: Index,
    /// Its applied index.
    pub applied: Index,
    /// Revision of its store.
    pub revision: Revision,
    /// Size of its backend, in bytes.
    pub db_bytes: u64,
    /// Its version.
    pub version: String,
}

/// One entry of the member list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MemberDocument", into = "MemberDocument")]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name; empty if it was added and never started.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Its client URLs; empty until it has published itself, that is until it was started once.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub learner: bool,
}

/// What the control group's log says about the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The lineage: `Known(None)` only if the records are readable and say that no cluster was ever prepared (R13).
    pub lineage: Fact<Option<Lineage>>,
    /// What is recorded of each node.
    pub nodes: BTreeMap<String, NodeRecord>,
    /// Nodes that the operator stopped; `apply` and `start` clear them first.
    pub stopped: BTreeSet<String>,
}

/// What is recorded of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The member that its data directory was seen to hold, recorded when first seen. `Some` and an empty directory is a
    /// lost disk.
    pub formed: Option<(ClusterId, MemberId)>,
    /// The data directory it was last started with.
    pub data_dir: PathBuf,
    /// The WAL directory it was last started with.
    pub wal_dir: Option<PathBuf>,
}
