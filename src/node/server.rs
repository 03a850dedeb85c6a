//! The member's core: takes requests from the client port and messages from peers, moves them through raft and the
//! state machine, and answers. The pieces, one a file:
//!
//! ```text
//!   propose, read ──> consensus owner thread ──(host)──> apply thread ──> waiters
//!   peers ───────────>        │                             │
//!                             └──(host)──> transport        ├─> snapshot, compact
//!   publish, version, corrupt, auto_compact: tasks that propose of their own accord
//! ```

mod apply;
mod auto_compact;
mod compact;
mod conf;
mod corrupt;
mod first_election;
mod host;
mod ids;
mod leader;
mod marks;
mod members;
mod metrics;
mod peers;
mod propose;
mod publish;
mod read;
mod settings;
mod snapshot;
mod start;
mod stop;
mod version;
mod waiters;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use backend::Backend;
use base::{Clock, ClusterId, Index, MemberId};
use consensus::{Raft, Status};
use crossbeam_channel::Sender;
use disk::Disk;
use parking_lot::Mutex;
use state::{Alarms, Kv, Lessor, Membership, quota::Quota};
use tokio::sync::{mpsc, watch};
use wire::etcdserverpb::ResponseHeader;

pub(crate) use self::start::connector;
pub use self::{
    corrupt::{Mismatch, compare_with_peers},
    members::{Standing, parse_peer_urls},
    metrics::{DiskHistogram, Metrics},
    settings::{AutoCompaction, Settings},
    snapshot::import_snapshot_db,
    start::{Parts, StartError},
    stop::StopReason,
};
use self::{ids::Ids, waiters::Waiters};
use crate::peer::{Transport, fetch::Fetcher};

/// One member of a cluster, shared by the ports and its own tasks.
pub struct Server {
    settings: Settings,
    member: MemberId,
    cluster: ClusterId,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    snap_dir: PathBuf,
    /// Replaced when a snapshot from the leader is taken.
    backend: ArcSwap<Backend>,
    kv: Arc<Kv>,
    membership: Arc<Membership>,
    alarms: Arc<Alarms>,
    lessor: Arc<Lessor>,
    quota: Quota,
    raft: Raft,
    raft_status: watch::Receiver<Status>,
    /// Set once, right after the server exists.
    transport: Arc<OnceLock<Transport>>,
    fetcher: Fetcher,
    ids: Ids,
    waiters: Waiters,
    /// Readers that wait for the next read-index round.
    readers: mpsc::Sender<read::Waiting>,
    apply: Sender<apply::Input>,
    /// Written by the apply thread after each batch.
    applied: watch::Sender<u64>,
    /// Index of the leader's snapshot taken last; written by the apply thread.
    snapshot_taken: watch::Sender<u64>,
    compaction_wanted: Sender<()>,
    /// Newest revision whose compaction is complete and durable.
    compaction_finished: watch::Sender<i64>,
    /// When this member saw the present leader elected.
    leader_elected: Mutex<Option<Instant>>,
    raising_nospace: AtomicBool,
    /// Turned true once this member is published: the client port may open.
    ready: watch::Sender<bool>,
    stop: watch::Sender<Option<StopReason>>,
    metrics: Metrics,
    proposals_pending: AtomicU64,
    runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("member", &self.member)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// What it was started with.
    pub fn config(&self) -> &Settings {
        &self.settings
    }

    /// This member.
    pub fn member_id(&self) -> MemberId {
        self.member
    }

    /// Its cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster
    }

    /// The key space.
    pub fn kv(&self) -> &Arc<Kv> {
        &self.kv
    }

    /// Who belongs to the cluster.
    pub fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    /// Active alarms.
    pub fn alarms(&self) -> &Arc<Alarms> {
        &self.alarms
    }

    /// Leases and what is attached to them.
    pub fn lessor(&self) -> &Arc<Lessor> {
        &self.lessor
    }

    /// The store under the state, as it is now.
    pub fn backend(&self) -> Arc<Backend> {
        self.backend.load_full()
    }

    /// Raft's view: term, leader, role, commit index.
    pub fn raft_status(&self) -> Status {
        self.raft_status.borrow().clone()
    }

    /// Index of the last committed entry.
    pub fn commit(&self) -> Index {
        self.raft.commit().max(self.applied())
    }

    /// Index of the last applied entry.
    pub fn applied(&self) -> Index {
        Index::new(*self.applied.borrow())
    }

    /// The routes of raft traffic, for the peer port.
    pub fn transport(&self) -> Option<&Transport> {
        self.transport.get()
    }

    /// Turns true once this member is published through raft.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// The header of an answer given now.
    pub fn header(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster.get(),
            member_id: self.member.get(),
            revision: self.kv.revision(),
            raft_term: self.raft_status.borrow().term.get(),
        }
    }

    /// Completes the header of an answer of the state machine: the revision stays what it was at the apply.
    pub fn fill(&self, header: &mut Option<ResponseHeader>) {
        let revision = header.as_ref().map(|header| header.revision);
        let mut filled = self.header();
        filled.revision = revision.unwrap_or(filled.revision);
        *header = Some(filled);
    }

    /// `{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}`.
    pub fn version_json(&self) -> String {
        let cluster = self.membership.cluster_version();
        let cluster = cluster.unwrap_or_else(|| "not_decided".to_owned());
        format!("{{\"etcdserver\":\"{}\",\"etcdcluster\":\"{cluster}\"}}", crate::VERSION)
    }

    /// Whether this member leads now.
    pub fn is_leader(&self) -> bool {
        self.raft_status.borrow().leader == Some(self.member)
    }

    /// Counts an answer of /health.
    pub fn count_health(&self, ok: bool) {
        let counter = if ok { &self.metrics.health_success } else { &self.metrics.health_failures };
        counter.add(1);
    }

    fn pending(&self) -> u64 {
        self.proposals_pending.load(Ordering::Relaxed)
    }
}
