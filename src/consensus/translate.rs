//! Between etcd's messages and raft-rs's. By moves: payloads are shared, never copied.
//!
//! raft-rs numbers the kinds of configuration change otherwise than etcd, and a leader parses the
//! changes that are proposed to it. So inside raft-rs such an entry has empty data, which reads as
//! "add node 0", a change of nothing; etcd's bytes travel in `context`, a field that etcd's entries
//! do not have. `wire_entry` puts them back before an entry is written, sent or applied.

use bytes::Bytes;
use raft::eraftpb;
use wire::raftpb::{self, ConfChangeType, EntryType, MessageType};

/// An entry as raft-rs gets it. The type must be one of etcd's (see `inbound`).
pub(crate) fn raft_entry(entry: raftpb::Entry) -> eraftpb::Entry {
    let payload = entry.data.unwrap_or_default();
    let (entry_type, plain, context) = match EntryType::try_from(entry.r#type) {
        Ok(EntryType::EntryConfChange) => {
            (eraftpb::EntryType::EntryConfChange, Bytes::new(), payload)
        }
        Ok(EntryType::EntryConfChangeV2) => {
            (eraftpb::EntryType::EntryConfChangeV2, payload, Bytes::new())
        }
        Ok(EntryType::EntryNormal) | Err(_) => {
            (eraftpb::EntryType::EntryNormal, payload, Bytes::new())
        }
    };
    let (term, index) = (entry.term, entry.index);
    eraftpb::Entry { entry_type, term, index, data: plain, context, ..eraftpb::Entry::default() }
}

