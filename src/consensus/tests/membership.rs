//! Changes of the configuration.

use prost::Message as _;
use raft::StateRole;
use wire::raftpb::{ConfChange, ConfChangeType, EntryType};

use super::cluster::{Cluster, Member};

use ConfChangeType::{
    ConfChangeAddLearnerNode as AddLearner, ConfChangeAddNode as Add,
    ConfChangeRemoveNode as Remove, ConfChangeUpdateNode as Update,
};

/// Waits until the change is part of every running member's state.
fn settle_members(cluster: &mut Cluster, expected: &[(u64, bool)]) {
    cluster.run_until("the members", |cluster| {
        let agree =
            |member: &Member| member.machine().members.into_iter().eq(expected.iter().copied());
        cluster.members.values().filter(|member| member.owner.is_some()).all(agree)
    });
}

#[test]
fn a_learner_joins_with_an_empty_log_and_is_promoted_under_load() {
    let mut cluster = Cluster::led(3, 40);
    for _ in 0..20 {
        cluster.propose(1);
    }
    cluster.propose_change(1, AddLearner, 4);
    cluster.join(4);
    settle_members(&mut cluster, &[(1, false), (2, false), (3, false), (4, true)]);
    for _ in 0..20 {
        cluster.propose(2);
    }
    cluster.propose_change(1, Add, 4);
    settle_members(&mut cluster, &[(1, false), (2, false), (3, false), (4, false)]);
    // Its vote counts: with two of four gone nothing is committed, with one gone it is.
    cluster.crash(2, 0);
    let value = cluster.propose(1);
    cluster.settle();
    assert!(cluster.members[&4].machine().values.contains(&value));
    cluster.crash(3, 0);
    let lost = cluster.propose(1);
    cluster.settle();
    assert!(!cluster.members[&1].machine().values.contains(&lost));
    cluster.heal_and_agree();
}

#[test]
fn a_learner_does_not_count() {
    let mut cluster = Cluster::led(1, 41);
    cluster.propose_change(1, AddLearner, 2);
    let value = cluster.propose(1);
    assert!(cluster.members[&1].machine().values.contains(&value), "no quorum of two is needed");
    cluster.join(2);
    settle_members(&mut cluster, &[(1, false), (2, true)]);
    for _ in 0..50 {
        cluster.tick(2);
    }
    assert_eq!(cluster.members[&2].role(), Some(StateRole::Follower));
}

#[test]
fn updates_and_refused_changes_change_nothing_and_do_not_block_the_next() {
    let mut cluster = Cluster::led(3, 42);
    let all = [(1, false), (2, false), (3, false)];
    cluster.propose_change(1, Update, 2);
    settle_members(&mut cluster, &all);
    // Refused at apply: a learner that is a voter already, a member that is none.
    cluster.propose_change(1, AddLearner, 2);
    cluster.propose_change(1, Remove, 9);
    settle_members(&mut cluster, &all);
    cluster.propose_change(1, AddLearner, 9);
    settle_members(&mut cluster, &[(1, false), (2, false), (3, false), (9, true)]);
}

