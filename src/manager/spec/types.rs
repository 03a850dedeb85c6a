//! What a valid spec says, with every default filled in. Only `spec::build` makes these; all later code reads them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::maintenance::window::Window;

/// A cluster as its operator wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Name of the cluster, in messages and in its control group's records.
    pub name: String,
    /// Token of the cluster's first lineage; a later lineage brings its own (R9).
    pub token: String,
    /// Root of everything on disk; absolute if the spec's own path is.
    pub dir: PathBuf,
    /// The nodes, in the order of the file; at least one.
    pub nodes: Vec<NodeSpec>,
    /// The agent of each host.
    pub agent: AgentSpec,
    /// How nodes are supervised.
    pub supervise: Supervise,
    /// How changes are carried out.
    pub running: Running,
    /// In which order, and how carefully.
    pub update: Update,
    /// Where nodes' output goes.
    pub log: LogSpec,
    /// The user nodes run as; the agent's own if absent.
    pub user: Option<String>,
    /// The folder of certificates with `[tls] mode = "managed"`.
    pub pki: Option<PathBuf>,
    /// The file that this was read from.
    pub source: PathBuf,
}

impl ClusterSpec {
    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Names with advertised peer URLs, in the order of the file: what a first bootstrap records.
    #[must_use]
    pub fn initial_cluster(&self) -> Vec<(String, Vec<String>)> {
        self.nodes
            .iter()
            .map(|node| (node.name.clone(), node.advertise_peer_urls.clone()))
            .collect()
    }
}

/// One node as its operator wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Name of the node, which is its etcd member name.
    pub name: String,
    /// Host name or IP address of the machine.
    pub host: String,
    /// Where it serves clients: URLs on IP addresses or `localhost`.
    pub listen_client_urls: Vec<String>,
    /// What it tells clients to use.
    pub advertise_client_urls: Vec<String>,
    /// Where it serves its peers.
    pub listen_peer_urls: Vec<String>,
    /// What its peers use.
    pub advertise_peer_urls: Vec<String>,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its write-ahead log, if outside of the data directory.
    pub wal_dir: Option<PathBuf>,
    /// Failure domain: nodes of one zone are expected to fail together.
    pub zone: Option<String>,
    /// Which life of the member this is; a higher one than is recorded replaces the member.
    pub incarnation: u64,
    /// The program to run.
    pub binary: Binary,
    /// etcd flags by name without dashes, resolved: product defaults < `[defaults.flags]` < `[node.flags]`.
    pub flags: BTreeMap<String, String>,
    /// Further environment of the process, resolved: `[defaults]` < the node's own.
    pub environment: BTreeMap<String, String>,
}

/// The program of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binary {
    /// `etcd-node` beside the running `etcd-manager`.
    InTree,
    /// Any etcd, by its absolute path.
    Path(PathBuf),
}

impl Binary {
    /// The program's path, where `manager` is the path of the running `etcd-manager`.
    #[must_use]
    pub fn resolve(&self, manager: &Path) -> PathBuf {
        match self {
            Self::InTree => manager.with_file_name("etcd-node"),
            Self::Path(path) => path.clone(),
        }
    }
}

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSpec {
    /// Whether an edit of the spec file is applied without `apply`.
    pub auto_apply: bool,
    /// The agent's own state.
    pub state_dir: PathBuf,
    /// Port of the agents, where there are several.
    pub port: u16,
    /// The unix socket for the local command line: `agent.sock` in the state dir.
    pub socket: PathBuf,
}

/// `[supervise]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervise {
    /// First pause before a node that ended is started again.
    pub backoff_min: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// This many ends within the window make a crash loop.
    pub restart_limit: u32,
    /// The window.
    pub restart_window: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// How long a started node may take to answer a linearizable read.
    pub ready_timeout: Duration,
}

/// `[maintenance]`, `[apply]` and `[hooks]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// When disruptive steps may begin; none = at any time.
    pub windows: Vec<Window>,
    /// So long after an apply was asked for no further step of it begins.
    pub deadline: Option<Duration>,
    /// Where an agent that has all nodes serves its metrics.
    pub metrics: Option<SocketAddr>,
    /// What is run before each step.
    pub before: Option<HookSpec>,
    /// What is run after each step.
    pub after: Option<HookSpec>,
}

/// A program of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSpec {
    /// Its path.
    pub program: PathBuf,
    /// How long it may take.
    pub timeout: Duration,
}

/// `[update]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Node that a rolling restart begins with.
    pub canary: Option<String>,
    /// How long the first node of a rolling restart is watched.
    pub soak: Option<Duration>,
    /// How long a learner must have kept up before it gets its vote.
    pub learner_steady: Duration,
    /// A learner that has not kept up within this time is taken out again.
    pub learner_limit: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// Folder of one log file per node.
    pub dir: PathBuf,
    /// A log file is rotated at this size.
    pub max_bytes: u64,
    /// Rotated files kept per node.
    pub keep: u32,
}
