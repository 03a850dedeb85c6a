//! A real etcd configured for two members, the second of which is our transport with a raft
//! played by hand: it follows the real one, leads it, and takes a snapshot from it.

use std::{fs::File, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use base::{MemberId, Revision};
use bytes::Bytes;
use disk::{Disk, DiskFile, Open, RealDisk};
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use prost::Message;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::timeout,
};
use wire::{
    etcdserverpb::{InternalRaftRequest, PutRequest, RequestHeader},
    raftpb::{self, MessageType},
};

use super::{
    puppet::{Puppet, Role},
    world::{Node, until},
};
use crate::peer::Connector;
use crate::peer::{
    OutgoingSnapshot, SnapshotError,
    fetch::{FetchError, Fetcher, http_client},
};

const LIMIT: Duration = Duration::from_secs(5);

/// A running etcd, killed and reaped at the end.
struct RealEtcd {
    child: Child,
    peer_url: String,
    client_url: String,
    folder: TempDir,
}

impl RealEtcd {
    fn binary(version: &str) -> PathBuf {
        let root = std::env::var_os("ORACLE_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/oracle")),
            PathBuf::from,
        );
        let binary = root.join(version).join("etcd");
        assert!(binary.exists(), "{} is missing: run scripts/oracle first", binary.display());
        binary
    }

    /// Starts a member of a new cluster with us as the other one.
    async fn start(version: &str, our_url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let peer_url = format!("http://{}", free_address().await);
        let client_url = format!("http://{}", free_address().await);
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(Self::binary(version));
        command
            .env_clear()
            .arg("--name=real")
            .arg(format!("--data-dir={}", folder.path().join("member-dir").display()))
            .arg(format!("--listen-peer-urls={peer_url}"))
            .arg(format!("--initial-advertise-peer-urls={peer_url}"))
            .arg(format!("--listen-client-urls={client_url}"))
            .arg(format!("--advertise-client-urls={client_url}"))
            .arg(format!("--initial-cluster=real={peer_url},ours={our_url}"))
            .arg("--initial-cluster-token=peer-test")
            .arg("--snapshot-count=100")
            .arg("--logger=zap")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn().unwrap();
        Self { child, peer_url, client_url, folder }
    }

    /// Asks the JSON gateway. None until it answers with a success.
    async fn ask(&self, path: &str, body: String) -> Option<serde_json::Value> {
        let request = Request::post(format!("{}{path}", self.client_url));
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let answer = async {
            let response = http_client(Connector::new(LIMIT, None)).request(request).await.ok()?;
            let ok = response.status().is_success();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            ok.then(|| serde_json::from_slice(&body).unwrap())
        };
        timeout(LIMIT, answer).await.ok()?
    }

    async fn stop(mut self) {
        self.child.start_kill().unwrap();
        timeout(LIMIT, self.child.wait()).await.expect("it ends when killed").unwrap();
    }

    fn has_snapshot_from(&self, index: u64) -> bool {
        let files = RealDisk.list(&self.folder.path().join("member-dir/member/snap"));
        files.unwrap_or_default().iter().any(|file| {
            let at = file.name.strip_suffix(".snap").and_then(|name| name.split_once('-'));
            at.and_then(|(_, at)| u64::from_str_radix(at, 16).ok()).is_some_and(|at| at >= index)
        })
    }
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

