//! The entries of the control log: the only commands an agent acts on. Versioned, so that agents of
//! two builds can share a log.

use std::collections::BTreeSet;

use base::{ClusterId, MemberId};
use serde::{Deserialize, Serialize};

use crate::generate::{Launch, Lineage, first_incarnation};

/// Version of the entries this build writes, and the highest it understands.
pub const ENTRY_VERSION: u32 = 3;

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of the entry.
    pub version: u32,
    /// Ties an entry to the proposal that waits for it. Unique within one agent's life.
    pub proposal: u64,
    /// Random number of the agent's life that proposed it.
    pub incarnation: u64,
    /// Wall time of the proposal, in milliseconds since 1970: a label only.
    pub at_ms: u64,
    /// The reign that decided it; an entry of an earlier reign has no effect. None: no decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reign: Option<u64>,
    /// The command.
    pub entry: Entry,
}

/// A command or an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// A spec becomes the wanted one, if `base` is still the revision in force (compare-and-set).
    Spec {
        /// Revision it was made against; 0 = none.
        base: u64,
        /// Content.
        text: String,
        /// Digest of the content.
        digest: String,
        /// Where it was read from.
        source: String,
    },
    /// Somebody wants something done. Replaces an unfinished goal.
    Goal(Goal),
    /// The goal is reached, given up or put off; nothing is changed until the next one.
    Settled {
        /// How.
        outcome: Settlement,
        /// Why, in a sentence.
        reason: String,
    },
    /// A lineage is prepared (R2). Refused once one was formed.
    LineagePrepared {
        /// Identity, token, member set.
        lineage: Lineage,
    },
    /// Its first node is about to be started.
    LineageStarted,
    /// The cluster answered: `new` is never used again (R2).
    LineageFormed,
    /// A step begins.
    Intent {
        /// What, in a sentence.
        step: String,
        /// Why, in a sentence.
        #[serde(default)]
        reason: String,
        /// Whether the agent that leads does it itself, by a call to the cluster, and not by orders.
        #[serde(default)]
        direct: bool,
    },
    /// The step is over.
    Outcome {
        /// Whether it had its effect.
        done: bool,
        /// What came of it.
        text: String,
    },
    /// A node is to run, or not to.
    Wanted {
        /// The node.
        node: String,
        /// Whether.
        run: bool,
    },
    /// A node's data dir was seen to hold this member.
    MemberSeen {
        /// The node.
        node: String,
        /// The cluster.
        #[serde(with = "id_number")]
        cluster: ClusterId,
        /// The member.
        #[serde(with = "id_number")]
        member: MemberId,
    },
    /// The cluster took a node in as this member; it was not started yet.
    Joined {
        /// The node.
        node: String,
        /// The member.
        #[serde(with = "id_number")]
        member: MemberId,
        /// Which life of the member it is.
        #[serde(default = "first_incarnation")]
        incarnation: u64,
        /// The members now, itself included: name and peer URLs.
        initial_cluster: Vec<(String, Vec<String>)>,
    },
    /// The cluster gave a node that joined its vote.
    Promoted {
        /// The node.
        node: String,
    },
    /// A node's member is no longer in the cluster, and its data is in the archive: what it was is forgotten.
    Left {
        /// The node.
        node: String,
        /// Where its data dir is now; nothing if it had none.
        archived: Option<String>,
    },
    /// Where a node was last started.
    Placed {
        /// The node.
        node: String,
        /// Its data dir.
        data_dir: String,
        /// Its WAL dir, if outside.
        wal_dir: Option<String>,
    },
    /// Something happened to a node.
    Happened {
        /// The node; empty for the agent itself.
        node: String,
        /// What, in a line.
        text: String,
        /// Automatic restarts so far.
        restarts: u64,
        /// The run that ended, if it is an end.
        ended_run: Option<u64>,
    },
    /// Nothing is changed until it is resumed. Since version 3.
    Paused {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// The pause is over. Since version 3.
    Resumed,
    /// An agent leads from here on: orders of earlier reigns are void. Since version 2.
    Reign {
        /// Its control member id.
        member: u64,
        /// The raft term in which it leads.
        term: u64,
    },
    /// What an agent says about itself. Since version 2.
    Agent {
        /// Its control member id.
        member: u64,
        /// Its host in the spec; empty for an embedded agent.
        host: String,
        /// Where other agents reach it: `HOST:PORT`.
        address: String,
        /// Its build.
        build: String,
        /// Highest version of entries that it understands.
        entry_version: u32,
    },
    /// The agent of a host is to do something to a node. Since version 2.
    Order {
        /// The node.
        node: String,
        /// Host of the agent; empty for an embedded one.
        host: String,
        /// What.
        task: Task,
    },
    /// An order was carried out, failed, or is withdrawn. Since version 2.
    OrderDone {
        /// The node.
        node: String,
        /// Number of the order.
        id: u64,
        /// Whether it had its effect.
        done: bool,
        /// What came of it.
        text: String,
    },
}

