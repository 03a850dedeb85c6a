//! The fold: compare-and-set of the spec, the bootstrap latch, and that a replay gives the same.

use base::Epoch;
use uuid::Uuid;

use super::*;

fn envelope(entry: Entry) -> Envelope {
    Envelope { version: ENTRY_VERSION, proposal: 1, incarnation: 1, at_ms: 0, reign: None, entry }
}

fn spec(base: u64, text: &str) -> Entry {
    Entry::Spec { base, text: text.into(), digest: "d".into(), source: "/c.toml".into() }
}

fn lineage() -> Lineage {
    Lineage {
        uuid: Uuid::from_u128(7),
        token: "t".into(),
        epoch: Epoch::new(1),
        initial_state: InitialState::New,
        initial_cluster: vec![("n1".into(), vec!["http://127.0.0.1:1".into()])],
        incarnations: [].into(),
        joined: [].into(),
        left: [].into(),
    }
}

fn fold(entries: &[Entry]) -> ControlState {
    let mut state = ControlState::default();
    for entry in entries {
        drop(state.apply(&envelope(entry.clone())));
    }
    state
}

#[test]
fn an_edit_of_an_old_spec_is_rejected() {
    let mut state = fold(&[spec(0, "one"), spec(1, "two")]);
    let rejected = state.apply(&envelope(spec(1, "stale"))).unwrap_err();
    assert_eq!(rejected, Rejected::SpecChanged { base: 1, actual: 2 });
    assert_eq!(state.spec.unwrap().text, "two");
}

/// R2
#[test]
fn a_formed_lineage_is_existing_for_ever() {
    let prepared = Entry::LineagePrepared { lineage: lineage() };
    let mut state = fold(&[prepared.clone(), Entry::LineageStarted, Entry::LineageFormed]);
    assert_eq!(state.lineage().unwrap().initial_state, InitialState::Existing);
    let again = state.apply(&envelope(prepared)).unwrap_err();
    assert_eq!(again, Rejected::AlreadyFormed(Uuid::from_u128(7)));
    state.apply(&envelope(Entry::LineageStarted)).unwrap();
    assert_eq!(state.lineage.as_ref().unwrap().latch, Latch::Formed);
    assert_eq!(state.lineage().unwrap().initial_state, InitialState::Existing);
}

/// R2
#[test]
fn an_aborted_bootstrap_is_replaced_by_a_higher_epoch_only() {
    let mut state = fold(&[Entry::LineagePrepared { lineage: lineage() }, Entry::LineageStarted]);
    let again = state.apply(&envelope(Entry::LineagePrepared { lineage: lineage() }));
    assert_eq!(again.unwrap_err(), Rejected::EpochUsed(Epoch::new(1)));
    let next = Lineage { epoch: Epoch::new(2), ..lineage() };
    state.apply(&envelope(Entry::LineagePrepared { lineage: next })).unwrap();
    assert_eq!(state.lineage.unwrap().latch, Latch::Prepared);
}

/// R2
#[test]
fn the_latch_does_not_move_without_a_prepared_lineage() {
    for entry in [Entry::LineageStarted, Entry::LineageFormed] {
        let rejected = ControlState::default().apply(&envelope(entry)).unwrap_err();
        assert_eq!(rejected, Rejected::NotPrepared);
    }
}

#[test]
fn an_entry_of_a_newer_build_is_not_guessed_at() {
    let newer = Envelope { version: ENTRY_VERSION + 1, ..envelope(Entry::LineageFormed) };
    let mut state = ControlState::default();
    assert_eq!(state.apply(&newer).unwrap_err(), Rejected::TooNew(ENTRY_VERSION + 1));
    assert_eq!(state, ControlState::default());
}

#[test]
fn a_settled_goal_is_over_and_remembered() {
    let settled = Entry::Settled { outcome: Settlement::Held, reason: "interrupted".into() };
    let state = fold(&[Entry::Goal(Goal::Converge(Default::default())), settled]);
    assert_eq!(state.goal, None);
    assert_eq!(state.settled.unwrap().outcome, Settlement::Held);
}

