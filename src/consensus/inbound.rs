//! What a message of another member must be like before raft-rs sees it. raft-rs trusts its
//! peers: many a malformed message would make it panic, or worse, count what nobody has.
//!
//! Pure: the verdict depends on the message and on a few facts of the receiver.

use wire::raftpb::{ConfState, Entry, EntryType, Message, MessageType};

/// No honest term, index or clock of requests comes near this; sums below it cannot overflow.
const POSITION_MAX: u64 = u64::MAX >> 1;
/// Longest context of a read request. etcd's have 8 bytes.
const READ_CONTEXT_BYTES_MAX: usize = 1024;

/// What the receiver knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiver {
    pub(crate) id: u64,
    pub(crate) term: u64,
    pub(crate) last_index: u64,
    pub(crate) is_leader: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Raft gets it.
    Step,
    /// It is proper and means nothing here: a link's heartbeat, or it came too late.
    Ignore,
    /// Drop it and say why.
    Malformed(&'static str),
    /// A leader's heartbeat that counts on entries that are not there.
    BeyondLog,
}

/// Judges a message.
pub(crate) fn judge(message: &Message, receiver: Receiver) -> Verdict {
    let Ok(kind) = MessageType::try_from(message.r#type) else {
        return Verdict::Malformed("its type is unknown");
    };
    if kind == MessageType::MsgHeartbeat && message.from == 0 && message.to == 0 {
        return Verdict::Ignore;
    }
    match envelope(message, kind, receiver).and_then(|()| content(message, kind, receiver)) {
        Err(reason) => Verdict::Malformed(reason),
        Ok(()) if kind == MessageType::MsgTransferLeader && !receiver.is_leader => Verdict::Ignore,
        Ok(()) if heartbeat_beyond_log(message, kind, receiver) => Verdict::BeyondLog,
        Ok(()) => Verdict::Step,
    }
}

/// Proposals and read requests are passed on by members of any term: theirs is always 0.
pub(crate) fn is_termless(kind: MessageType) -> bool {
    matches!(kind, MessageType::MsgProp | MessageType::MsgReadIndex)
}

fn envelope(message: &Message, kind: MessageType, receiver: Receiver) -> Result<(), &'static str> {
    if message.from == 0 {
        return Err("it has no sender");
    }
    if message.to != receiver.id {
        return Err("it is for another member");
    }
    if message.from == receiver.id {
        return Err("it claims to come from its receiver");
    }
    if message.term == 0 && !is_termless(kind) {
        return Err("it has no term");
    }
    let positions =
        [message.term, message.log_term, message.index, message.commit, message.reject_hint];
    if positions.iter().any(|position| *position > POSITION_MAX) {
        return Err("a position is out of range");
    }
    Ok(())
}

fn content(message: &Message, kind: MessageType, receiver: Receiver) -> Result<(), &'static str> {
    match kind {
        MessageType::MsgProp => proposal(message),
        MessageType::MsgApp => append(message),
        MessageType::MsgAppResp => append_response(message, receiver),
        MessageType::MsgVote | MessageType::MsgPreVote => last_entry(message),
        MessageType::MsgSnap => snapshot(message),
        MessageType::MsgReadIndex | MessageType::MsgReadIndexResp => read(message),
        MessageType::MsgVoteResp
        | MessageType::MsgPreVoteResp
        | MessageType::MsgHeartbeat
        | MessageType::MsgHeartbeatResp
        | MessageType::MsgTransferLeader
        | MessageType::MsgTimeoutNow => Ok(()),
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum => Err("its type is local to a member"),
    }
}

fn proposal(message: &Message) -> Result<(), &'static str> {
    if message.entries.is_empty() {
        return Err("it proposes nothing");
    }
    // A type-2 change stops every etcd that applies it.
    let proposable = |entry: &Entry| {
        matches!(
            EntryType::try_from(entry.r#type),
            Ok(EntryType::EntryNormal | EntryType::EntryConfChange)
        )
    };
    if message.entries.iter().all(proposable) { Ok(()) } else { Err("an entry's type is unknown") }
}

fn append(message: &Message) -> Result<(), &'static str> {
    last_entry(message)?;
    let (mut index, mut term) = (message.index, message.log_term);
    for entry in &message.entries {
        index += 1;
        if entry.index != index {
            return Err("its entries are not consecutive");
        }
        if entry.term < term || entry.term == 0 || entry.term > message.term {
            return Err("its entries' terms are not in order");
        }
        if EntryType::try_from(entry.r#type).is_err() {
            return Err("an entry's type is unknown");
        }
        term = entry.term;
    }
    Ok(())
}

/// `index` and `log_term` must be those of an entry, or of the empty log.
fn last_entry(message: &Message) -> Result<(), &'static str> {
    if (message.index == 0) != (message.log_term == 0) {
        return Err("an index without a term, or a term without an index");
    }
    if message.log_term > message.term {
        return Err("an entry's term is above the message's");
    }
    Ok(())
}

/// raft-rs would count an acknowledgement of entries that were never sent.
fn append_response(message: &Message, receiver: Receiver) -> Result<(), &'static str> {
    let counts = receiver.is_leader && message.term == receiver.term && !message.reject;
    if counts && message.index > receiver.last_index {
        return Err("it acknowledges entries that do not exist");
    }
    Ok(())
}

fn snapshot(message: &Message) -> Result<(), &'static str> {
    let metadata = &message.snapshot.metadata;
    if metadata.index == 0 || metadata.term == 0 {
        return Err("its snapshot is empty");
    }
    if metadata.index > POSITION_MAX || metadata.term > message.term {
        return Err("its snapshot's position is out of range");
    }
    conf_state(&metadata.conf_state)
}

