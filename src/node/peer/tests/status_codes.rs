//! Every rule of what a peer may ask, with the status and text etcd answers.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use prost::Message;
use wire::raftpb::{self, MessageType};

use super::world::{Node, message, until};
use crate::peer::Connector;
use crate::peer::fetch::http_client;
use base::MemberId;

const PEER: MemberId = MemberId::new(0xb);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// The headers of a well-behaved peer, changed by `changes` (an empty value removes one).
async fn ask(
    node: &Node,
    (method, path): (Method, &str),
    changes: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let own_id = node.id.to_string();
    let usual = [
        ("X-Etcd-Cluster-ID", "c1"),
        ("X-Server-From", "b"),
        ("X-Server-Version", "3.4.23"),
        ("X-Min-Cluster-Version", "3.0.0"),
        ("X-Raft-To", &own_id),
    ];
    let mut request = Request::builder().method(method).uri(format!("{}{path}", node.url));
    for (name, value) in usual {
        let changed = changes.iter().find(|(changed, _)| *changed == name);
        let value = changed.map_or(value, |(_, value)| value);
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    for (name, value) in changes.iter().filter(|(name, _)| !usual.iter().any(|it| it.0 == *name)) {
        request = request.header(*name, *value);
    }
    let client = http_client(Connector::new(std::time::Duration::from_secs(5), None));
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    // A stream's body never ends; all others are short.
    let endless = parts.headers.get("content-length").is_none() && parts.status == StatusCode::OK;
    let text = if endless { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
    let text = String::from_utf8(text.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

async fn expect(
    node: &Node,
    (request, changes): ((Method, &str), &[(&str, &str)]),
    body: impl Into<Bytes>,
    (status, text): (u16, &str),
) {
    let name = format!("{request:?} {changes:?}");
    let answer = ask(node, request, changes, body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, text), "{name}");
}

fn heartbeat(node: &Node) -> raftpb::Message {
    message(MessageType::MsgHeartbeat, PEER, node.id)
}

async fn node() -> Node {
    let node = Node::start(0xa).await;
    node.transport.add_peer(PEER, &["http://127.0.0.1:1".to_owned()]);
    node
}

const POST: (Method, &str) = (Method::POST, "/raft");
const SNAPSHOT: (Method, &str) = (Method::POST, "/raft/snapshot");
const STREAM: (Method, &str) = (Method::GET, "/raft/stream/message/b");

#[tokio::test]
async fn a_message_is_taken_with_204_and_the_clusters_id() {
    let node = node().await;
    let answer = ask(&node, POST, &[], heartbeat(&node).encode_to_vec()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(answer.headers["x-etcd-cluster-id"], "c1");
    assert_eq!(*node.events.messages.lock(), [heartbeat(&node)]);
    node.stop().await;
}

#[tokio::test]
async fn versions_are_judged_before_the_cluster_and_both_with_412() {
    let node = node().await;
    let version = "incompatible version\n";
    let cluster = "cluster ID mismatch\n";
    for (header, value, text) in [
        ("X-Server-Version", "", version),
        ("X-Server-Version", "2.3.8", version),
        ("X-Server-Version", "three", version),
        ("X-Server-Version", "3.5", version),
        ("X-Min-Cluster-Version", "3.6.0", version),
        ("X-Min-Cluster-Version", "4.0.0", version),
        ("X-Etcd-Cluster-ID", "", cluster),
        ("X-Etcd-Cluster-ID", "c2", cluster),
        ("X-Etcd-Cluster-ID", "0c1", cluster),
    ] {
        for target in [POST, SNAPSHOT, STREAM] {
            let body = heartbeat(&node).encode_to_vec();
            expect(&node, (target, &[(header, value)]), body, (412, text)).await;
        }
    }
    let both = [("X-Server-Version", "2.0.0"), ("X-Etcd-Cluster-ID", "c2")];
    expect(&node, (POST, &both), "", (412, version)).await;
    for good in ["3.0.0", "3.6.1", "4.0.0", "3.6.0-alpha.1"] {
        let changes = [("X-Server-Version", good)];
        expect(&node, (POST, &changes), heartbeat(&node).encode_to_vec(), (204, "")).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn other_methods_get_405_and_the_one_allowed() {
    let node = node().await;
    for (path, method, allow) in [
        ("/raft", Method::GET, "POST"),
        ("/raft/snapshot", Method::PUT, "POST"),
        ("/raft/stream/message/b", Method::POST, "GET"),
    ] {
        let answer = ask(&node, (method, path), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (405, "Method Not Allowed\n"));
        assert_eq!(answer.headers["allow"], allow);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_message_gets_400() {
    let node = node().await;
    for bad in [&b"\xff\xff\xff"[..], b"\x3a\x05ab", b"\x08"] {
        let body = Bytes::copy_from_slice(bad);
        expect(&node, (POST, &[]), body, (400, "error unmarshalling raft message\n")).await;
    }
    assert_eq!(node.received(), 0);
    assert_eq!(node.counters(PEER).received_failures.get(), 3);
    node.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_comes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = node().await;
    let address = node.url.trim_start_matches("http://");
    let mut io = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /raft HTTP/1.1\r\nHost: x\r\nX-Etcd-Cluster-ID: c1\r\nX-Server-Version: 3.5.0\r\n\
         X-Min-Cluster-Version: 3.0.0\r\nContent-Length: {}\r\n\r\n",
        base::limits::PEER_MESSAGE_BYTES_MAX + 1
    );
    io.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::time::timeout(std::time::Duration::from_secs(2), io.read_exact(&mut answer));
    read.await.expect("at once").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    node.stop().await;
}

#[tokio::test]
async fn a_link_heartbeat_posted_is_swallowed() {
    let node = node().await;
    let nobody = message(MessageType::MsgHeartbeat, MemberId::default(), MemberId::default());
    expect(&node, (POST, &[]), nobody.encode_to_vec(), (204, "")).await;
    assert_eq!(node.received(), 0);
    node.stop().await;
}

#[tokio::test]
async fn messages_for_others_and_bare_snapshots_get_500_never_403() {
    let node = node().await;
    let text = "error processing raft message\n";
    let other = message(MessageType::MsgHeartbeat, PEER, MemberId::new(0xdead));
    expect(&node, (POST, &[]), other.encode_to_vec(), (500, text)).await;
    let bare = message(MessageType::MsgSnap, PEER, node.id);
    expect(&node, (POST, &[]), bare.encode_to_vec(), (500, text)).await;
    assert_eq!(node.received(), 0);
    node.stop().await;
}

#[tokio::test]
async fn only_ids_in_the_removed_set_get_403_and_410() {
    let node = node().await;
    node.events.removed.lock().insert(PEER.get());
    let text = "cannot process message from removed member\n";
    expect(&node, (POST, &[]), heartbeat(&node).encode_to_vec(), (403, text)).await;
    expect(&node, (STREAM, &[]), "", (410, "removed member\n")).await;
    let mut snapshot = message(MessageType::MsgSnap, PEER, node.id);
    snapshot.snapshot.metadata.index = 9;
    expect(&node, (SNAPSHOT, &[]), framed(&snapshot), (403, text)).await;
    assert_eq!(node.received(), 0);
    assert_eq!(node.files(), Vec::<String>::new());
    node.stop().await;
}

#[tokio::test]
async fn streams_are_judged_path_first_then_sender_then_receiver() {
    let node = node().await;
    for path in ["/raft/stream/other/b", "/raft/stream/msgapp", "/raft/stream/msgapp/b/c"] {
        expect(&node, ((Method::GET, path), &[]), "", (404, "invalid path\n")).await;
    }
    for path in ["/raft/stream/msgapp/xyz", "/raft/stream/msgapp/", "/raft/stream/message/1-"] {
        expect(&node, ((Method::GET, path), &[]), "", (404, "invalid from\n")).await;
    }
    let unknown = (Method::GET, "/raft/stream/msgapp/77");
    expect(&node, (unknown, &[]), "", (404, "error sender not found\n")).await;
    for to in ["", "b", "0a"] {
        let changes = [("X-Raft-To", to)];
        expect(&node, (STREAM, &changes), "", (412, "to field mismatch\n")).await;
    }
    let answer = ask(&node, STREAM, &[], "").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.headers["x-server-version"], "3.5.21");
    let refused = ask(&node, (Method::GET, "/raft/stream/msgapp/77"), &[], "").await;
    assert_eq!(refused.headers["x-server-version"], "3.5.21");
    assert_eq!(refused.headers["x-etcd-cluster-id"], "c1");
    node.stop().await;
}

#[tokio::test]
async fn an_unknown_sender_is_remembered_by_its_urls() {
    let node = node().await;
    let known = |id: u64| node.transport.inner.directory.load().remote(MemberId::new(id)).is_some();
    let unknown = (Method::GET, "/raft/stream/msgapp/77");
    for (urls, remembered) in [("unix://x", false), ("junk,,", false), ("http://x:1", true)] {
        let changes = [("X-PeerURLs", urls), ("X-Server-From", "77")];
        expect(&node, (unknown.clone(), &changes), "", (404, "error sender not found\n")).await;
        assert_eq!(known(0x77), remembered, "{urls}");
    }
    let changes = [("X-PeerURLs", "http://x:1"), ("X-Server-From", "78")];
    expect(&node, (POST, &changes), heartbeat(&node).encode_to_vec(), (204, "")).await;
    assert!(known(0x78));
    for id in 0x100..0x200_u64 {
        let id = format!("{id:x}");
        let changes = [("X-PeerURLs", "http://x:1"), ("X-Server-From", id.as_str())];
        expect(&node, (POST, &changes), heartbeat(&node).encode_to_vec(), (204, "")).await;
    }
    assert_eq!(node.transport.inner.directory.load().remotes.len(), 64, "bounded");
    node.stop().await;
}

#[tokio::test]
async fn snapshots_that_are_none_get_400() {
    let node = node().await;
    let wrong = framed(&heartbeat(&node));
    expect(&node, (SNAPSHOT, &[]), wrong, (400, "wrong raft message type\n")).await;
    let broken_off = Bytes::from_static(&[0, 0, 0]);
    let text = "failed to decode raft message (unexpected EOF)\n";
    expect(&node, (SNAPSHOT, &[]), broken_off, (400, text)).await;
    let huge = Bytes::copy_from_slice(&u64::MAX.to_be_bytes());
    let answer = ask(&node, SNAPSHOT, &[], huge).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text.contains("over the limit"), "{}", answer.text);
    let no_index = framed(&message(MessageType::MsgSnap, PEER, node.id));
    assert_eq!(ask(&node, SNAPSHOT, &[], no_index).await.status.as_u16(), 400);
    let mut other = message(MessageType::MsgSnap, PEER, MemberId::new(9));
    other.snapshot.metadata.index = 4;
    assert_eq!(ask(&node, SNAPSHOT, &[], framed(&other)).await.status.as_u16(), 500);
    assert_eq!(node.files(), Vec::<String>::new());
    node.stop().await;
}

#[tokio::test]
async fn a_snapshot_the_server_refuses_gets_500_with_the_reason() {
    let node = node().await;
    node.events.refuse_snapshots.store(true, Ordering::Relaxed);
    let mut snapshot = message(MessageType::MsgSnap, PEER, node.id);
    snapshot.snapshot.metadata.index = 4;
    let text = "failed to process raft message (not now)\n";
    expect(&node, (SNAPSHOT, &[]), framed(&snapshot), (500, text)).await;
    node.stop().await;
}

#[tokio::test]
async fn probes_are_answered_without_any_header() {
    let node = node().await;
    let bare = [
        ("X-Etcd-Cluster-ID", ""),
        ("X-Server-Version", ""),
        ("X-Min-Cluster-Version", ""),
        ("X-Server-From", ""),
    ];
    let answer = ask(&node, (Method::GET, "/raft/probing"), &bare, "").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.text.starts_with("{\"OK\":true,\"Now\":\"20"), "{}", answer.text);
    assert!(answer.text.ends_with("Z\"}\n"), "{}", answer.text);
    node.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_deadline() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = node().await;
    let address = node.url.trim_start_matches("http://");
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut kept = tokio::net::TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /raft/probing HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let ends = async {
        let mut all = Vec::new();
        let silent = silent.read_to_end(&mut all).await;
        let kept = kept.read_to_end(&mut all).await;
        (silent, kept, all)
    };
    let (_, kept, all) = tokio::time::timeout(std::time::Duration::from_secs(12), ends)
        .await
        .expect("both are closed within twice the deadline");
    assert!(kept.is_ok() && all.starts_with(b"HTTP/1.1 200 OK\r\n"));
    until("nothing was taken for a message", || node.received() == 0).await;
    node.stop().await;
}

fn framed(message: &raftpb::Message) -> Bytes {
    let mut out = bytes::BytesMut::new();
    crate::peer::codec::put_framed(message, &mut out);
    out.freeze()
}
