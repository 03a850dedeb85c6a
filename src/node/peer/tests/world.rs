//! Members made of a transport, a listener and a recorder of what reaches the server.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use base::{ClusterId, MemberId, SystemClock};
use bytes::Bytes;
use disk::{Disk, RealDisk};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use wire::raftpb::{self, MessageType};

use crate::peer::Connector;
use crate::peer::{
    OutgoingSnapshot, PeerCounters, PeerEvents, SnapshotError, Transport, TransportConfig,
    codec::StreamKind, serve,
};

/// The cluster of all members here.
pub(super) const CLUSTER: ClusterId = ClusterId::new(0xc1);

/// How long anything may take that is not about time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Builds the snapshot a test wants sent.
pub(super) type SnapshotSource =
    Box<dyn Fn(raftpb::Message) -> Result<OutgoingSnapshot, SnapshotError> + Send + Sync>;

/// Remembers what the transport told the server.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) messages: Mutex<Vec<raftpb::Message>>,
    pub(super) removed: Mutex<BTreeSet<u64>>,
    pub(super) unreachable: AtomicU64,
    pub(super) told_removed: AtomicBool,
    /// Reports about snapshots sent.
    pub(super) sent_snapshots: Mutex<Vec<(MemberId, bool)>>,
    /// Snapshots taken from peers.
    pub(super) snapshots: Mutex<Vec<(raftpb::Message, PathBuf)>>,
    /// Whether snapshots from peers are refused.
    pub(super) refuse_snapshots: AtomicBool,
    pub(super) source: Mutex<Option<SnapshotSource>>,
}

impl PeerEvents for Recorder {
    fn step(&self, message: raftpb::Message) {
        self.messages.lock().push(message);
    }

    fn is_removed(&self, id: MemberId) -> bool {
        self.removed.lock().contains(&id.get())
    }

    fn report_unreachable(&self, _id: MemberId) {
        self.unreachable.fetch_add(1, Ordering::Relaxed);
    }

    fn report_snapshot(&self, id: MemberId, ok: bool) {
        self.sent_snapshots.lock().push((id, ok));
    }

    fn removed_from_cluster(&self) {
        self.told_removed.store(true, Ordering::Relaxed);
    }

    fn snapshot_for(
        &self,
        _to: MemberId,
        request: raftpb::Message,
    ) -> BoxFuture<'static, Result<OutgoingSnapshot, SnapshotError>> {
        let built = match &*self.source.lock() {
            Some(source) => source(request),
            None => Err(SnapshotError::new("no snapshot here")),
        };
        Box::pin(async move { built })
    }

    fn receive_snapshot(
        &self,
        message: raftpb::Message,
        db: PathBuf,
    ) -> BoxFuture<'static, Result<(), SnapshotError>> {
        if self.refuse_snapshots.load(Ordering::Relaxed) {
            return Box::pin(async { Err(SnapshotError::new("not now")) });
        }
        self.snapshots.lock().push((message, db));
        Box::pin(async { Ok(()) })
    }
}

/// One member.
pub(super) struct Node {
    pub(super) id: MemberId,
    pub(super) url: String,
    pub(super) transport: Transport,
    pub(super) events: Arc<Recorder>,
    pub(super) folder: TempDir,
    serving: CancellationToken,
    server: JoinHandle<()>,
}

impl Node {
    pub(super) async fn start(id: u64) -> Self {
        Self::start_on(id, CLUSTER, Arc::new(RealDisk)).await
    }

    pub(super) async fn start_on(id: u64, cluster: ClusterId, disk: Arc<dyn Disk>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve_on(listener, id, cluster, disk)
    }

    pub(super) fn serve_on(
        listener: TcpListener,
        id: u64,
        cluster: ClusterId,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = TempDir::new().unwrap();
        let events = Arc::new(Recorder::default());
        let config = TransportConfig {
            member: MemberId::new(id),
            cluster,
            urls: vec![url.clone()],
            server_version: semver::Version::new(3, 5, 21),
            connector: Connector::new(Duration::from_secs(2), None),
            snap_dir: folder.path().to_owned(),
            disk,
            clock: Arc::new(SystemClock),
        };
        let transport = Transport::new(config, events.clone()).unwrap();
        let serving = CancellationToken::new();
        let server = tokio::spawn(serve(listener, None, transport.router(), serving.clone()));
        Self { id: MemberId::new(id), url, transport, events, folder, serving, server }
    }

    pub(super) fn meet(&self, other: &Self) {
        self.transport.add_peer(other.id, std::slice::from_ref(&other.url));
    }

    /// Whether a peer has attached this stream here.
    pub(super) fn is_attached(&self, peer: MemberId, kind: StreamKind) -> bool {
        let directory = self.transport.inner.directory.load();
        directory.peer(peer).is_some_and(|peer| peer.slot(kind).is_attached())
    }

    pub(super) fn has_both_streams_of(&self, peer: MemberId) -> bool {
        self.is_attached(peer, StreamKind::Appends) && self.is_attached(peer, StreamKind::Messages)
    }

    /// The counters of the traffic with a peer.
    pub(super) fn counters(&self, peer: MemberId) -> Arc<PeerCounters> {
        self.transport.inner.shared.counters(peer)
    }

    pub(super) fn received(&self) -> usize {
        self.events.messages.lock().len()
    }

    pub(super) fn unreachable(&self) -> u64 {
        self.events.unreachable.load(Ordering::Relaxed)
    }

    /// Names of the files in the folder for snapshots.
    pub(super) fn files(&self) -> Vec<String> {
        let items = RealDisk.list(self.folder.path()).unwrap();
        items.into_iter().map(|item| item.name).collect()
    }

    pub(super) async fn stop(self) {
        let stopped = tokio::time::timeout(PATIENCE, self.transport.stop()).await;
        stopped.expect("the transport stops");
        self.serving.cancel();
        let served = tokio::time::timeout(PATIENCE, self.server).await;
        served.expect("the listener stops").unwrap();
    }
}

/// Two members that have attached all their streams to each other.
pub(super) async fn pair() -> (Node, Node) {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    a.meet(&b);
    b.meet(&a);
    until("all streams are attached", || {
        a.has_both_streams_of(b.id) && b.has_both_streams_of(a.id)
    })
    .await;
    (a, b)
}

/// Waits until something holds, for a bounded time.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "waited {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A message of a kind between two members.
pub(super) fn message(kind: MessageType, from: MemberId, to: MemberId) -> raftpb::Message {
    raftpb::Message {
        r#type: i32::from(kind),
        from: from.get(),
        to: to.get(),
        term: 1,
        ..raftpb::Message::default()
    }
}

/// The append of one entry behind `index`, all in term 1.
pub(super) fn append(from: MemberId, to: MemberId, index: u64, payload: Bytes) -> raftpb::Message {
    let entry = raftpb::Entry { r#type: 0, term: 1, index: index + 1, data: Some(payload) };
    raftpb::Message {
        log_term: 1,
        index,
        entries: vec![entry],
        ..message(MessageType::MsgApp, from, to)
    }
}
