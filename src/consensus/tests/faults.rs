//! Disks that fail and machines that lose power.

use disk::sim::Fault;
use wire::raftpb::{Message, MessageType};

use super::cluster::Cluster;

fn is_promise(message: &Message) -> bool {
    let kind = message.r#type();
    kind == MessageType::MsgAppResp || kind == MessageType::MsgVoteResp && !message.reject
}

#[test]
fn a_follower_whose_sync_failed_acknowledges_nothing_and_stops() {
    for fault in [Fault::Eio, Fault::Enospc] {
        let mut cluster = Cluster::led(3, 20);
        cluster.members[&2].disk.fail_sync(1, fault);
        let value = cluster.propose(1);
        cluster.settle();
        let failed = &cluster.members[&2];
        assert!(failed.failure.as_ref().is_some_and(|failure| failure.contains("Log(")));
        assert!(!failed.last_words.iter().any(is_promise), "{:?}", failed.last_words);
        assert!(cluster.members[&1].machine().values.contains(&value), "two of three suffice");
        cluster.crash(2, 20);
        cluster.heal_and_agree();
    }
}

#[test]
fn a_voter_whose_sync_failed_gives_no_vote() {
    let mut cluster = Cluster::new(3, 21);
    cluster.pre_vote = false;
    for id in 1..=3 {
        cluster.crash(id, 0);
        cluster.start(id);
    }
    cluster.members[&2].disk.fail_sync(1, Fault::Eio);
    cluster.input(1, crate::shared::Input::Campaign);
    cluster.settle();
    let failed = &cluster.members[&2];
    assert!(failed.failure.is_some());
    assert!(!failed.last_words.iter().any(is_promise));
    cluster.crash(2, 21);
    cluster.heal_and_agree();
}

#[test]
fn a_leader_whose_sync_failed_applies_nothing_of_that_round() {
    let mut cluster = Cluster::led(1, 22);
    cluster.members[&1].disk.fail_sync(1, Fault::Eio);
    let value = cluster.propose(1);
    assert!(cluster.members[&1].failure.is_some());
    assert!(!cluster.members[&1].machine().values.contains(&value));
    cluster.crash(1, 22);
    cluster.heal_and_agree();
}

#[test]
fn a_write_that_fails_ends_it_as_well() {
    let mut cluster = Cluster::led(3, 23);
    cluster.members[&3].disk.fail_write(1, Fault::Enospc);
    cluster.propose(1);
    cluster.settle();
    let failed = &cluster.members[&3];
    assert!(failed.failure.is_some() && !failed.last_words.iter().any(is_promise));
    cluster.crash(3, 23);
    cluster.heal_and_agree();
}

/// Power goes at each operation in turn, on a leader and on a follower, while entries, changes of
/// the term and snapshots are written.
#[test]
fn power_may_go_at_any_operation() {
    for victim in [1, 2] {
        for operations in 0..60 {
            let seed = 1000 * victim + operations;
            let mut cluster = Cluster::led(3, seed);
            cluster.propose(1);
            cluster.settle();
            cluster.members[&victim].disk.power_off_after(operations);
            for _ in 0..12 {
                cluster.propose(1);
                cluster.settle();
            }
            cluster.snapshot(victim, 2);
            cluster.crash(victim, seed);
            cluster.start(victim);
            cluster.heal_and_agree();
        }
    }
}

#[test]
fn all_members_crash_at_once_and_nothing_acknowledged_is_lost() {
    for seed in 0..20 {
        let mut cluster = Cluster::led(3, seed);
        for _ in 0..30 {
            cluster.propose(1);
            cluster.settle();
        }
        let before = cluster.members[&1].machine().values;
        for id in 1..=3 {
            cluster.crash(id, seed);
        }
        let after = cluster.heal_and_agree().values;
        assert!(after.starts_with(&before), "seed {seed}");
    }
}
