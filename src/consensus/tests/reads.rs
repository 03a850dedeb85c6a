//! Linearizable reads.

use bytes::Bytes;

use super::cluster::Cluster;
use crate::{ReadState, shared::Input};

fn ask(cluster: &mut Cluster, at: u64, context: &'static [u8]) {
    cluster.input(at, Input::ReadIndex(Bytes::from_static(context)));
}

fn answers(cluster: &Cluster, at: u64) -> Vec<ReadState> {
    std::mem::take(&mut cluster.members[&at].outside.lock().reads)
}

#[test]
fn a_read_anywhere_sees_what_was_acknowledged_before() {
    let mut cluster = Cluster::led(3, 30);
    for _ in 0..10 {
        cluster.propose(1);
    }
    cluster.settle();
    let committed = cluster.history.committed();
    for at in 1..=3 {
        ask(&mut cluster, at, b"readread");
        cluster.settle();
        let answers = answers(&cluster, at);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].context, b"readread".as_slice());
        assert!(answers[0].index.get() >= committed);
    }
}

#[test]
fn a_single_voter_answers_at_once() {
    let mut cluster = Cluster::led(1, 31);
    cluster.propose(1);
    ask(&mut cluster, 1, b"12345678");
    assert_eq!(answers(&cluster, 1)[0].index.get(), cluster.history.committed());
}

#[test]
fn a_leader_cut_off_from_its_quorum_never_answers() {
    let mut cluster = Cluster::led(3, 32);
    cluster.isolate(1);
    cluster.run_until("another leader", |cluster| cluster.leader() != Some(1));
    let leader = cluster.leader().expect("a leader");
    cluster.propose(leader);
    cluster.settle();
    ask(&mut cluster, 1, b"too-late");
    for _ in 0..50 {
        cluster.tick_all();
        cluster.settle();
    }
    assert_eq!(answers(&cluster, 1), []);
}

#[test]
fn a_read_without_a_leader_is_dropped_and_may_be_asked_again() {
    let mut cluster = Cluster::new(3, 33);
    ask(&mut cluster, 2, b"nobody-1");
    assert!(cluster.wire.is_empty());
    cluster.input(1, Input::Campaign);
    cluster.settle();
    assert_eq!(answers(&cluster, 2), []);
    ask(&mut cluster, 2, b"nobody-1");
    cluster.settle();
    assert_eq!(answers(&cluster, 2).len(), 1);
}
