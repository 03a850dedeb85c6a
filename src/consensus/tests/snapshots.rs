//! Members that fell behind what the log still has.

use raft::Storage as _;
use wire::raftpb::{ConfChangeType, MessageType};

use super::cluster::Cluster;
use crate::shared::Input;

fn fall_behind(seed: u64) -> Cluster {
    let mut cluster = Cluster::led(3, seed);
    cluster.isolate(3);
    for _ in 0..40 {
        cluster.propose(1);
        cluster.settle();
    }
    cluster.snapshot(1, 5);
    cluster.snapshot(2, 5);
    cluster
}

#[test]
fn a_follower_that_fell_behind_gets_a_snapshot() {
    let mut cluster = fall_behind(50);
    cluster.cut.clear();
    let mut seen = false;
    for _ in 0..20 {
        cluster.tick_all();
        seen |= cluster.wire.iter().any(|message| message.r#type() == MessageType::MsgSnap);
        while !cluster.wire.is_empty() {
            cluster.deliver(0);
            seen |= cluster.wire.iter().any(|message| message.r#type() == MessageType::MsgSnap);
        }
    }
    assert!(seen, "a snapshot was on its way");
    assert_eq!(cluster.members[&3].machine(), cluster.members[&1].machine());
    // It is durable: the member comes back from its own disk.
    let before = cluster.members[&3].machine();
    cluster.crash(3, 50);
    cluster.start(3);
    cluster.isolate(3);
    let started = cluster.members[&3].machine();
    assert!(started.index > 30 && started.index <= before.index);
    cluster.heal_and_agree();
}

#[test]
fn a_snapshot_that_is_lost_is_sent_again() {
    let mut cluster = fall_behind(51);
    cluster.cut.remove(&(3, 1));
    cluster.cut.remove(&(1, 3));
    let mut lost = 0;
    for _ in 0..40 {
        cluster.tick_all();
        for _ in 0..1000 {
            let Some(message) = cluster.wire.first() else { break };
            let is_snapshot = message.r#type() == MessageType::MsgSnap;
            if is_snapshot && lost < 2 {
                lost += 1;
                cluster.cut.insert((1, 3));
                cluster.deliver(0);
                cluster.cut.remove(&(1, 3));
            } else {
                cluster.deliver(0);
            }
        }
    }
    assert_eq!(lost, 2);
    cluster.heal_and_agree();
}

#[test]
fn power_may_go_while_a_snapshot_is_installed() {
    for operations in 0..40 {
        let mut cluster = fall_behind(5200 + operations);
        cluster.cut.clear();
        cluster.members[&3].disk.power_off_after(operations);
        for _ in 0..5 {
            cluster.tick_all();
            cluster.settle();
        }
        cluster.crash(3, operations);
        cluster.start(3);
        cluster.heal_and_agree();
    }
}

#[test]
fn a_learner_catches_up_through_a_snapshot_and_is_in_its_configuration() {
    let mut cluster = Cluster::led(3, 53);
    for _ in 0..30 {
        cluster.propose(1);
    }
    cluster.settle();
    cluster.propose_change(1, ConfChangeType::ConfChangeAddLearnerNode, 4);
    cluster.settle();
    for id in 1..=3 {
        cluster.snapshot(id, 0);
    }
    cluster.join(4);
    cluster.run_until("the learner", |cluster| {
        cluster.members[&4].machine() == cluster.members[&1].machine()
    });
    assert_eq!(cluster.members[&4].machine().members.get(&4), Some(&true));
    cluster.propose_change(1, ConfChangeType::ConfChangeAddNode, 4);
    cluster.heal_and_agree();
}

/// A mark above the last commit index in the log would not count at the next start.
#[test]
fn a_snapshot_at_a_commit_index_that_was_never_written_is_used_after_a_crash() {
    let mut cluster = Cluster::led(1, 55);
    cluster.propose(1);
    cluster.snapshot(1, 0);
    let index = cluster.members[&1].machine().index;
    cluster.crash(1, 55);
    cluster.start(1);
    let owner = cluster.members[&1].owner.as_ref().expect("it runs");
    assert_eq!(owner.raw.store().first_index(), Ok(index + 1));
}

#[test]
fn a_restart_from_a_snapshot_replays_only_what_follows() {
    let mut cluster = Cluster::led(3, 54);
    for round in 0..5 {
        for _ in 0..50 {
            cluster.propose(1);
        }
        cluster.settle();
        cluster.tick_all();
        cluster.settle();
        for id in 1..=3 {
            cluster.snapshot(id, 10);
        }
        for id in 1..=3 {
            cluster.crash(id, round);
            cluster.start(id);
        }
        cluster.input(1, Input::Campaign);
        cluster.settle();
    }
    assert_eq!(cluster.heal_and_agree().values.len(), 251);
}