/// Whether raft-rs can restore a configuration (it panics otherwise). etcd has no joint ones.
pub(crate) fn conf_state(state: &ConfState) -> Result<(), &'static str> {
    if state.voters.is_empty() {
        return Err("a configuration without voters");
    }
    if state.auto_leave || !state.voters_outgoing.is_empty() || !state.learners_next.is_empty() {
        return Err("a joint configuration");
    }
    let mut ids: Vec<u64> = state.voters.iter().chain(&state.learners).copied().collect();
    ids.sort_unstable();
    let distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
    if !distinct || ids.first() == Some(&0) {
        return Err("a configuration with a member twice, or with member 0");
    }
    Ok(())
}

fn read(message: &Message) -> Result<(), &'static str> {
    let [entry] = message.entries.as_slice() else {
        return Err("a read has one entry");
    };
    let bytes = entry.data.as_ref().map_or(0, bytes::Bytes::len);
    if bytes == 0 || bytes > READ_CONTEXT_BYTES_MAX {
        return Err("a read's context is empty or too long");
    }
    Ok(())
}

/// A leader says at most what the receiver acknowledged in this term, so an honest heartbeat is
/// beyond the log only if the log lost something.
fn heartbeat_beyond_log(message: &Message, kind: MessageType, receiver: Receiver) -> bool {
    kind == MessageType::MsgHeartbeat
        && message.commit > receiver.last_index
        && (message.term > receiver.term || message.term == receiver.term && !receiver.is_leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVER: Receiver = Receiver { id: 1, term: 5, last_index: 10, is_leader: false };

    fn message(kind: MessageType) -> Message {
        Message { r#type: kind.into(), to: 1, from: 2, term: 5, ..Message::default() }
    }

    fn entry(index: u64, term: u64) -> Entry {
        Entry { r#type: 0, term, index, data: None }
    }

    #[test]
    fn heartbeats_of_a_link_are_ignored_without_a_word() {
        let link = Message { r#type: MessageType::MsgHeartbeat.into(), ..Message::default() };
        assert_eq!(judge(&link, RECEIVER), Verdict::Ignore);
    }

    #[test]
    fn local_types_are_refused_from_outside() {
        use MessageType::{MsgBeat, MsgCheckQuorum, MsgHup, MsgSnapStatus, MsgUnreachable};
        for kind in [MsgHup, MsgBeat, MsgUnreachable, MsgSnapStatus, MsgCheckQuorum] {
            assert!(matches!(judge(&message(kind), RECEIVER), Verdict::Malformed(_)), "{kind:?}");
        }
        let later = Message { r#type: 19, ..message(MsgHup) };
        assert!(matches!(judge(&later, RECEIVER), Verdict::Malformed(_)));
    }

    #[test]
    fn entries_must_follow_each_other_in_index_and_term() {
        let append = |log_term, entries| Message {
            index: 7,
            log_term,
            entries,
            ..message(MessageType::MsgApp)
        };
        let good = append(3, vec![entry(8, 3), entry(9, 5)]);
        assert_eq!(judge(&good, RECEIVER), Verdict::Step);
        for bad in [
            append(3, vec![entry(9, 3)]),
            append(3, vec![entry(8, 3), entry(8, 3)]),
            append(3, vec![entry(8, 4), entry(9, 3)]),
            append(3, vec![entry(8, 6)]),
            append(3, vec![entry(8, 0)]),
            append(0, vec![]),
            append(6, vec![]),
        ] {
            assert!(matches!(judge(&bad, RECEIVER), Verdict::Malformed(_)), "{bad:?}");
        }
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_does_not_count() {
        let leader = Receiver { is_leader: true, ..RECEIVER };
        let response = |index| Message { index, ..message(MessageType::MsgAppResp) };
        assert_eq!(judge(&response(10), leader), Verdict::Step);
        assert!(matches!(judge(&response(11), leader), Verdict::Malformed(_)));
    }

    #[test]
    fn a_heartbeat_beyond_the_log_is_told_from_a_malformed_one() {
        let heartbeat = |commit| Message { commit, ..message(MessageType::MsgHeartbeat) };
        assert_eq!(judge(&heartbeat(10), RECEIVER), Verdict::Step);
        assert_eq!(judge(&heartbeat(11), RECEIVER), Verdict::BeyondLog);
        let stale = Message { term: 4, ..heartbeat(11) };
        assert_eq!(judge(&stale, RECEIVER), Verdict::Step, "raft answers it by its own term");
    }

    #[test]
    fn snapshots_need_a_position_and_a_configuration_that_can_be_restored() {
        let with = |index, voters: &[u64], learners: &[u64]| {
            let mut snap = message(MessageType::MsgSnap);
            snap.snapshot.metadata.index = index;
            snap.snapshot.metadata.term = 3;
            snap.snapshot.metadata.conf_state.voters = voters.to_vec();
            snap.snapshot.metadata.conf_state.learners = learners.to_vec();
            judge(&snap, RECEIVER)
        };
        assert_eq!(with(20, &[1, 2], &[3]), Verdict::Step);
        for bad in [
            with(0, &[1], &[]),
            with(20, &[], &[1]),
            with(20, &[1, 1], &[]),
            with(20, &[1], &[1]),
            with(20, &[0, 1], &[]),
        ] {
            assert!(matches!(bad, Verdict::Malformed(_)));
        }
    }
}
