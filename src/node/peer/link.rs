//! What all tasks of one transport share, and what all tasks of one remote member share.

use std::{fmt, path::PathBuf, sync::Arc};

use base::{Clock, ClusterId, MemberId};
use bytes::Bytes;
use disk::Disk;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wire::raftpb;

use super::{
    connect::Connector,
    events::PeerEvents,
    metrics::PeerCounters,
    send_snapshot::SnapshotBody,
    status::PeerStatus,
    urls::{PeerUrl, UrlPicker},
};

/// The oldest cluster version whose peers are understood, sent and checked as etcd does.
pub(crate) const MIN_CLUSTER_VERSION: semver::Version = semver::Version::new(3, 0, 0);

pub(crate) const CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
pub(crate) const MIN_VERSION: HeaderName = HeaderName::from_static("x-min-cluster-version");
pub(crate) const SERVER_FROM: HeaderName = HeaderName::from_static("x-server-from");
pub(crate) const SERVER_VERSION: HeaderName = HeaderName::from_static("x-server-version");
pub(crate) const PEER_URLS: HeaderName = HeaderName::from_static("x-peerurls");
pub(crate) const RAFT_TO: HeaderName = HeaderName::from_static("x-raft-to");

/// Who this member is and what its transport works with.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// This member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its advertised peer URLs: a peer that does not know us yet calls back there.
    pub urls: Vec<String>,
    /// The version told to peers, `X.Y.Z`. A Go peer refuses streams if its minor is too old.
    pub server_version: semver::Version,
    /// Opens connections; etcd lets them take 1 s plus the election timeout.
    pub connector: Connector,
    /// `DATA/member/snap`: received snapshots are written there.
    pub snap_dir: PathBuf,
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// For the time since when a peer is active.
    pub clock: Arc<dyn Clock>,
}

/// One transport's surroundings, shared by its tasks.
pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    pub(crate) events: Arc<dyn PeerEvents>,
    /// The headers of every request to a peer (but `X-Raft-To`).
    pub(crate) headers: HeaderMap,
    pub(crate) posts: Client<Connector, Full<Bytes>>,
    pub(crate) snapshots: Client<Connector, SnapshotBody>,
    pub(crate) runtime: Handle,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
    /// Snapshots that may be received at a time.
    pub(crate) receiving: Semaphore,
    counters: Mutex<Vec<(MemberId, Arc<PeerCounters>)>>,
}

/// Counters are kept for this many ids; further unknown senders share those of id 0.
const COUNTED_MEMBERS_MAX: usize = 256;
/// Snapshots received at the same time; each takes disk space.
const SNAPSHOTS_RECEIVED_MAX: usize = 2;

impl Shared {
    pub(crate) fn new(config: TransportConfig, events: Arc<dyn PeerEvents>) -> Self {
        let headers = request_headers(&config);
        let posts = super::fetch::http_client(config.connector.clone());
        let snapshots = super::fetch::http_client(config.connector.clone());
        Self {
            config,
            events,
            headers,
            posts,
            snapshots,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            receiving: Semaphore::new(SNAPSHOTS_RECEIVED_MAX),
            counters: Mutex::new(Vec::new()),
        }
    }

    /// The counters of a member, made at first use.
    pub(crate) fn counters(&self, id: MemberId) -> Arc<PeerCounters> {
        let mut all = self.counters.lock();
        if let Some((_, counters)) = all.iter().find(|(member, _)| *member == id) {
            return counters.clone();
        }
        if all.len() >= COUNTED_MEMBERS_MAX && id != MemberId::default() {
            drop(all);
            return self.counters(MemberId::default());
        }
        let counters = Arc::new(PeerCounters::default());
        all.push((id, counters.clone()));
        counters
    }

    /// The counters of every member met so far.
    pub(crate) fn all_counters(&self) -> Vec<(MemberId, Arc<PeerCounters>)> {
        self.counters.lock().clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

fn request_headers(config: &TransportConfig) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name, text: String| {
        // Ids, versions and parsed URLs are plain ASCII; anything else is left out, not sent wrong.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    put(SERVER_FROM, config.member.to_string());
    put(SERVER_VERSION, config.server_version.to_string());
    put(MIN_VERSION, MIN_CLUSTER_VERSION.to_string());
    put(CLUSTER_ID, config.cluster.to_string());
    put(PEER_URLS, config.urls.join(","));
    headers
}

/// One remote member as its tasks share it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: MemberId,
    pub(crate) urls: UrlPicker,
    pub(crate) status: PeerStatus,
    pub(crate) counters: Arc<PeerCounters>,
    /// Ends this member's tasks; a child of the transport's.
    pub(crate) cancel: CancellationToken,
}

impl Link {
    pub(crate) fn new(shared: &Shared, id: MemberId, urls: Vec<PeerUrl>) -> Self {
        let counters = shared.counters(id);
        Self {
            id,
            urls: UrlPicker::new(urls),
            status: PeerStatus::new(id, shared.config.clock.clone(), counters.clone()),
            counters,
            cancel: shared.cancel.child_token(),
        }
    }

    /// A message was dropped for want of room: raft must stop counting on it.
    pub(crate) fn dropped(&self, shared: &Shared, message: &raftpb::Message) {
        self.counters.sent_failures.add(1);
        tracing::debug!(peer = %self.id, kind = message.r#type, "queue to the peer is full: message dropped");
        shared.events.report_unreachable(self.id);
    }
}
