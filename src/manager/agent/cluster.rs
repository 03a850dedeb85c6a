//! What all parts of an agent share: the control group, the wanted spec, and a keeper and a prober
//! per node.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base::Clock;
use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{init::Pulse, many::Many, peers::LOOK_MAX};
use crate::{
    control::{Control, ControlError, entry::Entry, state::ControlState},
    generate::{self, InitialState},
    guarded,
    observe::{
        inspected::Inspections,
        probe::{self, Probe},
        programs::Programs,
        sights::HostFacts,
    },
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
    /// Where the records of its nodes are, absolute.
    pub(crate) records: PathBuf,
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
    /// None for an embedded agent, which keeps all nodes of its spec.
    pub(crate) many: Option<Arc<Many>>,
    /// The raft term in which this agent decides; 0 while it does not.
    reign: AtomicU64,
    /// Nodes with an order in hand.
    busy: Mutex<BTreeMap<String, u64>>,
    /// The spec of the control state, parsed once per revision.
    parsed: Mutex<Option<(u64, Arc<ClusterSpec>)>>,
    nodes: Mutex<BTreeMap<String, Node>>,
    /// Bumped when something changed that a decision depends on.
    pub(crate) changes: Arc<watch::Sender<u64>>,
    /// Whether something is being changed: probers look faster.
    pub(crate) hot: watch::Sender<bool>,
    events: mpsc::Sender<NodeEvent>,
    /// Of dirs whose node could not be started.
    pub(crate) inspections: Arc<Inspections>,
    /// What the nodes' programs have said of themselves.
    pub(crate) programs: Programs,
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
        many: Option<Arc<Many>>,
        events: mpsc::Sender<NodeEvent>,
    ) -> Arc<Self> {
        let (changes, _) = watch::channel(0);
        let (hot, _) = watch::channel(false);
        Arc::new(Self {
            tools,
            control,
            many,
            reign: AtomicU64::new(0),
            busy: Mutex::new(BTreeMap::new()),
            parsed: Mutex::new(None),
            nodes: Mutex::new(BTreeMap::new()),
            changes: Arc::new(changes),
            hot,
            events,
            inspections: Arc::default(),
            programs: Programs::default(),
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

    /// The agent's host in the spec; none if all nodes are its own.
    pub(crate) fn host(&self) -> Option<&str> {
        self.many.as_ref().map(|many| many.file.host.as_str())
    }

    /// The host whose agent keeps a node: where it was started, else where the spec wants it; empty if
    /// all nodes are this agent's.
    pub(crate) fn host_of(&self, node: &str, spec: Option<&ClusterSpec>) -> String {
        if self.many.is_none() {
            return String::new();
        }
        let recorded = self.control.state().node(node).and_then(|ledger| ledger.host.clone());
        let wanted = || Some(spec?.node(node)?.host.clone());
        recorded.or_else(wanted).unwrap_or_default()
    }

    /// All hosts with nodes, each once, in the order of the spec.
    pub(crate) fn hosts(&self, spec: &ClusterSpec) -> Vec<String> {
        let state = self.control.state();
        let names = spec.nodes.iter().map(|node| &node.name).chain(state.nodes.keys());
        let mut hosts: Vec<String> = Vec::new();
        for host in names.map(|name| self.host_of(name, Some(spec))) {
            // What has left is nobody's.
            let is_gone = host.is_empty() && self.many.is_some();
            if !is_gone && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Where the agent of a host is reached: as it said itself, else as the spec says.
    pub(crate) fn address_of(&self, host: &str, spec: Option<&ClusterSpec>) -> Option<String> {
        let state = self.control.state();
        let known = state.group.of_host(host).map(|(_, agent)| agent.address.clone());
        known.filter(|address| !address.is_empty()).or_else(|| {
            let spec = spec?;
            spec.nodes
                .iter()
                .any(|node| node.host == host)
                .then(|| format!("{host}:{}", spec.agent.port))
        })
    }

    /// The facts of another host, after everything that is committed here.
    ///
    /// # Errors
    /// Why they are unknown.
    pub(crate) async fn look(
        &self,
        host: &str,
        spec: &ClusterSpec,
        draft: Option<&str>,
    ) -> Result<HostFacts, String> {
        let many = self.many.as_ref().ok_or("this agent is alone")?;
        let address = self.address_of(host, Some(spec)).ok_or("its address is not known")?;
        let min_index = if self.reign().is_some() { self.control.state().applied } else { 0 };
        let request = wire::agentpb::LookRequest {
            group: self.control.membership().map_or(0, |(_, group)| group),
            min_index,
            text: draft.unwrap_or_default().to_owned(),
            source: spec.source.to_string_lossy().into_owned(),
        };
        let look = many.peers.look(&address, request);
        tokio::time::timeout(LOOK_MAX, look).await.map_err(|_elapsed| "no answer".to_owned())?
    }

    /// The term in which this agent decides.
    pub(crate) fn reign(&self) -> Option<u64> {
        Some(self.reign.load(Ordering::Acquire)).filter(|reign| *reign > 0)
    }

    /// Only the reconcile loop begins and ends reigns.
    pub(crate) fn set_reign(&self, reign: Option<u64>) {
        self.reign.store(reign.unwrap_or(0), Ordering::Release);
    }

    /// Commits a decision; it has no effect if another agent decides by then.
    ///
    /// # Errors
    /// As [`Control::commit`], and `NotLeading`.
    pub(crate) async fn decree(&self, entry: Entry) -> Result<Arc<ControlState>, ControlError> {
        let reign = self.reign().ok_or(ControlError::NotLeading)?;
        self.control.commit_in(Some(reign), entry).await
    }

    /// Takes an order in hand, unless the node has one.
    pub(crate) fn take_order(&self, node: &str, id: u64) -> bool {
        let mut busy = self.busy.lock();
        if busy.contains_key(node) {
            return false;
        }
        busy.insert(node.to_owned(), id);
        true
    }

    /// The node's order is over.
    pub(crate) fn end_order(&self, node: &str) {
        self.busy.lock().remove(node);
        self.touch();
    }

    /// Something changed that a decision depends on.
    pub(crate) fn touch(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Nodes with an order in hand.
    pub(crate) fn busy(&self) -> BTreeMap<String, u64> {
        self.busy.lock().clone()
    }

    /// Makes sure that every node of this host, by the spec and the records, has a keeper, and
    /// returns when each has been looked at once.
    pub(crate) async fn keep_nodes(self: &Arc<Self>, spec: Option<&ClusterSpec>) {
        let state = self.control.state();
        let mut names: BTreeSet<String> = state.nodes.keys().cloned().collect();
        names.extend(spec.iter().flat_map(|spec| &spec.nodes).map(|node| node.name.clone()));
        if let Some(own) = self.host() {
            names.retain(|name| self.host_of(name, spec) == own);
        }
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

    /// The same launch again, but never with `new` once the cluster was formed (R2), never on an empty dir that held a
    /// member (a lost disk), and never against the word of its record.
    fn renew(&self, last: &ShimOrder) -> Result<ShimOrder, String> {
        let cluster = self.cluster.upgrade().ok_or("the agent ends")?;
        let state = cluster.control.state();
        let lineage = state.lineage().ok_or("no lineage is recorded (R2)")?;
        let formed = state.node(&last.node).is_some_and(|node| node.member.is_some())
            || lineage.initial_state == InitialState::Existing;
        if formed && crate::observe::is_empty(&*cluster.tools.disk, last) {
            return Err(format!("{} lost what it held; a plan decides", last.data_dir.display()));
        }
        // No group is asked for this: the host's own record must allow it (R3, R13, R17).
        let tools = &cluster.tools;
        let asked = (last.node.as_str(), last.data_dir.as_path());
        if let Some(why) = guarded::word(&tools.disk, &tools.records, Some(lineage), asked)
            .and_then(|word| word.forbids())
        {
            return Err(why);
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
