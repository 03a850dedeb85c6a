//! What is noted elsewhere before anything is acknowledged. (That nothing leaves unnoted, every other test checks too:
//! the host and the cluster compare each message and each log.)

use wire::raftpb::{ConfChangeType, Message, MessageType};

use super::cluster::Cluster;

fn is_promise(message: &Message) -> bool {
    let kind = message.r#type();
    kind == MessageType::MsgAppResp || kind == MessageType::MsgVoteResp && !message.reject
}

/// Voters and learners that a member has noted, oldest first.
fn noted(cluster: &Cluster, id: u64) -> Vec<(u64, Vec<u64>, Vec<u64>)> {
    let outside = cluster.members[&id].outside.lock();
    let all = outside.noted.configurations.iter();
    all.map(|one| (one.index.get(), one.members.voters.clone(), one.members.learners.clone()))
        .collect()
}

#[test]
fn a_new_cluster_notes_one_configuration_and_not_its_first_steps() {
    let cluster = Cluster::led(3, 60);
    for id in 1..=3 {
        assert_eq!(noted(&cluster, id), [(3, vec![1, 2, 3], vec![])]);
    }
}

#[test]
fn a_change_is_noted_before_it_is_acknowledged_and_both_stand_until_it_is_applied() {
    let mut cluster = Cluster::led(3, 61);
    let before = cluster.members[&1].machine().index;
    // Nobody hears the leader: its own entry is noted though it may never be committed.
    cluster.isolate(1);
    cluster.propose_change(1, ConfChangeType::ConfChangeAddLearnerNode, 4);
    let both = [(3, vec![1, 2, 3], vec![]), (before + 1, vec![1, 2, 3], vec![4])];
    assert_eq!(noted(&cluster, 1), both);
    cluster.settle();
    assert_eq!(noted(&cluster, 2), both[..1]);
    cluster.cut.clear();
    cluster.run_until("the change", |cluster| {
        cluster.members.values().all(|member| member.machine().members.contains_key(&4))
    });
    cluster.propose(1);
    cluster.settle();
    for id in 1..=3 {
        assert_eq!(noted(&cluster, id), both[1..], "{id}");
    }
}

#[test]
fn a_member_that_cannot_note_acknowledges_nothing_and_stops() {
    for id in [1, 2] {
        let mut cluster = Cluster::led(3, 62);
        cluster.members[&id].outside.lock().noted.fails = true;
        let value = cluster.propose(1);
        cluster.settle();
        let failed = &cluster.members[&id];
        let failure = failed.failure.clone().unwrap_or_default();
        assert!(failure.contains("Witness("), "{id}: {failure}");
        assert!(!failed.last_words.iter().any(is_promise), "{:?}", failed.last_words);
        let committed = cluster.members[&3].machine().values.contains(&value);
        assert_eq!(committed, id == 2, "a leader that cannot note does not count itself");
        cluster.crash(id, 62);
        cluster.heal_and_agree();
    }
}

#[test]
fn a_restarted_member_notes_anew_what_its_log_holds() {
    let mut cluster = Cluster::led(3, 63);
    cluster.isolate(1);
    cluster.propose_change(1, ConfChangeType::ConfChangeRemoveNode, 3);
    let before = noted(&cluster, 1);
    assert_eq!(before.len(), 2);
    cluster.crash(1, 63);
    cluster.start(1);
    cluster.tick(1);
    for _ in 0..40 {
        cluster.tick(1);
    }
    assert_eq!(noted(&cluster, 1), before);
}