#[test]
fn etcds_bytes_reach_every_log_and_state_unchanged() {
    let mut cluster = Cluster::led(3, 43);
    for (kind, id) in [(Update, 2), (AddLearner, 7), (Remove, 7)] {
        let change = ConfChange {
            id: 0xfeed,
            r#type: kind.into(),
            node_id: id,
            context: Some(bytes::Bytes::from_static(br#"{"id":7,"peerURLs":["http://h:1"]}"#)),
        };
        let bytes: bytes::Bytes = change.encode_to_vec().into();
        cluster.input(2, crate::shared::Input::ProposeConfChange(bytes.clone()));
        cluster.settle();
        let index = cluster.history.committed();
        let entry = cluster.history.entry(index).expect("it is committed").clone();
        assert_eq!(entry.r#type(), EntryType::EntryConfChange);
        assert_eq!(entry.data, Some(bytes));
        for member in cluster.members.values() {
            assert_eq!(member.log().expect("a log").get(&index), Some(&entry));
        }
    }
    // And through the disk.
    for id in 1..=3 {
        cluster.crash(id, 43);
    }
    cluster.heal_and_agree();
}

/// Surface E.4 row 23: no message of the round in which a change is committed leaves before it.
#[test]
fn a_change_is_applied_before_the_messages_of_its_round_leave() {
    let mut cluster = Cluster::led(3, 50);
    cluster.propose_change(1, AddLearner, 4);
    for _ in 0..3 {
        for member in cluster.members.values() {
            member.outside.lock().order.clear();
        }
        cluster.deliver(0);
        for member in cluster.members.values() {
            let order = &member.outside.lock().order;
            assert!(!order.contains(&"change") || order.first() == Some(&"change"), "{order:?}");
        }
    }
    assert_eq!(cluster.members[&1].machine().members.get(&4), Some(&true), "on the leader too");
    // The same where it is committed by the leader's own write.
    let mut cluster = Cluster::led(1, 51);
    cluster.propose_change(1, AddLearner, 4);
    cluster.join(4);
    cluster.settle();
    cluster.tick_all();
    cluster.settle();
    cluster.members[&1].outside.lock().order.clear();
    cluster.propose_change(1, AddLearner, 5);
    let order = cluster.members[&1].outside.lock().order.clone();
    assert_eq!(order[..3], ["messages", "change", "messages"], "append, change, commit");
}

#[test]
fn changes_in_quick_succession_all_happen_on_a_leader() {
    let mut cluster = Cluster::led(3, 44);
    cluster.act(1, |owner| {
        for id in [4, 5, 6] {
            let change =
                ConfChange { r#type: AddLearner.into(), node_id: id, ..ConfChange::default() };
            let bytes = change.encode_to_vec().into();
            owner.handle(crate::shared::Input::ProposeConfChange(bytes))?;
        }
        Ok(())
    });
    let all = [(1, false), (2, false), (3, false), (4, true), (5, true), (6, true)];
    settle_members(&mut cluster, &all);
}

#[test]
fn a_removed_leader_says_its_last_word_and_steps_down() {
    let mut cluster = Cluster::led(3, 45);
    cluster.propose_change(1, Remove, 1);
    for _ in 0..3 {
        cluster.propose(1);
    }
    cluster.settle();
    assert_eq!(cluster.members[&1].failure, None);
    assert_ne!(cluster.members[&1].role(), Some(StateRole::Leader));
    let members = cluster.members[&2].machine().members;
    assert_eq!(members.keys().copied().collect::<Vec<_>>(), [2, 3], "the others learned of it");
    cluster.members.remove(&1);
    cluster.heal_and_agree();
}

#[test]
fn a_removed_leader_repeats_its_last_word() {
    let mut cluster = Cluster::led(2, 48);
    cluster.propose_change(1, Remove, 1);
    cluster.deliver(0);
    // The acknowledgement comes, the change is applied; what the leader says then is lost.
    cluster.deliver(0);
    assert_ne!(cluster.members[&1].role(), Some(StateRole::Leader));
    cluster.wire.clear();
    cluster.tick(1);
    cluster.settle();
    assert_eq!(cluster.members[&2].machine().members.keys().copied().collect::<Vec<_>>(), [2]);
    cluster.members.remove(&1);
    cluster.heal_and_agree();
}

#[test]
fn a_candidate_learns_from_a_refused_vote_that_the_refuser_was_removed() {
    let mut cluster = Cluster::led(2, 49);
    cluster.propose_change(1, Remove, 1);
    cluster.propose(1);
    // The change arrives and is acknowledged, nothing after it: member 1 has the longer log, no
    // vote, and the only knowledge of the commit.
    cluster.deliver(0);
    cluster.wire.remove(0);
    cluster.deliver(0);
    cluster.wire.clear();
    cluster.crash(1, 49);
    cluster.start(1);
    cluster.run_until("a leader", |cluster| cluster.leader() == Some(2));
}

#[test]
fn the_last_voter_but_one_may_go() {
    let mut cluster = Cluster::led(2, 46);
    cluster.propose_change(1, Remove, 2);
    cluster.settle();
    cluster.members.remove(&2);
    cluster.wire.clear();
    let value = cluster.propose(1);
    assert!(cluster.members[&1].machine().values.contains(&value));
}

#[test]
fn a_removed_member_that_does_not_know_disturbs_nobody() {
    let mut cluster = Cluster::led(3, 47);
    cluster.isolate(3);
    cluster.propose_change(1, Remove, 3);
    cluster.settle();
    cluster.cut.clear();
    let term = cluster.history.term();
    for _ in 0..100 {
        cluster.tick_all();
        cluster.settle();
    }
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.members[&1].owner.as_ref().map(|owner| owner.raw.raft.term), Some(term));
}
