//! Two transports: what one sends reaches the other's server, by whatever channel there is.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use wire::raftpb::{self, MessageType};

use super::world::{Node, append, message, pair, until};
use crate::peer::codec::StreamKind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_other_messages_arrive_once_and_in_order() {
    let (a, b) = pair().await;
    for index in 0..3000 {
        let payload = Bytes::from(vec![7; 100]);
        a.transport.send(vec![
            append(a.id, b.id, index, payload),
            raftpb::Message { commit: index, ..message(MessageType::MsgHeartbeat, a.id, b.id) },
        ]);
        b.transport
            .send(vec![raftpb::Message { index, ..message(MessageType::MsgAppResp, b.id, a.id) }]);
        if index % 500 == 0 {
            until("the streams keep up", || b.received() as u64 > index).await;
        }
    }
    until("all arrived", || b.received() == 6000 && a.received() == 3000).await;
    let received = b.events.messages.lock().clone();
    let of_kind =
        |kind: MessageType| received.iter().filter(move |it| it.r#type == i32::from(kind));
    let indexes: Vec<u64> = of_kind(MessageType::MsgApp).map(|it| it.entries[0].index).collect();
    assert_eq!(indexes, (1..=3000).collect::<Vec<u64>>());
    let commits: Vec<u64> = of_kind(MessageType::MsgHeartbeat).map(|it| it.commit).collect();
    assert_eq!(commits, (0..3000).collect::<Vec<u64>>());
    assert_eq!((a.unreachable(), b.unreachable()), (0, 0));
    assert!(a.counters(b.id).sent_bytes.get() > 3000 * 100);
    assert_eq!(a.counters(b.id).sent_failures.get(), 0);
    assert!(b.counters(a.id).received_bytes.get() >= a.counters(b.id).sent_bytes.get() - 100);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_arrives_whole() {
    let (a, b) = pair().await;
    let payload: Vec<u8> = (0..24 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let payload = Bytes::from(payload);
    let before = append(a.id, b.id, 0, Bytes::from_static(b"x"));
    let large = append(a.id, b.id, 1, payload.clone());
    let by_message = raftpb::Message {
        context: Some(payload),
        ..message(MessageType::MsgReadIndex, a.id, b.id)
    };
    a.transport.send(vec![before.clone(), large.clone(), by_message.clone()]);
    until("all arrived", || b.received() == 3).await;
    let received = b.events.messages.lock().clone();
    for expected in [before, large, by_message] {
        assert!(received.contains(&expected), "one is missing or damaged");
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_the_log_does_not_know_is_called_back_by_posts() {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    b.meet(&a);
    until("b's dial made it known", || a.transport.inner.directory.load().remote(b.id).is_some())
        .await;
    assert!(!a.is_attached(b.id, StreamKind::Messages));
    a.transport.send(vec![message(MessageType::MsgHeartbeat, a.id, b.id)]);
    until("the post arrived", || b.received() == 1).await;

    a.meet(&b);
    until("it is a full peer now", || a.has_both_streams_of(b.id)).await;
    assert!(a.transport.inner.directory.load().remote(b.id).is_none());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_streams_messages_go_by_posts() {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    a.meet(&b);
    a.transport.send(vec![
        append(a.id, b.id, 4, Bytes::from_static(b"p")),
        message(MessageType::MsgVote, a.id, b.id),
    ]);
    until("both arrived", || b.received() == 2).await;
    assert!(!a.is_attached(b.id, StreamKind::Appends));
    // Each refused dial of a stream makes it inactive again, so one post may come too early.
    until("the posts made it active", || {
        a.transport.send(vec![message(MessageType::MsgVote, a.id, b.id)]);
        a.transport.active_since(b.id).is_some()
    })
    .await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_url_gives_way_to_the_next() {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_url = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    b.transport.add_peer(a.id, &[dead_url, a.url.clone()]);
    a.meet(&b);
    until("b found the living URL", || a.has_both_streams_of(b.id)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_updated_url_is_dialled() {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    b.transport.add_peer(a.id, &["http://127.0.0.1:1".to_owned()]);
    // Nobody has dialled b, so what it sends goes by posts to the URL it knows.
    until("the old URL fails", || {
        b.transport.send(vec![message(MessageType::MsgHeartbeat, b.id, a.id)]);
        b.counters(a.id).sent_failures.get() > 0
    })
    .await;
    a.meet(&b);
    assert!(!a.has_both_streams_of(b.id), "b knows no URL of a that answers");
    b.transport.update_peer(a.id, std::slice::from_ref(&a.url));
    until("b dials the new URL", || a.has_both_streams_of(b.id)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_told_and_stops() {
    let (a, b) = (Node::start(0xa).await, Node::start(0xb).await);
    a.events.removed.lock().insert(b.id.get());
    b.meet(&a);
    until("b was told", || b.events.told_removed.load(Ordering::Relaxed)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_becomes_inactive_and_unreachable() {
    let (a, b) = pair().await;
    assert!(a.transport.active_since(b.id).is_some());
    assert_eq!(a.counters(b.id).active.get(), 1);
    let b_id = b.id;
    b.stop().await;
    until("it is inactive", || a.transport.active_since(b_id).is_none()).await;
    until("its streams are gone", || !a.is_attached(b_id, StreamKind::Appends)).await;
    assert!(a.unreachable() > 0);
    assert_eq!(a.counters(b_id).active.get(), 0);
    assert!(a.counters(b_id).disconnected.get() > 0);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_peer_gets_nothing_any_more() {
    let (a, b) = pair().await;
    a.transport.remove_peer(b.id);
    a.transport.send(vec![message(MessageType::MsgHeartbeat, a.id, b.id)]);
    until("b lost its streams from a", || b.transport.active_since(a.id).is_none()).await;
    assert_eq!(b.received(), 0);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_measure_the_round_trip_and_the_clocks() {
    let (a, b) = pair().await;
    until("a probe was answered", || a.counters(b.id).round_trip.read().count > 0).await;
    assert!(a.counters(b.id).round_trip.read().sum_seconds < 4.0);
    // Both read the same clock, so the difference is at most the round trip.
    assert!(a.counters(b.id).clock_difference_micros.get().abs() < 4_000_000);
    assert_ne!(a.counters(b.id).clock_difference_micros.get(), 0);
    a.stop().await;
    b.stop().await;
}