async fn free_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A real member, and our own with the ids that the real one gave both.
async fn start(version: &str) -> (RealEtcd, Puppet) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let our_url = format!("http://{}", listener.local_addr().unwrap());
    let real = RealEtcd::start(version, &our_url).await;
    let fetcher = Fetcher::new(Connector::new(LIMIT, None));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let known = loop {
        match fetcher.members(&real.peer_url, LIMIT).await {
            Ok(known) => break known,
            Err(error) => {
                assert!(tokio::time::Instant::now() < deadline, "no members from etcd: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    assert_eq!(known.members.len(), 2);
    let id_of =
        |url: &String| known.members.iter().find(|it| it.peer_urls.contains(url)).unwrap().id;
    let (ours, theirs) = (id_of(&our_url), MemberId::new(id_of(&real.peer_url)));
    let node = Node::serve_on(listener, ours, known.cluster, Arc::new(RealDisk));
    node.transport.add_peer(theirs, std::slice::from_ref(&real.peer_url));
    (real, Puppet::new(node, theirs))
}

fn put(id: u64, key: &'static str, value: Vec<u8>) -> Vec<u8> {
    let put = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
    let header = Some(RequestHeader { id, ..RequestHeader::default() });
    InternalRaftRequest { header, put: Some(put), ..InternalRaftRequest::default() }.encode_to_vec()
}

/// The real one leads: its votes, heartbeats and appends reach us on streams, our answers it.
async fn follow(version: &str) {
    let (real, mut puppet) = start(version).await;
    let their_id = puppet.peer;
    puppet
        .play_until("the real one attached its streams and leads", |puppet| {
            puppet.node.has_both_streams_of(their_id)
                && puppet.seen(MessageType::MsgVote) > 0
                && puppet.log.len() > 2
        })
        .await;
    let body = r#"{"key":"Zm9v","value":"YmFy"}"#;
    let puts = async {
        // Clients are served once it has published itself through the log.
        let mut done = 0;
        for _ in 0..600 {
            match real.ask("/v3/kv/put", body.to_owned()).await {
                Some(_) => done += 1,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            if done == 30 {
                break;
            }
        }
        done
    };
    assert_eq!(puppet.play_during(puts).await, 30, "puts committed");
    let holds_foo = |entry: &&raftpb::Entry| {
        entry.data.as_ref().is_some_and(|it| it.windows(3).any(|at| at == b"foo"))
    };
    assert_eq!(puppet.log.iter().filter(holds_foo).count(), 30);
    puppet.play_until("heartbeats came", |it| it.seen(MessageType::MsgHeartbeat) > 3).await;
    assert!(puppet.node.transport.active_since(their_id).is_some());
    puppet.play_during(expect_answers(version, &real, their_id)).await;

    // A removed member is told so when it dials again, and stops in good order.
    puppet.node.events.removed.lock().insert(their_id.get());
    puppet.node.transport.remove_peer(their_id);
    let mut real = real;
    let status = timeout(Duration::from_secs(20), real.child.wait()).await;
    assert!(status.expect("it stops by itself").unwrap().success());
    puppet.node.stop().await;
}

/// What it answers to the questions of bootstrap, version monitor and corruption check.
async fn expect_answers(version: &str, real: &RealEtcd, id: MemberId) {
    let fetcher = Fetcher::new(Connector::new(LIMIT, None));
    let url = &real.peer_url;
    let theirs = fetcher.version(url, LIMIT).await.unwrap();
    assert_eq!(theirs.server, version);
    let known = fetcher.members(url, LIMIT).await.unwrap();
    let itself = known.members.iter().find(|it| it.id == id.get()).unwrap();
    assert_eq!(itself.name, "real");
    assert_eq!(itself.client_urls, std::slice::from_ref(&real.client_url));
    assert!(!itself.is_learner);
    let cluster = known.cluster;
    let hash = fetcher.hash_kv(url, cluster, Revision::new(0), LIMIT).await.unwrap();
    assert_eq!(hash.compact_revision, Revision::new(-1));
    assert_eq!(hash.revision, Revision::new(31));
    let future = fetcher.hash_kv(url, cluster, Revision::new(999), LIMIT).await.unwrap_err();
    match future {
        FetchError::Status { status, text, .. } => {
            assert_eq!(status.as_u16(), 400);
            assert_eq!(text, "mvcc: required revision is a future revision");
        }
        other => panic!("{other}"),
    }
    let learner = fetcher.promote(url, MemberId::new(1), LIMIT).await.unwrap_err();
    assert!(matches!(learner, FetchError::Status { status, .. } if status.as_u16() == 404));
    let downgrade = fetcher.downgrade_enabled(url, LIMIT).await;
    match version {
        "3.4.23" => assert!(matches!(downgrade, Err(FetchError::Status { .. })), "{downgrade:?}"),
        _ => assert!(!downgrade.unwrap()),
    }
}

/// We lead: the real one takes our appends, then leads and sends us its snapshot.
async fn lead_then_take_a_snapshot(version: &str) {
    const PUTS: u64 = 5600;
    let (real, mut puppet) = start(version).await;
    puppet.role = Role::Candidate;
    puppet.play_until("we lead", |it| it.role == Role::Leader).await;
    let their_id = puppet.peer;
    puppet.play_until("streams are attached", |it| it.node.has_both_streams_of(their_id)).await;
    puppet.propose(put(1, "large", vec![b'v'; 1 << 20]));
    for id in 2..=PUTS {
        puppet.propose(put(id, "k", id.to_string().into_bytes()));
    }
    puppet.play_until("all is acknowledged", |it| it.matched == it.log.len()).await;
    puppet
        .play_until("it made a snapshot", |it| {
            it.matched == it.log.len() && real.has_snapshot_from(5300)
        })
        .await;
    assert!(puppet.node.counters(their_id).sent_bytes.get() > 1 << 20);
    assert!(puppet.seen(MessageType::MsgProp) > 0, "it proposes its attributes to us");
    expect_content(&real, &mut puppet, PUTS - 1).await;

    puppet.hand_over();
    let hand_over_term = puppet.term;
    puppet.play_until("the real one campaigns", |it| it.term > hand_over_term).await;
    puppet.role = Role::Forgetful;
    puppet.play_until("its snapshot came", |it| !it.node.events.snapshots.lock().is_empty()).await;
    let (message, db) = puppet.node.events.snapshots.lock()[0].clone();
    assert!(message.snapshot.metadata.index >= PUTS);
    let v2_store = message.snapshot.data.clone().unwrap();
    assert!(v2_store.starts_with(b"{\"Root\":"), "{v2_store:?}");
    let file = RealDisk.open(&db, Open::Read).unwrap();
    let mut page = [0; 32];
    file.read_at(&mut page, 0).unwrap();
    assert_eq!(page[16..20], 0xED0C_DAED_u32.to_le_bytes(), "a bbolt file");
    assert!(file.len().unwrap() > 1 << 20, "with the large value in it");

    send_back(puppet, message, file).await;
    real.stop().await;
}

/// Reads through its own API what it applied.
async fn expect_content(real: &RealEtcd, puppet: &mut Puppet, versions: u64) {
    let question = r#"{"key":"aw==","serializable":true}"#;
    let versions = versions.to_string();
    for _ in 0..200 {
        let answer = puppet.play_during(real.ask("/v3/kv/range", question.to_owned())).await;
        if answer.is_some_and(|it| it["kvs"][0]["version"] == versions.as_str()) {
            return;
        }
    }
    panic!("it never showed all puts");
}

/// The real one takes a snapshot from us too: its own, which it needs no more.
async fn send_back(puppet: Puppet, message: raftpb::Message, file: Box<dyn DiskFile>) {
    let Puppet { node, peer, .. } = puppet;
    let answer = raftpb::Message { from: node.id.get(), to: peer.get(), ..message };
    let db_bytes = file.len().unwrap();
    let snapshot = OutgoingSnapshot { message: answer, db: file, db_bytes, guard: Box::new(()) };
    let snapshot = Mutex::new(Some(snapshot));
    *node.events.source.lock() = Some(Box::new(move |_request| {
        snapshot.lock().take().ok_or_else(|| SnapshotError::new("it is sent once"))
    }));
    node.transport.send(vec![super::world::message(MessageType::MsgSnap, node.id, peer)]);
    until("it was taken", || !node.events.sent_snapshots.lock().is_empty()).await;
    assert_eq!(*node.events.sent_snapshots.lock(), [(peer, true)]);
    assert_eq!(node.counters(peer).snapshot_send.success.get(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_3_4_leads_over_our_transport() {
    follow("3.4.23").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_3_5_leads_over_our_transport() {
    follow("3.5.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_3_4_follows_and_sends_its_snapshot() {
    lead_then_take_a_snapshot("3.4.23").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_3_5_follows_and_sends_its_snapshot() {
    lead_then_take_a_snapshot("3.5.1").await;
}