#[test]
fn state_and_entries_survive_their_text_form() {
    let entries = [
        spec(0, "one"),
        Entry::Goal(Goal::Stop { nodes: ["n1".to_owned()].into() }),
        Entry::LineagePrepared { lineage: lineage() },
        Entry::Intent { step: "start n1".into(), reason: String::new(), direct: false },
        Entry::Outcome { done: true, text: "pid 3".into() },
        Entry::Wanted { node: "n1".into(), run: true },
        Entry::MemberSeen { node: "n1".into(), cluster: 5.into(), member: u64::MAX.into() },
        Entry::Placed { node: "n1".into(), data_dir: "/d".into(), wal_dir: None },
        Entry::Happened {
            node: "n1".into(),
            text: "ended".into(),
            restarts: 2,
            ended_run: Some(4),
        },
    ];
    for entry in &entries {
        let written = serde_json::to_vec(&envelope(entry.clone())).unwrap();
        let read: Envelope = serde_json::from_slice(&written).unwrap();
        assert_eq!(&read.entry, entry);
    }
    let state = fold(&entries);
    let written = serde_json::to_vec(&state).unwrap();
    assert_eq!(serde_json::from_slice::<ControlState>(&written).unwrap(), state);
    assert_eq!(state.node("n1").unwrap().member(), Some((5.into(), u64::MAX.into())));
}

#[test]
fn the_journal_keeps_the_newest_lines_only() {
    let mut state = ControlState::default();
    for number in 0..(JOURNAL_MAX + 5) {
        let text = number.to_string();
        let happened = Entry::Happened { node: String::new(), text, restarts: 0, ended_run: None };
        state.apply(&envelope(happened)).unwrap();
    }
    assert_eq!(state.journal.len(), JOURNAL_MAX);
    assert_eq!(state.journal.back().unwrap().text, (JOURNAL_MAX + 4).to_string());
}

#[test]
fn a_stopped_node_stays_stopped_until_somebody_wants_it() {
    let stop = Entry::Wanted { node: "n1".into(), run: false };
    let started = Entry::Wanted { node: "n2".into(), run: true };
    let mut state = fold(&[stop, started]);
    assert_eq!(state.stopped(), ["n1".to_owned()].into());
    let other = Goal::Start { nodes: ["n2".to_owned()].into() };
    state.apply(&envelope(Entry::Goal(other))).unwrap();
    assert_eq!(state.stopped(), ["n1".to_owned()].into());
    state.apply(&envelope(Entry::Goal(Goal::Converge(Default::default())))).unwrap();
    assert!(state.stopped().is_empty());
    assert!(state.is_wanted("n2") && !state.is_wanted("n1"));
}

fn formed() -> Vec<Entry> {
    vec![
        Entry::LineagePrepared { lineage: lineage() },
        Entry::LineageStarted,
        Entry::LineageFormed,
        Entry::MemberSeen { node: "n1".into(), cluster: 1.into(), member: 2.into() },
    ]
}

fn joined(node: &str, member: u64) -> Entry {
    let initial_cluster = vec![(node.to_owned(), vec!["http://127.0.0.1:2".to_owned()])];
    Entry::Joined { node: node.into(), member: member.into(), incarnation: 1, initial_cluster }
}

#[test]
fn a_node_that_joined_has_its_own_id_and_votes_once_promoted() {
    let mut state = fold(&formed());
    state.apply(&envelope(joined("n2", 7))).unwrap();
    let lineage = state.lineage().unwrap();
    assert_eq!(lineage.member("n2").unwrap().1.get(), 7);
    assert_eq!((lineage.members().count(), lineage.voters()), (2, 1));
    assert_eq!(lineage.initial_cluster_of("n2")[0].0, "n2");
    state.apply(&envelope(Entry::Promoted { node: "n2".into() })).unwrap();
    assert_eq!(state.lineage().unwrap().voters(), 2);
}

/// R17: the id of a member that left is never its node's again.
#[test]
fn what_left_is_forgotten_and_its_bootstrap_id_is_void() {
    let mut state = fold(&formed());
    let left = Entry::Left { node: "n1".into(), archived: Some("/archive/n1".into()) };
    state.apply(&envelope(left)).unwrap();
    assert_eq!(state.lineage().unwrap().member("n1"), None);
    assert_eq!(state.node("n1").unwrap().member(), None);
    assert_eq!(state.lineage().unwrap().members().count(), 0);
    state.apply(&envelope(joined("n1", 9))).unwrap();
    assert_eq!(state.lineage().unwrap().member("n1").unwrap().1.get(), 9);
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ControlState>(&text).unwrap(), state);
}

/// R2
#[test]
fn nobody_joins_a_cluster_that_was_not_formed() {
    let mut state = fold(&formed()[..2]);
    assert_eq!(state.apply(&envelope(joined("n2", 7))).unwrap_err(), Rejected::NotFormed);
}
