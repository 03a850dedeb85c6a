//! What `status` says: a stable JSON document (docs/status-json.md), and a table of it for people.

mod certificates;
mod current;
mod gather;
mod table;

pub(crate) use gather::{NO_QUORUM, gather, log_path, reports_of};
pub(crate) use table::bytes as in_units;
pub use table::table;

use serde::{Deserialize, Serialize};

/// Version of the document. It changes only when a field goes or changes its meaning.
pub const STATUS_SCHEMA: u32 = 1;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// [`STATUS_SCHEMA`].
    pub schema: u32,
    /// Name of the cluster; empty before the first apply.
    pub cluster: String,
    /// etcd's cluster id, hexadecimal; absent until a member answered.
    pub cluster_id: Option<String>,
    /// The cluster's identity for life; absent before its bootstrap was prepared.
    pub uuid: Option<String>,
    /// How far the bootstrap came: `prepared`, `started`, `formed`.
    pub bootstrap: Option<String>,
    /// Number of the wanted spec; 0 before the first apply.
    pub spec_revision: u64,
    /// File of the wanted spec.
    pub spec_source: Option<String>,
    /// Whether what runs is what the spec says.
    pub converged: bool,
    /// What is being done now, if anything.
    pub goal: Option<String>,
    /// How the last request ended.
    pub last: Option<LastRequest>,
    /// Whether nothing is to be changed; absent if it is not paused.
    #[serde(default)]
    pub paused: Option<PauseReport>,
    /// Votes.
    pub quorum: QuorumReport,
    /// The agent that answers.
    pub agent: AgentReport,
    /// The agents of all hosts, in the order of the spec; empty for an embedded agent.
    #[serde(default)]
    pub hosts: Vec<HostReport>,
    /// One per node of the spec, in its order, then nodes that are only on record.
    pub members: Vec<MemberReport>,
    /// What keeps it from being converged, and what differs from the spec.
    pub notes: Vec<String>,
    /// The newest journal lines, oldest first.
    pub journal: Vec<JournalReport>,
}

/// How the last request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRequest {
    /// `converge`, `stop`, `start` or `restart`.
    pub goal: String,
    /// `reached`, `failed`, `refused`, `held`, `deferred` or `postponed`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseReport {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
    /// Both in a sentence.
    pub text: String,
}

/// Votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReport {
    /// Voters.
    pub voters: u32,
    /// Of these healthy.
    pub healthy: u32,
    /// Further failures that the cluster survives; negative without a quorum.
    pub tolerance: i64,
}

/// The agent that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its pid.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its state dir.
    pub state_dir: String,
    /// Its host in the spec; empty for an embedded agent.
    #[serde(default)]
    pub host: String,
}

/// The agent of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The host as the spec names it.
    pub host: String,
    /// Where its agent is reached.
    pub address: String,
    /// Its control member id, hexadecimal; absent until it was admitted.
    pub agent: Option<String>,
    /// Its build.
    pub version: String,
    /// Among the agents: `leader`, `follower`, `learner`, or `none` before it was admitted.
    pub role: String,
    /// Whether it answers the agent that was asked.
    pub answers: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalReport {
    /// Wall time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The node; empty for the agent.
    pub node: String,
    /// What happened.
    pub text: String,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Its member id, hexadecimal; absent until it was seen.
    pub id: Option<String>,
    /// Failure domain, if the spec names one.
    pub zone: Option<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Where peers reach it.
    pub peer_urls: Vec<String>,
    /// `running`, `starting`, `stopping`, `stopped`, `backing-off`, `crash-loop`, `removed`,
    /// `held`, `foreign` or `unknown`.
    pub state: String,
    /// `healthy`, `unhealthy` or `unknown`, by a linearizable read through it.
    pub health: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// `leader`, `follower` or `learner`; absent while it does not answer.
    pub role: Option<String>,
    /// Its raft term.
    pub term: Option<u64>,
    /// Its commit index.
    pub index: Option<u64>,
    /// Its applied index.
    pub applied: Option<u64>,
    /// Entries that it is behind the furthest member.
    pub lag: Option<u64>,
    /// Revision of its store.
    pub revision: Option<i64>,
    /// Size of its backend, in bytes.
    pub db_bytes: Option<u64>,
    /// Of these in use.
    pub db_in_use_bytes: Option<u64>,
    /// Its server version.
    pub version: Option<String>,
    /// Its alarms and complaints.
    pub errors: Vec<String>,
    /// Its process id.
    pub pid: Option<i32>,
    /// How long it has been running, in seconds.
    pub uptime_s: Option<u64>,
    /// Restarts after ends that nobody asked for, since it was last started on purpose.
    pub restarts: u64,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// Of the certificates that it was started with, the one that expires first; absent without TLS.
    #[serde(default)]
    pub certificate: Option<CertificateReport>,
    /// Its data dir.
    pub data_dir: Option<String>,
    /// Its log file.
    pub log: Option<String>,
}

/// A certificate of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateReport {
    /// Its file.
    pub file: String,
    /// When it expires, RFC 3339; absent if it cannot be read.
    pub expires: Option<String>,
    /// Whole days until then; negative once it has.
    pub days_left: Option<i64>,
    /// What is wrong, or soon will be, and what to do.
    pub warning: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Cause, for programs: `stopped`, `killed`, `port-in-use`, …
    pub cause: String,
    /// In words.
    pub text: String,
    /// What a person may do.
    pub remedy: String,
    /// Wall time, in milliseconds since 1970.
    pub at_ms: u64,
}

impl StatusReport {
    /// Whether a quorum of the voters is healthy.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.quorum.tolerance >= 0 && self.quorum.voters > 0
    }
}

#[cfg(test)]
mod tests;
