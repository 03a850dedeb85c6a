//! One end of a stream played by hand: replaced, stalled and broken connections.

use std::time::Duration;

use base::MemberId;
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wire::raftpb::MessageType;

use super::world::{CLUSTER, Node, append, message, until};
use crate::peer::codec::StreamKind;

const PEER: MemberId = MemberId::new(0xb);

/// Opens a stream at `node` as [`PEER`]; returns the connection behind the answer's head.
async fn attach(node: &Node, segment: &str) -> TcpStream {
    let address = node.url.trim_start_matches("http://");
    let mut io = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /raft/stream/{segment}/{PEER} HTTP/1.1\r\nHost: {address}\r\n\
         X-Etcd-Cluster-ID: {CLUSTER}\r\nX-Server-Version: 3.4.23\r\n\
         X-Min-Cluster-Version: 3.0.0\r\nX-Raft-To: {}\r\n\r\n",
        node.id
    );
    io.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    assert!(head.contains("\r\nx-server-version: 3.5.21\r\n"), "{head}");
    assert!(head.contains("\r\nx-etcd-cluster-id: c1\r\n"), "{head}");
    io
}

async fn node_that_knows_the_peer() -> Node {
    let node = Node::start(0xa).await;
    // Nobody listens there: only the streams played here matter.
    node.transport.add_peer(PEER, &["http://127.0.0.1:1".to_owned()]);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_before_any_message_and_messages_come_at_once() {
    let node = node_that_knows_the_peer().await;
    let mut io = attach(&node, "message").await;
    until("attached", || node.is_attached(PEER, StreamKind::Messages)).await;
    node.transport.send(vec![message(MessageType::MsgHeartbeat, node.id, PEER)]);
    let mut chunk = [0; 48];
    io.read_exact(&mut chunk[..4]).await.unwrap();
    assert_eq!(&chunk[..4], b"26\r\n", "one chunk of 8 + 30 bytes");
    io.read_exact(&mut chunk[..40]).await.unwrap();
    assert_eq!(chunk[..8], 30_u64.to_be_bytes());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_attachment_ends_the_old_one() {
    let node = node_that_knows_the_peer().await;
    let mut old = attach(&node, "msgapp").await;
    let mut new = attach(&node, "msgapp").await;
    let mut rest = [0; 5];
    old.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"0\r\n\r\n", "ended in good order");
    assert!(node.is_attached(PEER, StreamKind::Appends), "the new one holds the slot");

    // The encoder starts afresh, so the first append is whole.
    node.transport.send(vec![append(node.id, PEER, 0, Bytes::from_static(b"x"))]);
    let mut chunk = [0; 5];
    new.read_exact(&mut chunk).await.unwrap();
    assert_eq!(chunk[4], 2, "{chunk:?}");
    assert_eq!(node.unreachable(), 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_heartbeats_come_on_an_idle_stream() {
    let node = node_that_knows_the_peer().await;
    let mut io = attach(&node, "msgapp").await;
    let mut chunk = [0; 6];
    let read = tokio::time::timeout(Duration::from_secs(3), io.read_exact(&mut chunk)).await;
    read.expect("within 1.67 s and some grace").unwrap();
    assert_eq!(&chunk, b"1\r\n\0\r\n");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_connection_frees_its_slot_and_is_reported() {
    let node = node_that_knows_the_peer().await;
    let io = attach(&node, "message").await;
    until("attached", || node.is_attached(PEER, StreamKind::Messages)).await;
    drop(io);
    until("detached", || !node.is_attached(PEER, StreamKind::Messages)).await;
    assert_eq!(node.unreachable(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_and_reports_and_a_stalled_connection_ends() {
    let node = node_that_knows_the_peer().await;
    let io = attach(&node, "msgapp").await;
    let payload = Bytes::from(vec![0; 64 * 1024]);
    let fits = u64::try_from(base::limits::PEER_QUEUE_MAX).unwrap();
    for index in 0..fits {
        node.transport.send(vec![append(node.id, PEER, index, payload.clone())]);
    }
    assert_eq!(node.unreachable(), 0, "the queue holds as many as it says");
    // The connection takes some from the queue until the socket is full.
    let mut index = fits;
    until("the queue is full", || {
        node.transport.send(vec![append(node.id, PEER, index, payload.clone())]);
        index += 1;
        node.unreachable() > 0 || {
            for _ in 0..50 {
                node.transport.send(vec![append(node.id, PEER, index, payload.clone())]);
                index += 1;
            }
            false
        }
    })
    .await;
    assert!(node.counters(PEER).sent_failures.get() > 0);
    until("the stalled connection is given up", || !node.is_attached(PEER, StreamKind::Appends))
        .await;
    drop(io);
    node.stop().await;
}
