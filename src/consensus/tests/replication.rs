//! From a proposal to every member's state.

use base::Index;
use bytes::Bytes;
use wire::raftpb::MessageType;

use super::cluster::{Cluster, ELECTION_TICKS, Member};
use crate::shared::Input;

fn holds(value: u64) -> impl Fn(&Member) -> bool {
    move |member| member.machine().values.contains(&value)
}

#[test]
fn proposals_of_one_round_travel_in_one_append_per_follower() {
    let mut cluster = Cluster::led(3, 10);
    cluster.act(1, |owner| {
        for value in 1000_u64..1100 {
            owner.handle(Input::Propose(Bytes::copy_from_slice(&value.to_be_bytes())))?;
        }
        Ok(())
    });
    let appends: Vec<(u64, usize)> =
        cluster.wire.iter().map(|message| (message.to, message.entries.len())).collect();
    assert_eq!(appends.len(), 2, "{appends:?}");
    assert!(appends.iter().all(|(_, entries)| *entries == 100));
    cluster.settle();
    assert!(cluster.members.values().all(|member| member.machine().values.len() == 100));
}

#[test]
fn a_follower_acknowledges_a_whole_round_once() {
    let mut cluster = Cluster::led(3, 11);
    for _ in 0..5 {
        cluster.propose(1);
    }
    let appends: Vec<_> = cluster.wire.extract_if(.., |message| message.to == 2).collect();
    assert_eq!(appends.len(), 5);
    cluster.act(2, |owner| {
        for append in appends {
            owner.handle(Input::Step(Box::new(append)))?;
        }
        Ok(())
    });
    let answers: Vec<_> = cluster.wire.iter().filter(|message| message.from == 2).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].r#type(), MessageType::MsgAppResp);
}

#[test]
fn proposals_wait_for_a_leader_and_then_reach_it_through_a_follower() {
    let mut cluster = Cluster::new(3, 12);
    let value = cluster.propose(2);
    assert!(cluster.wire.is_empty());
    cluster.input(1, Input::Campaign);
    cluster.settle();
    cluster.run_until("the proposal", |cluster| cluster.members.values().all(holds(value)));
}

#[test]
fn proposals_that_find_no_leader_for_long_are_dropped() {
    let mut cluster = Cluster::new(3, 13);
    for id in 1..=3 {
        cluster.isolate(id);
    }
    let value = cluster.propose(2);
    for _ in 0..=6 * ELECTION_TICKS {
        cluster.tick(2);
        cluster.settle();
    }
    assert!(!cluster.heal_and_agree().values.contains(&value));
}

#[test]
fn a_lagging_follower_catches_up_from_the_log() {
    let mut cluster = Cluster::led(3, 14);
    cluster.isolate(3);
    for _ in 0..200 {
        cluster.propose(1);
        cluster.settle();
    }
    assert_eq!(cluster.members[&3].machine().values.len(), 0);
    cluster.cut.clear();
    cluster.run_until("the follower", |cluster| {
        cluster.members[&3].machine() == cluster.members[&1].machine()
    });
}

#[test]
fn a_host_without_room_does_not_stop_the_owner_and_gets_all_in_the_end() {
    let mut cluster = Cluster::led(3, 15);
    let outside = std::sync::Arc::clone(&cluster.members[&1].outside);
    outside.lock().crowded = true;
    let values: Vec<u64> = (0..20).map(|_| cluster.propose(1)).collect();
    cluster.settle();
    assert!(holds(values[19])(&cluster.members[&2]), "the others go on");
    assert_eq!(cluster.members[&1].machine().values.len(), 0);
    // What waits for room stays in memory, whatever the apply thread says.
    let applied = outside.lock().machine.index;
    cluster.act(1, |owner| {
        owner.shared.leave_errand(|errands| errands.compact_to = Some(1000));
        owner.handle(Input::Wake)
    });
    let log = cluster.members[&1].log().expect("a log");
    assert_eq!(log.first_key_value().map(|first| *first.0), Some(applied + 1));
    outside.lock().crowded = false;
    let applied = outside.lock().machine.index;
    let woken = cluster.members[&1].owner.as_ref().expect("it runs").shared.set_applied(applied);
    assert!(woken, "the owner asked to be woken");
    cluster.input(1, Input::Wake);
    assert_eq!(cluster.members[&1].machine().values, values);
}

#[test]
fn a_change_of_members_is_handed_over_even_without_room() {
    let mut cluster = Cluster::led(1, 16);
    cluster.members[&1].outside.lock().crowded = true;
    let value = cluster.propose(1);
    assert!(!holds(value)(&cluster.members[&1]));
    cluster.propose_change(1, wire::raftpb::ConfChangeType::ConfChangeAddLearnerNode, 2);
    assert!(holds(value)(&cluster.members[&1]), "what came before the change came too");
    assert_eq!(cluster.members[&1].machine().members.get(&2), Some(&true));
}

#[test]
fn the_status_tells_positions_and_on_a_leader_those_of_all() {
    let mut cluster = Cluster::led(3, 17);
    cluster.propose(1);
    cluster.settle();
    cluster.tick_all();
    cluster.settle();
    cluster.tick_all();
    let status = cluster.members[&1].status.borrow().clone();
    let last = Index::new(cluster.members[&1].machine().index);
    assert_eq!((status.commit, status.applied, status.last_index), (last, last, last));
    let matched: Vec<_> = status.progress.iter().map(|(id, index)| (id.get(), *index)).collect();
    assert_eq!(matched, [(1, last), (2, last), (3, last)]);
    assert!(cluster.members[&2].status.borrow().progress.is_empty());
}

#[test]
fn an_idle_cluster_publishes_nothing() {
    let mut cluster = Cluster::led(3, 18);
    for _ in 0..3 {
        cluster.tick_all();
        cluster.settle();
    }
    let mut status = cluster.members[&2].status.clone();
    status.mark_unchanged();
    for _ in 0..5 {
        cluster.tick_all();
        cluster.settle();
    }
    assert_eq!(status.has_changed().ok(), Some(false));
}
