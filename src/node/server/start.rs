//! Puts the parts together: owner thread, apply thread, transport, tasks.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    thread,
    time::UNIX_EPOCH,
};

use arc_swap::ArcSwap;
use backend::Backend;
use base::{Clock, ClusterId, MemberId, limits};
use consensus::{Config, ConsensusError, Durable, Raft};
use disk::Disk;
use parking_lot::Mutex;
use state::{Machine, quota::Quota};
use tokio::sync::{mpsc, watch};

use super::{
    Metrics, Server, Settings, apply, auto_compact, compact, corrupt, first_election,
    host::Outlets, ids::Ids, leader, marks, peers::Events, publish, read, version,
    waiters::Waiters,
};
use crate::managed::{Forbidden, Managed};
use crate::peer::{Connector, Transport, TransportConfig, fetch::Fetcher, urls::PeerUrlError};

/// What the start-up found or made.
#[derive(Debug)]
pub struct Parts {
    /// The disk all is on.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// This member and its cluster, as the log's metadata says.
    pub member: MemberId,
    /// See `member`.
    pub cluster: ClusterId,
    /// `DATA/member/snap`.
    pub snap_dir: PathBuf,
    /// The opened store.
    pub backend: Backend,
    /// The state over it, restored from the newest `.snap`.
    pub machine: Machine,
    /// The log.
    pub durable: Durable,
    /// How raft is to run.
    pub raft: Config,
    /// Members to call at once though the log does not name them yet (joining): id and peer URLs.
    pub remotes: Vec<(MemberId, Vec<String>)>,
    /// The record of a managed dir.
    pub managed: Option<Managed>,
    /// Fed by the log and the store, read by /metrics.
    pub metrics: Metrics,
}