/// What an agent does to a node of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Start the process as the committed spec and lineage say.
    Start {
        /// Its data dir.
        data_dir: String,
        /// Its WAL dir, if outside.
        wal_dir: Option<String>,
        /// Epoch of the lineage that it is started for: of another one it is not.
        epoch: u64,
        /// What ran before, if it is rolled back to that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        launch: Option<Launch>,
    },
    /// Stop the process; neither membership nor data change (R10).
    Stop {
        /// Whether it is to stay down.
        for_good: bool,
    },
    /// Stop the process of a node that is no member any more, and put its dirs away (R4).
    Archive {
        /// Its data dir; nothing if it is not known.
        data_dir: Option<String>,
        /// Its WAL dir, if outside.
        wal_dir: Option<String>,
        /// Name in the archive.
        label: String,
    },
    /// Run the operator's hook of this host. Since version 3.
    Hook(HookCall),
    /// Have the node hand its leadership over (R11).
    MoveLeader {
        /// To this member.
        #[serde(with = "id_number")]
        to: MemberId,
    },
}

/// A hook before or after a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCall {
    /// Whether the step is over.
    pub after: bool,
    /// Kind of the step, such as `restart-node`.
    pub step: String,
    /// The step in a sentence.
    pub what: String,
    /// Why it is done.
    pub reason: String,
    /// Its node; empty if it is about the whole.
    pub node: String,
    /// Host of the node; empty for an embedded agent.
    pub host: String,
    /// Afterwards: whether the step had its effect.
    pub done: bool,
    /// Afterwards: what came of it.
    pub result: String,
}

impl Entry {
    /// The first version that has this kind of entry: an older build reads what it can understand.
    #[must_use]
    pub const fn version(&self) -> u32 {
        match self {
            Self::Paused { .. }
            | Self::Order { task: Task::Hook(_) | Task::Start { launch: Some(_), .. }, .. }
            | Self::Resumed
            | Self::Settled { outcome: Settlement::Postponed, .. } => 3,
            Self::Reign { .. }
            | Self::Agent { .. }
            | Self::Order { .. }
            | Self::OrderDone { .. }
            | Self::Joined { .. }
            | Self::Promoted { .. }
            | Self::Left { .. }
            | Self::Settled { outcome: Settlement::Deferred, .. } => 2,
            _ => 1,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "goal", rename_all = "kebab-case")]
pub enum Goal {
    /// Make the cluster what the spec says.
    Converge(Terms),
    /// Stop these nodes.
    Stop {
        /// The nodes.
        nodes: BTreeSet<String>,
    },
    /// Start these nodes.
    Start {
        /// The nodes.
        nodes: BTreeSet<String>,
    },
    /// Restart this node.
    Restart {
        /// The node.
        node: String,
        /// Its process when this was asked for; the goal is reached when another one runs.
        pid: Option<u32>,
    },
}

/// On what terms the cluster is made what the spec says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The revision of the spec that it works towards, and no other; 0 in records of earlier builds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// After this wall time, in milliseconds since 1970, no further step begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether disruptive steps need no maintenance window.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Goal {
    /// Its name in the status document.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Converge(_) => "converge",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
        }
    }
}

/// How a goal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// Reached.
    Reached,
    /// It failed or ran out of time.
    Failed,
    /// A safety rule forbids it.
    Refused,
    /// Interrupted by the operator.
    Held,
    /// A host does not answer: it goes on by itself when it does. Since version 2.
    Deferred,
    /// It is paused, or no maintenance window is open: it goes on by itself then. Since version 3.
    Postponed,
}

mod id_number {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T, S>(id: &T, to: S) -> Result<S::Ok, S::Error>
    where
        T: ToString,
        S: Serializer,
    {
        to.serialize_str(&id.to_string())
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err = base::ParseIdError>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
