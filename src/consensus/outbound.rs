//! Messages on their way out: what a later one makes superfluous is left out, the rest translated.

use raft::eraftpb::{Message, MessageType};
use wire::raftpb;

use crate::translate::wire_message;

/// Translates messages that leave together, in order. Of several acknowledgements to one member
/// only the last goes out, as etcd does it; so does an append without entries (it tells the commit
/// index) that another append follows.
pub(crate) fn translate(mut messages: Vec<Message>) -> Vec<raftpb::Message> {
    if messages.len() > 1 {
        drop_superseded(&mut messages);
    }
    messages.into_iter().map(wire_message).collect()
}

fn drop_superseded(messages: &mut Vec<Message>) {
    let (mut answered, mut appended): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut superseded = vec![false; messages.len()];
    for (message, superseded) in messages.iter().zip(&mut superseded).rev() {
        let later = match message.msg_type {
            MessageType::MsgAppendResponse => &mut answered,
            MessageType::MsgAppend => &mut appended,
            _ => continue,
        };
        if later.contains(&message.to) {
            *superseded = match message.msg_type {
                MessageType::MsgAppend => message.entries.is_empty(),
                _ => true,
            };
        } else {
            later.push(message.to);
        }
    }
    let mut superseded = superseded.into_iter();
    messages.retain(|_| !superseded.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: MessageType, to: u64, index: u64, entries: usize) -> Message {
        let entries = vec![raft::eraftpb::Entry::default(); entries].into();
        Message { msg_type: kind, to, index, entries, ..Message::default() }
    }

    #[test]
    fn only_the_last_acknowledgement_and_no_idle_append_before_another_leaves() {
        use MessageType::{MsgAppend, MsgAppendResponse, MsgHeartbeat};
        let sent = translate(vec![
            message(MsgAppendResponse, 2, 1, 0),
            message(MsgAppend, 2, 2, 0),
            message(MsgAppend, 3, 3, 0),
            message(MsgHeartbeat, 2, 4, 0),
            message(MsgAppend, 2, 5, 1),
            message(MsgAppend, 2, 6, 1),
            message(MsgAppendResponse, 2, 7, 0),
            message(MsgAppendResponse, 3, 8, 0),
        ]);
        let indexes: Vec<u64> = sent.iter().map(|message| message.index).collect();
        assert_eq!(indexes, [3, 4, 5, 6, 7, 8]);
    }
}