/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Raft refused what the disk says.
    #[error("start raft")]
    Raft(#[source] ConsensusError),
    /// One of our own peer URLs cannot be used.
    #[error("start the peer transport")]
    Transport(#[source] PeerUrlError),
    /// The record of a managed dir is of no use.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// No thread could be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

impl Server {
    /// Starts the member. The peer port may be served from now on, the client port once [`Server::ready`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings, parts: Parts) -> Result<Arc<Self>, StartError> {
        let (apply, work) = crossbeam_channel::bounded(limits::APPLY_QUEUE_MAX);
        let (read_states, answers) = mpsc::channel(read::READ_STATES_MAX);
        let (readers, waiting) = mpsc::channel(read::READERS_MAX);
        let (compaction_wanted, compactions) = crossbeam_channel::bounded(1);
        let stop = watch::Sender::new(None);
        let transport = Arc::new(OnceLock::new());
        let outlets = Outlets {
            transport: Arc::clone(&transport),
            apply: apply.clone(),
            reads: read_states,
            stop: stop.clone(),
            keeper: parts.managed.as_ref().map(Managed::keeper).transpose()?,
        };
        let (snapshot, applied) = (parts.durable.snapshot.clone(), parts.durable.applied.get());
        let first_election = parts.raft.fast_forward_election.then_some(parts.raft.election_ticks);
        let (raft, _owner) =
            Raft::start(parts.raft, parts.durable, outlets).map_err(StartError::Raft)?;
        let ids = Ids::new(parts.member.get(), milliseconds(parts.clock.as_ref()));
        let machine = parts.machine;
        let server = Arc::new(Self {
            fetcher: Fetcher::new(connector(&settings)),
            quota: Quota::new(settings.quota_backend_bytes),
            settings,
            member: parts.member,
            cluster: parts.cluster,
            clock: parts.clock,
            disk: parts.disk,
            snap_dir: parts.snap_dir,
            backend: ArcSwap::from_pointee(parts.backend),
            kv: Arc::clone(&machine.kv),
            membership: Arc::clone(&machine.membership),
            alarms: Arc::clone(&machine.alarms),
            lessor: Arc::clone(&machine.lessor),
            raft_status: raft.status(),
            raft,
            transport,
            ids,
            waiters: Waiters::new(),
            readers,
            apply,
            applied: watch::Sender::new(applied),
            snapshot_taken: watch::Sender::new(0),
            compaction_wanted,
            compaction_finished: watch::Sender::new(machine.kv.compaction_finished()),
            leader_elected: Mutex::new(None),
            raising_nospace: false.into(),
            ready: watch::Sender::new(false),
            stop,
            metrics: parts.metrics,
            proposals_pending: AtomicU64::new(0),
            runtime: tokio::runtime::Handle::current(),
        });
        server.meet_peers(&parts.remotes)?;
        let applier = apply::Applier {
            server: Arc::clone(&server),
            machine,
            index: applied,
            term: snapshot.term,
            conf_state: snapshot.conf_state,
            snapshot_index: snapshot.index,
            compacted_log: snapshot.index,
            compacted_revision: server.kv.compacted(),
        };
        spawn_thread("apply", move || apply::run(applier, &work))?;
        let compactor = Arc::clone(&server);
        spawn_thread("compact", move || compact::run(&compactor, &compactions))?;
        server.spawn_tasks(waiting, answers);
        server.spawn_for_some(parts.managed.as_ref(), first_election);
        Ok(server)
    }

    fn meet_peers(self: &Arc<Self>, remotes: &[(MemberId, Vec<String>)]) -> Result<(), StartError> {
        let config = TransportConfig {
            member: self.member,
            cluster: self.cluster,
            urls: self.settings.peer_urls.clone(),
            server_version: crate::own_version(),
            connector: connector(&self.settings),
            snap_dir: self.snap_dir.clone(),
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
        };
        let events = Arc::new(Events(Arc::clone(self)));
        let transport = Transport::new(config, events).map_err(StartError::Transport)?;
        for (id, urls) in remotes.iter().filter(|(id, _)| *id != self.member) {
            transport.add_remote(*id, urls);
        }
        for member in self.membership.members() {
            if member.id != self.member {
                transport.add_peer(member.id, &member.peer_urls);
            }
        }
        // Nobody else sets it.
        drop(self.transport.set(transport));
        Ok(())
    }

    fn spawn_tasks(
        self: &Arc<Self>,
        waiting: mpsc::Receiver<read::Waiting>,
        answers: mpsc::Receiver<consensus::ReadState>,
    ) {
        tokio::spawn(read::run(Arc::clone(self), waiting, answers));
        tokio::spawn(leader::watch(Arc::clone(self)));
        tokio::spawn(publish::run(Arc::clone(self)));
        tokio::spawn(version::run(Arc::clone(self)));
        tokio::spawn(auto_compact::run(Arc::clone(self)));
        tokio::spawn(corrupt::run(Arc::clone(self)));
    }

    /// Tasks that not every member has: marks of a managed dir, a first election.
    fn spawn_for_some(self: &Arc<Self>, managed: Option<&Managed>, first_election: Option<usize>) {
        if let Some(managed) = managed {
            tokio::spawn(marks::run(Arc::clone(self), managed.record()));
        }
        if let Some(ticks) = first_election {
            tokio::spawn(first_election::run(Arc::clone(self), ticks));
        }
    }

    /// Where the store is: `DATA/member/kv/state.redb`.
    pub(super) fn kv_path(&self) -> PathBuf {
        self.snap_dir.with_file_name("kv").join("state.redb")
    }
}

/// Since 1970.
fn milliseconds(clock: &dyn Clock) -> u64 {
    let since = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// As long as etcd waits for a peer's connection.
pub(crate) fn connector(settings: &Settings) -> Connector {
    let dial_timeout = std::time::Duration::from_secs(1) + settings.election;
    Connector::new(dial_timeout, settings.peer_tls.clone())
}

fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StartError::Thread)?;
    Ok(())
}
