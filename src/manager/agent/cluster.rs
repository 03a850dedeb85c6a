//! What all parts of an agent share: the control group, the wanted spec, and a keeper and a prober
//! per node.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use base::Clock;
use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::init::Pulse;
use crate::{
    control::{Control, state::ControlState},
    generate::{self, InitialState},
    observe::probe::{self, Probe},
    spec::{self, ClusterSpec, NodeSpec},
    supervise::{
        keeper::{Guidance, Keeper, Past, Workshop},
        policy::Policy,
        record::{LogFile, ShimOrder},
        state::{NodeEvent, NodeState},
    },
};

/// What an agent is started with.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// Path of `etcd-manager`.
    pub(crate) manager: PathBuf,
    /// The state dir, absolute.
    pub(crate) state_dir: PathBuf,
    /// The disk.
    pub(crate) disk: Arc<dyn Disk>,
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// By when the reconcile loop comes round.
    pub(crate) pulse: Arc<Pulse>,
}

/// The shared part. One owner task (`reconcile`) changes things; the others read.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) tools: Tools,
    pub(crate) control: Control,
    /// The spec of the control state, parsed once per revision.
    parsed: Mutex<Option<(u64, Arc<ClusterSpec>)>>,
    nodes: Mutex<BTreeMap<String, Node>>,
    /// Bumped when something changed that a decision depends on.
    pub(crate) changes: Arc<watch::Sender<u64>>,
    /// Whether something is being changed: probers look faster.
    pub(crate) hot: watch::Sender<bool>,
    events: mpsc::Sender<NodeEvent>,
}

/// The handles of one node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) keeper: Keeper,
    pub(crate) state: watch::Receiver<NodeState>,
    pub(crate) probe: watch::Receiver<Probe>,
}

impl Cluster {
    pub(crate) fn new(
        tools: Tools,
        control: Control,
        events: mpsc::Sender<NodeEvent>,
    ) -> Arc<Self> {
        let (changes, _) = watch::channel(0);
        let (hot, _) = watch::channel(false);
        Arc::new(Self {
            tools,
            control,
            parsed: Mutex::new(None),
            nodes: Mutex::new(BTreeMap::new()),
            changes: Arc::new(changes),
            hot,
            events,
        })
    }

    /// The wanted spec; none before the first apply.
    ///
    /// # Errors
    /// If this build does not accept the spec that an earlier one did.
    pub(crate) fn spec(&self) -> Result<Option<Arc<ClusterSpec>>, String> {
        let state = self.control.state();
        let Some(wanted) = &state.spec else { return Ok(None) };
        let mut parsed = self.parsed.lock();
        if let Some((revision, spec)) = &*parsed
            && *revision == wanted.revision
        {
            return Ok(Some(spec.clone()));
        }
        let loaded = spec::parse(wanted.source.as_ref(), &wanted.text)
            .map_err(|errors| format!("spec revision {}: {errors}", wanted.revision))?;
        let spec = Arc::new(loaded.spec);
        *parsed = Some((wanted.revision, spec.clone()));
        Ok(Some(spec))
    }

    /// Makes sure that every node of the spec and of the records has a keeper, and returns when each
    /// has been looked at once.
    pub(crate) async fn keep_nodes(self: &Arc<Self>, spec: Option<&ClusterSpec>) {
        let state = self.control.state();
        let mut names: BTreeSet<String> = state.nodes.keys().cloned().collect();
        names.extend(spec.iter().flat_map(|spec| &spec.nodes).map(|node| node.name.clone()));
        let mut begun = Vec::new();
        for name in names {
            if !self.nodes.lock().contains_key(&name) {
                let node = self.begin(&name, &state);
                begun.push(node.state.clone());
                self.nodes.lock().insert(name, node);
            }
        }
        for mut node in begun {
            // Fails only if the keeper has ended, and then there is nothing to wait for.
            drop(node.wait_for(|state| state.is_looked_at).await);
        }
    }

    fn begin(self: &Arc<Self>, name: &str, state: &ControlState) -> Node {
        let past = state.node(name).map_or_else(Past::default, |ledger| Past {
            restarts: ledger.restarts,
            ended_run: ledger.ended_run,
        });
        let workshop = Workshop {
            manager: self.tools.manager.clone(),
            state_dir: self.tools.state_dir.clone(),
            disk: self.tools.disk.clone(),
            clock: self.tools.clock.clone(),
            guidance: Arc::new(Advisor { cluster: Arc::downgrade(self) }),
            events: self.events.clone(),
        };
        let keeper = Keeper::begin(name.to_owned(), past, workshop);
        let state = keeper.state();
        let probe = probe::begin(probe::Subject {
            node: keeper.state(),
            hot: self.hot.subscribe(),
            changes: self.changes.clone(),
        });
        Node { keeper, state, probe }
    }

    /// A node's handles.
    pub(crate) fn node(&self, name: &str) -> Option<Node> {
        self.nodes.lock().get(name).cloned()
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> BTreeMap<String, Node> {
        self.nodes.lock().clone()
    }

    /// The order to start a node as the spec and the lineage say.
    ///
    /// # Errors
    /// If no lineage was prepared: then nothing may be started (R2).
    pub(crate) fn order(&self, spec: &ClusterSpec, node: &NodeSpec) -> Result<ShimOrder, String> {
        let state = self.control.state();
        let lineage =
            state.lineage().ok_or("no bootstrap was prepared, so nothing is started (R2)")?;
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(ShimOrder {
            node: node.name.clone(),
            run: 0,
            launch: generate::launch(spec, node, lineage, &self.tools.manager),
            data_dir: node.data_dir.clone(),
            wal_dir: node.wal_dir.clone(),
            log: LogFile {
                path: crate::report::log_path(spec, &node.name),
                max_bytes: spec.log.max_bytes,
                keep: spec.log.keep,
            },
            stop_timeout_ms: millis(spec.supervise.stop_timeout),
        })
    }
}

/// Answers the keepers' questions from the committed state.
struct Advisor {
    cluster: std::sync::Weak<Cluster>,
}

impl Guidance for Advisor {
    fn policy(&self) -> Policy {
        let spec = self.cluster.upgrade().and_then(|cluster| cluster.spec().ok().flatten());
        spec.map_or_else(Policy::default, |spec| Policy {
            backoff_min: spec.supervise.backoff_min,
            backoff_max: spec.supervise.backoff_max,
            restart_limit: spec.supervise.restart_limit,
            restart_window: spec.supervise.restart_window,
        })
    }

    /// The same launch again, but never with `new` once the cluster was formed (R2), and never on
    /// an empty dir that held a member (a lost disk).
    fn renew(&self, last: &ShimOrder) -> Result<ShimOrder, String> {
        let cluster = self.cluster.upgrade().ok_or("the agent ends")?;
        let state = cluster.control.state();
        let lineage = state.lineage().ok_or("no lineage is recorded (R2)")?;
        let formed = state.node(&last.node).is_some_and(|node| node.member.is_some())
            || lineage.initial_state == InitialState::Existing;
        if formed && crate::observe::is_empty(&*cluster.tools.disk, last) {
            return Err(format!("{} lost what it held; a plan decides", last.data_dir.display()));
        }
        let mut order = last.clone();
        let variable = "ETCD_INITIAL_CLUSTER_STATE".to_owned();
        order.launch.environment.insert(variable, lineage.initial_state.as_str().to_owned());
        Ok(order)
    }

    fn is_wanted(&self, node: &str) -> bool {
        self.cluster.upgrade().is_some_and(|cluster| cluster.control.state().is_wanted(node))
    }
}
