//! What all members together did, and the promises of raft that it must keep.

use std::collections::BTreeMap;

use raft::{StateRole, Storage as _};
use wire::raftpb::{Entry, Message, MessageType};

use super::cluster::Member;

/// Everything seen since the cluster was made; never forgets.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By index: the entry that was applied there first.
    committed: BTreeMap<u64, Entry>,
    leaders: BTreeMap<u64, u64>,
    /// By term and voter.
    votes: BTreeMap<(u64, u64), u64>,
    terms: BTreeMap<u64, u64>,
}

impl History {
    /// Highest index that some member has applied.
    pub(super) fn committed(&self) -> u64 {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// Entry by index, as it was applied.
    pub(super) fn entry(&self, index: u64) -> Option<&Entry> {
        self.committed.get(&index)
    }

    /// The term at which the cluster arrived.
    pub(super) fn term(&self) -> u64 {
        self.terms.values().copied().max().unwrap_or_default()
    }

    /// Takes in what a member did in one step.
    pub(super) fn record(&mut self, member: &Member) {
        let outside = &mut *member.outside.lock();
        for entry in outside.applied.drain(..) {
            let first = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
            assert_eq!(*first, entry, "state machine safety: {} applied another", member.id);
        }
        let Some(owner) = &member.owner else { return };
        let raft = &owner.raw.raft;
        let known = self.terms.entry(member.id).or_default();
        assert!(raft.term >= *known, "terms never go back, not even over a crash");
        *known = raft.term;
        if raft.state == StateRole::Leader && !self.leaders.contains_key(&raft.term) {
            let log = raft.store();
            let first = log.first_index().expect("a log") - 1;
            for (index, entry) in self.committed.range(first.max(1)..) {
                let term = raft.raft_log.term(*index).ok();
                assert_eq!(term, Some(entry.term), "leader completeness: {}", member.id);
            }
        }
        if raft.state == StateRole::Leader {
            let leader = self.leaders.entry(raft.term).or_insert(member.id);
            assert_eq!(*leader, member.id, "election safety in term {}", raft.term);
        }
    }

    /// Takes in a message on its way.
    pub(super) fn record_message(&mut self, message: &Message) {
        if message.r#type() == MessageType::MsgVoteResp && !message.reject {
            let voted = self.votes.entry((message.term, message.from)).or_insert(message.to);
            assert_eq!(*voted, message.to, "{} votes once in a term", message.from);
        }
    }

    /// Log matching: where two logs have the same index and term, all before is the same.
    pub(super) fn compare_logs(&self, members: &BTreeMap<u64, Member>) {
        let logs: Vec<BTreeMap<u64, Entry>> = members.values().filter_map(Member::log).collect();
        for (at, one) in logs.iter().enumerate() {
            for other in &logs[..at] {
                let same = |(index, entry): &(&u64, &Entry)| {
                    other.get(index).is_some_and(|found| found.term == entry.term)
                };
                let Some((last, _)) = one.iter().rev().find(same) else { continue };
                for (index, entry) in one.range(..=*last) {
                    if let Some(found) = other.get(index) {
                        assert_eq!(found, entry, "log matching at {index}");
                    }
                }
            }
        }
    }
}
