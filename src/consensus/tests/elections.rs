//! Who leads, and how leadership moves.

use std::sync::Arc;

use base::{MemberId, Term};
use raft::StateRole;
use wire::raftpb::{Message, MessageType};

use super::cluster::{Cluster, ELECTION_TICKS};
use crate::{Role, owner::Owner, shared::Input};

#[test]
fn one_of_three_is_elected_in_term_two() {
    let mut cluster = Cluster::new(3, 1);
    cluster.run_until("a leader", |cluster| cluster.leader().is_some());
    assert_eq!(cluster.history.term(), 2, "the bootstrap entries have term 1");
    cluster.heal_and_agree();
}

#[test]
fn a_single_voter_elects_itself_without_a_tick() {
    let mut cluster = Cluster::new(1, 2);
    assert_eq!(cluster.leader(), None);
    cluster.act(1, Owner::campaign_if_alone);
    assert_eq!(cluster.leader(), Some(1));
    let status = cluster.members[&1].status.borrow().clone();
    assert_eq!((status.role, status.leader), (Role::Leader, Some(MemberId::new(1))));
    assert_eq!(status.term, Term::new(2));
}

#[test]
fn nobody_elects_itself_in_a_group_or_without_a_vote() {
    let mut cluster = Cluster::new(3, 3);
    cluster.act(1, Owner::campaign_if_alone);
    assert!(cluster.wire.is_empty(), "it is not alone");
    cluster.join(9);
    cluster.input(9, Input::Campaign);
    let ticks = Input::AdvanceTicks(10 * ELECTION_TICKS);
    cluster.input(9, ticks);
    assert_eq!(cluster.members[&9].role(), Some(StateRole::Follower));
}

#[test]
fn an_isolated_leader_steps_down_and_rejoins_without_disturbing_the_term() {
    let mut cluster = Cluster::led(3, 4);
    cluster.isolate(1);
    for _ in 0..3 * ELECTION_TICKS {
        cluster.tick(1);
        cluster.settle();
    }
    assert_ne!(cluster.members[&1].role(), Some(StateRole::Leader), "check quorum");
    assert_eq!(cluster.members[&1].status.borrow().leader, None);
    cluster.run_until("another leader", |cluster| cluster.leader().is_some());
    let term = cluster.history.term();
    for _ in 0..10 * ELECTION_TICKS {
        cluster.tick_all();
        cluster.settle();
    }
    cluster.heal_and_agree();
    assert_eq!(cluster.history.term(), term, "pre-vote: the isolated member raised no term");
}

#[test]
fn leadership_moves_to_the_member_asked_for() {
    let mut cluster = Cluster::led(3, 5);
    cluster.propose(1);
    cluster.input(1, Input::TransferLeader(3));
    assert_eq!(cluster.members[&1].status.borrow().transferee, Some(MemberId::new(3)));
    let value = cluster.propose(1);
    cluster.settle();
    assert_eq!(cluster.leader(), Some(3));
    assert_eq!(cluster.members[&2].status.borrow().leader, Some(MemberId::new(3)));
    cluster.run_until("what was proposed meanwhile", |cluster| {
        cluster.members.values().all(|member| member.machine().values.contains(&value))
    });
}

#[test]
fn a_follower_passes_a_transfer_on() {
    let mut cluster = Cluster::led(3, 6);
    cluster.input(2, Input::TransferLeader(3));
    cluster.settle();
    assert_eq!(cluster.leader(), Some(3));
}

#[test]
fn a_transfer_to_a_dead_member_ends_by_itself() {
    let mut cluster = Cluster::led(3, 7);
    cluster.crash(3, 0);
    cluster.propose(1);
    cluster.settle();
    cluster.input(1, Input::TransferLeader(3));
    for _ in 0..=ELECTION_TICKS {
        cluster.tick(1);
        cluster.tick(2);
        cluster.settle();
    }
    assert_eq!(cluster.members[&1].status.borrow().transferee, None);
    let value = cluster.propose(1);
    cluster.settle();
    assert!(cluster.members[&2].machine().values.contains(&value));
}

// R17
#[test]
fn stale_disk_never_votes() {
    let mut cluster = Cluster::led(3, 8);
    cluster.propose(1);
    cluster.settle();
    // The same id comes back with an empty disk.
    cluster.crash(2, 0);
    cluster.forget();
    cluster.join(2);
    cluster.tick(1);
    cluster.settle();
    let failure = cluster.members[&2].failure.clone().expect("it stops");
    assert!(failure.contains("LogLost"), "{failure}");
    // And with an old state of its disk.
    let mut cluster = Cluster::led(3, 8);
    let old = Arc::new(cluster.members[&2].log().expect("a log"));
    cluster.propose(1);
    cluster.settle();
    let last = *old.last_key_value().expect("an entry").0;
    cluster.members.get_mut(&2).expect("a member").owner = None;
    cluster.forget();
    cluster.restart_with_log_up_to(2, last);
    cluster.tick(1);
    cluster.settle();
    let failure = cluster.members[&2].failure.clone().expect("it stops");
    assert!(failure.contains("LogLost"), "{failure}");
}

#[test]
fn a_leader_is_not_elected_over_entries_that_are_not_durable() {
    let mut cluster = Cluster::new(1, 9);
    // A member that took part in one batch: entries of another leader, and its own election.
    let append = Message {
        r#type: MessageType::MsgApp.into(),
        to: 1,
        from: 2,
        term: 3,
        log_term: 1,
        index: 1,
        entries: vec![wire::raftpb::Entry { r#type: 0, term: 3, index: 2, data: None }],
        ..Message::default()
    };
    cluster.act(1, |owner| {
        owner.handle(Input::Step(Box::new(append)))?;
        owner.handle(Input::Campaign)
    });
    assert_eq!(cluster.members[&1].failure, None);
    assert_eq!(cluster.leader(), Some(1));
}