/// An entry as it is written, sent and applied.
pub(crate) fn wire_entry(entry: eraftpb::Entry) -> raftpb::Entry {
    let (kind, payload) = match entry.entry_type {
        eraftpb::EntryType::EntryNormal => (EntryType::EntryNormal, entry.data),
        eraftpb::EntryType::EntryConfChange => (EntryType::EntryConfChange, entry.context),
        eraftpb::EntryType::EntryConfChangeV2 => (EntryType::EntryConfChangeV2, entry.data),
    };
    raftpb::Entry { r#type: kind.into(), term: entry.term, index: entry.index, data: some(payload) }
}

/// A message that passed `inbound`; nothing if its type is none of etcd 3.5's.
pub(crate) fn raft_message(message: raftpb::Message) -> Option<eraftpb::Message> {
    let kind = MessageType::try_from(message.r#type).ok()?;
    let entries: Vec<_> = message.entries.into_iter().map(raft_entry).collect();
    let mut to = eraftpb::Message {
        msg_type: raft_type(kind),
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: entries.into(),
        commit: message.commit,
        reject: message.reject,
        context: message.context.unwrap_or_default(),
        ..eraftpb::Message::default()
    };
    if is_vote(to.msg_type) {
        to.commit_term = message.reject_hint;
    } else {
        to.reject_hint = message.reject_hint;
    }
    if kind == MessageType::MsgSnap {
        to.set_snapshot(raft_snapshot(message.snapshot));
    }
    Some(to)
}

/// A message as it goes out.
pub(crate) fn wire_message(mut message: eraftpb::Message) -> raftpb::Message {
    let snapshot = if message.msg_type == eraftpb::MessageType::MsgSnapshot {
        wire_snapshot(message.take_snapshot())
    } else {
        raftpb::Snapshot::default()
    };
    let is_vote = is_vote(message.msg_type);
    raftpb::Message {
        r#type: wire_type(message.msg_type).into(),
        to: message.to,
        from: message.from,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(wire_entry).collect(),
        commit: message.commit,
        snapshot,
        reject: message.reject,
        reject_hint: if is_vote { message.commit_term } else { message.reject_hint },
        context: some(message.context),
    }
}

fn is_vote(kind: eraftpb::MessageType) -> bool {
    matches!(
        kind,
        eraftpb::MessageType::MsgRequestVote
            | eraftpb::MessageType::MsgRequestVoteResponse
            | eraftpb::MessageType::MsgRequestPreVote
            | eraftpb::MessageType::MsgRequestPreVoteResponse
    )
}

fn raft_snapshot(snapshot: raftpb::Snapshot) -> eraftpb::Snapshot {
    let mut to = eraftpb::Snapshot::default();
    to.set_data(snapshot.data.unwrap_or_default());
    let metadata = to.mut_metadata();
    metadata.index = snapshot.metadata.index;
    metadata.term = snapshot.metadata.term;
    metadata.set_conf_state(raft_conf_state(snapshot.metadata.conf_state));
    to
}

pub(crate) fn wire_snapshot(mut snapshot: eraftpb::Snapshot) -> raftpb::Snapshot {
    let mut metadata = snapshot.take_metadata();
    raftpb::Snapshot {
        data: some(snapshot.data),
        metadata: raftpb::SnapshotMetadata {
            conf_state: wire_conf_state(metadata.take_conf_state()),
            index: metadata.index,
            term: metadata.term,
        },
    }
}

pub(crate) fn raft_conf_state(state: raftpb::ConfState) -> eraftpb::ConfState {
    eraftpb::ConfState {
        voters: state.voters,
        learners: state.learners,
        voters_outgoing: state.voters_outgoing,
        learners_next: state.learners_next,
        auto_leave: state.auto_leave,
        ..eraftpb::ConfState::default()
    }
}

/// Ids ascending: raft-rs keeps them in hash sets, and the same configuration must be the same
/// bytes on every member.
pub(crate) fn wire_conf_state(state: eraftpb::ConfState) -> raftpb::ConfState {
    let sorted = |mut ids: Vec<u64>| {
        ids.sort_unstable();
        ids
    };
    raftpb::ConfState {
        voters: sorted(state.voters),
        learners: sorted(state.learners),
        voters_outgoing: sorted(state.voters_outgoing),
        learners_next: sorted(state.learners_next),
        auto_leave: state.auto_leave,
    }
}

pub(crate) fn raft_hard_state(state: raftpb::HardState) -> eraftpb::HardState {
    let raftpb::HardState { term, vote, commit } = state;
    eraftpb::HardState { term, vote, commit, ..eraftpb::HardState::default() }
}

/// A change as raft-rs applies it. A refused one, an update and an unknown kind change nothing.
pub(crate) fn raft_change(change: Option<&raftpb::ConfChange>) -> eraftpb::ConfChangeV2 {
    let translated = change.and_then(|change| {
        let kind = match ConfChangeType::try_from(change.r#type) {
            Ok(ConfChangeType::ConfChangeAddNode) => eraftpb::ConfChangeType::AddNode,
            Ok(ConfChangeType::ConfChangeRemoveNode) => eraftpb::ConfChangeType::RemoveNode,
            Ok(ConfChangeType::ConfChangeAddLearnerNode) => eraftpb::ConfChangeType::AddLearnerNode,
            Ok(ConfChangeType::ConfChangeUpdateNode) | Err(_) => return None,
        };
        Some((kind, change.node_id))
    });
    let (change_type, node_id) = translated.unwrap_or((eraftpb::ConfChangeType::AddNode, 0));
    let single =
        eraftpb::ConfChangeSingle { change_type, node_id, ..eraftpb::ConfChangeSingle::default() };
    eraftpb::ConfChangeV2 { changes: vec![single].into(), ..eraftpb::ConfChangeV2::default() }
}

fn some(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}

/// Both enums name the same nineteen types; the tests compare their numbers.
macro_rules! message_types {
    ($($etcd:ident = $raft:ident),+ $(,)?) => {
        fn raft_type(kind: MessageType) -> eraftpb::MessageType {
            match kind { $(MessageType::$etcd => eraftpb::MessageType::$raft),+ }
        }

        fn wire_type(kind: eraftpb::MessageType) -> MessageType {
            match kind { $(eraftpb::MessageType::$raft => MessageType::$etcd),+ }
        }

        #[cfg(test)]
        const MESSAGE_TYPES: &[(MessageType, eraftpb::MessageType)] =
            &[$((MessageType::$etcd, eraftpb::MessageType::$raft)),+];
    };
}

message_types! {
    MsgHup = MsgHup,
    MsgBeat = MsgBeat,
    MsgProp = MsgPropose,
    MsgApp = MsgAppend,
    MsgAppResp = MsgAppendResponse,
    MsgVote = MsgRequestVote,
    MsgVoteResp = MsgRequestVoteResponse,
    MsgSnap = MsgSnapshot,
    MsgHeartbeat = MsgHeartbeat,
    MsgHeartbeatResp = MsgHeartbeatResponse,
    MsgUnreachable = MsgUnreachable,
    MsgSnapStatus = MsgSnapStatus,
    MsgCheckQuorum = MsgCheckQuorum,
    MsgTransferLeader = MsgTransferLeader,
    MsgTimeoutNow = MsgTimeoutNow,
    MsgReadIndex = MsgReadIndex,
    MsgReadIndexResp = MsgReadIndexResp,
    MsgPreVote = MsgRequestPreVote,
    MsgPreVoteResp = MsgRequestPreVoteResponse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_types_have_the_same_numbers_on_both_sides() {
        assert_eq!(MESSAGE_TYPES.len(), 19);
        for (etcd, raft) in MESSAGE_TYPES {
            assert_eq!(i32::from(*etcd), *raft as i32, "{etcd:?}");
        }
    }

    #[test]
    fn etcds_configuration_changes_pass_through_unchanged_and_unparsed() {
        for kind in 0..5 {
            let change = raftpb::ConfChange {
                id: 7,
                r#type: kind,
                node_id: 9,
                context: Some(Bytes::from_static(b"{}")),
            };
            let entry = raftpb::Entry {
                r#type: EntryType::EntryConfChange.into(),
                term: 2,
                index: 3,
                data: Some(prost::Message::encode_to_vec(&change).into()),
            };
            let inside = raft_entry(entry.clone());
            assert!(inside.data.is_empty(), "raft-rs would parse this");
            assert_eq!(wire_entry(inside), entry);
        }
    }

    #[test]
    fn kinds_of_change_are_translated_by_meaning() {
        let of = |kind| {
            let change = raftpb::ConfChange { id: 1, r#type: kind, node_id: 9, context: None };
            let mut to = raft_change(Some(&change));
            let single = to.take_changes().remove(0);
            (single.change_type, single.node_id)
        };
        assert_eq!(of(0), (eraftpb::ConfChangeType::AddNode, 9));
        assert_eq!(of(1), (eraftpb::ConfChangeType::RemoveNode, 9));
        assert_eq!(of(2), (eraftpb::ConfChangeType::AddNode, 0), "an update changes nothing");
        assert_eq!(of(3), (eraftpb::ConfChangeType::AddLearnerNode, 9));
        assert_eq!(of(17), (eraftpb::ConfChangeType::AddNode, 0));
    }
}
