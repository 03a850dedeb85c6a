//! Whatever a peer sends, nothing panics: at worst a member says that its log is lost.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use wire::raftpb::{ConfState, Entry, Message, MessageType, Snapshot, SnapshotMetadata};

use super::cluster::Cluster;
use crate::shared::Input;

/// Mostly near what is true, sometimes anything.
fn position() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..12, 1 => any::<u64>(), 1 => (u64::MAX - 3)..=u64::MAX]
}

fn id() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1_u64..5, 1 => Just(0), 1 => any::<u64>()]
}

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    option::of(vec(any::<u8>(), 0..20).prop_map(Bytes::from))
}

prop_compose! {
    fn entry()(kind in 0_i32..4, term in position(), index in position(), data in bytes())
        -> Entry
    {
        Entry { r#type: kind, term, index, data }
    }
}

prop_compose! {
    fn snapshot()(
        voters in vec(id(), 0..4),
        learners in vec(id(), 0..3),
        joint in option::weighted(0.1, vec(id(), 1..3)),
        index in position(),
        term in position(),
        data in bytes(),
    ) -> Snapshot {
        let voters_outgoing = joint.unwrap_or_default();
        let conf_state = ConfState { voters, learners, voters_outgoing, ..ConfState::default() };
        Snapshot { data, metadata: SnapshotMetadata { conf_state, index, term } }
    }
}

prop_compose! {
    fn message()(
        kind in -1_i32..22,
        (to, from) in (prop_oneof![9 => Just(1), 1 => id()], id()),
        (term, log_term, index, commit, reject_hint) in
            (position(), position(), position(), position(), position()),
        entries in vec(entry(), 0..4),
        consecutive in any::<bool>(),
        snapshot in snapshot(),
        reject in any::<bool>(),
        context in bytes(),
    ) -> Message {
        let mut message = Message {
            r#type: kind, to, from, term, log_term, index, entries, commit, snapshot, reject,
            reject_hint, context,
        };
        if consecutive {
            let mut next = index;
            for entry in &mut message.entries {
                next = next.wrapping_add(1);
                entry.index = next;
                entry.term = term;
            }
        }
        message
    }
}

/// What happens between messages.
#[derive(Debug, Clone)]
enum Event {
    Message(Box<Message>),
    Tick,
    Propose,
    Campaign,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => message().prop_map(|message| Event::Message(Box::new(message))),
        2 => Just(Event::Tick),
        1 => Just(Event::Propose),
        1 => Just(Event::Campaign),
    ]
}

/// Events in rounds: those of one round are taken together, as from a full inbox.
fn rounds() -> impl Strategy<Value = Vec<Vec<Event>>> {
    vec(vec(event(), 1..6), 1..12)
}

fn survive(voters: u64, leads: bool, rounds: Vec<Vec<Event>>) {
    let mut cluster = if leads { Cluster::led(voters, 60) } else { Cluster::new(voters, 60) };
    for events in rounds {
        cluster.act(1, |owner| {
            for event in events {
                match event {
                    Event::Message(message) => owner.handle(Input::Step(message))?,
                    Event::Tick => owner.tick()?,
                    Event::Propose => owner.handle(Input::Propose(Bytes::from_static(b"x")))?,
                    Event::Campaign => owner.handle(Input::Campaign)?,
                }
            }
            Ok(())
        });
        // Lies are told about history here; only panics and failures matter.
        cluster.forget();
        if let Some(failure) = &cluster.members[&1].failure {
            assert!(failure.contains("LogLost"), "{failure}");
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_follower_survives_any_message(rounds in rounds()) {
        survive(3, false, rounds);
    }

    #[test]
    fn a_leader_survives_any_message(rounds in rounds()) {
        survive(3, true, rounds);
    }

    #[test]
    fn a_single_voter_survives_any_message(rounds in rounds()) {
        survive(1, true, rounds);
    }
}

#[test]
fn the_messages_that_make_raft_panic_are_dropped() {
    let mut cluster = Cluster::led(3, 61);
    let of = |kind: MessageType| Message {
        r#type: kind.into(),
        to: 1,
        from: 2,
        term: 2,
        ..Message::default()
    };
    let malformed = [
        of(MessageType::MsgProp),
        of(MessageType::MsgReadIndex),
        of(MessageType::MsgHup),
        of(MessageType::MsgCheckQuorum),
        Message { index: u64::MAX, ..of(MessageType::MsgAppResp) },
        Message { reject: true, reject_hint: u64::MAX, index: 3, ..of(MessageType::MsgAppResp) },
        Message { term: u64::MAX, ..of(MessageType::MsgHeartbeat) },
        Message { term: 9, index: 50, ..of(MessageType::MsgApp) },
        Message { term: 9, ..of(MessageType::MsgSnap) },
    ];
    for message in malformed {
        cluster.input(1, Input::Step(Box::new(message)));
        assert_eq!(cluster.members[&1].failure, None);
    }
    assert_eq!(cluster.leader(), Some(1), "none of them deposed the leader");
}
