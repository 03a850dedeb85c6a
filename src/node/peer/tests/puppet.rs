//! A member whose raft is played by hand, just enough to vote, follow, lead and forget.

use std::sync::atomic::Ordering;

use base::MemberId;
use bytes::Bytes;
use wire::raftpb::{self, Entry, MessageType};

use super::world::{Node, message};

/// Entries in one append.
const APPEND_ENTRIES_MAX: usize = 64;
/// Entries sent ahead of the acknowledged ones.
const WINDOW: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Says yes to everything.
    Follower,
    /// Wants votes.
    Candidate,
    Leader,
    /// A follower that has lost its log.
    Forgetful,
}

/// A raft of two members, this and a real one.
pub(super) struct Puppet {
    pub(super) node: Node,
    pub(super) peer: MemberId,
    pub(super) role: Role,
    pub(super) term: u64,
    /// The entry of index i stands at i - 1. The first two are the bootstrap's.
    pub(super) log: Vec<Entry>,
    /// What the peer has acknowledged.
    pub(super) matched: usize,
    /// How many messages of each kind came.
    pub(super) seen: [usize; 32],
    sent: usize,
    beat: tokio::time::Interval,
}

impl Puppet {
    pub(super) fn new(node: Node, peer: MemberId) -> Self {
        let entry = |index| Entry { r#type: 1, term: 1, index, data: None };
        Self {
            node,
            peer,
            role: Role::Follower,
            term: 1,
            log: vec![entry(1), entry(2)],
            matched: 0,
            seen: [0; 32],
            sent: 0,
            beat: tokio::time::interval(std::time::Duration::from_millis(100)),
        }
    }

    pub(super) fn seen(&self, kind: MessageType) -> usize {
        self.seen[usize::try_from(i32::from(kind)).unwrap()]
    }

    /// Adds an entry as leader.
    pub(super) fn propose(&mut self, payload: impl Into<Bytes>) {
        self.append(Some(payload.into()));
    }

    /// Asks the peer to campaign.
    pub(super) fn hand_over(&self) {
        self.send(self.message(MessageType::MsgTimeoutNow));
    }

    /// Plays until something holds.
    pub(super) async fn play_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let patience = std::time::Duration::from_secs(60);
        let deadline = tokio::time::Instant::now() + patience;
        while !holds(self) {
            assert!(tokio::time::Instant::now() < deadline, "waited {patience:?} until {what}");
            self.turn().await;
        }
    }

    /// Plays while something is awaited that needs a living member here.
    pub(super) async fn play_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.turn() => {}
            }
        }
    }

    /// Answers what came, sends what is due, and waits a little.
    pub(super) async fn turn(&mut self) {
        let came = std::mem::take(&mut *self.node.events.messages.lock());
        for message in came {
            self.seen[usize::try_from(message.r#type).unwrap()] += 1;
            self.take(&message);
        }
        if self.role == Role::Leader {
            self.replicate();
        }
        let due = tokio::time::timeout(std::time::Duration::from_millis(1), self.beat.tick()).await;
        if due.is_ok() {
            self.beat();
        }
    }

    fn beat(&mut self) {
        match self.role {
            Role::Leader => {
                let commit = u64::try_from(self.matched).unwrap();
                let beat = self.message(MessageType::MsgHeartbeat);
                self.send(raftpb::Message { commit, ..beat });
            }
            Role::Candidate => {
                self.term += 1;
                let last = self.log.last().unwrap();
                self.send(raftpb::Message {
                    index: last.index,
                    log_term: last.term,
                    // Also asked for while the peer has a leader.
                    context: Some(Bytes::from_static(b"CampaignTransfer")),
                    ..self.message(MessageType::MsgVote)
                });
            }
            Role::Follower | Role::Forgetful => {}
        }
    }

    fn take(&mut self, message: &raftpb::Message) {
        assert_eq!(message.from, self.peer.get());
        let kind = MessageType::try_from(message.r#type).unwrap();
        if message.term > self.term && kind != MessageType::MsgPreVote {
            self.term = message.term;
            if self.role != Role::Forgetful {
                self.role = Role::Follower;
            }
        }
        match (kind, self.role) {
            (MessageType::MsgPreVote, Role::Follower) => self.send(raftpb::Message {
                term: message.term,
                ..self.message(MessageType::MsgPreVoteResp)
            }),
            (MessageType::MsgVote, Role::Follower | Role::Forgetful) => {
                self.send(self.message(MessageType::MsgVoteResp));
            }
            (MessageType::MsgHeartbeat, Role::Follower | Role::Forgetful) => {
                let answer = self.message(MessageType::MsgHeartbeatResp);
                self.send(raftpb::Message { context: message.context.clone(), ..answer });
            }
            (MessageType::MsgApp, Role::Follower) => self.take_append(message),
            (MessageType::MsgApp, Role::Forgetful) => self.send(raftpb::Message {
                index: message.index,
                reject: true,
                ..self.message(MessageType::MsgAppResp)
            }),
            (MessageType::MsgVoteResp, Role::Candidate) if message.term == self.term => {
                assert!(!message.reject);
                self.role = Role::Leader;
                (self.matched, self.sent) = (0, self.log.len());
                self.append(None);
            }
            (MessageType::MsgAppResp, Role::Leader) => {
                assert!(!message.reject, "the peer's log does not fit: {message:?}");
                let index = usize::try_from(message.index).unwrap();
                self.matched = self.matched.max(index);
            }
            (MessageType::MsgProp, Role::Leader) => {
                for entry in &message.entries {
                    self.append(entry.data.clone());
                }
            }
            _ => {}
        }
    }

    fn take_append(&mut self, message: &raftpb::Message) {
        let before = usize::try_from(message.index).unwrap();
        assert!(before <= self.log.len(), "a gap in the log: {message:?}");
        if before > 0 {
            assert_eq!(self.log[before - 1].term, message.log_term, "{message:?}");
        }
        for (entry, index) in message.entries.iter().zip(message.index + 1..) {
            assert_eq!(entry.index, index, "the stream lost its place: {message:?}");
        }
        self.log.truncate(before);
        self.log.extend(message.entries.iter().cloned());
        let index = u64::try_from(self.log.len()).unwrap();
        let answer = self.message(MessageType::MsgAppResp);
        self.send(raftpb::Message { index, ..answer });
    }

    fn append(&mut self, data: Option<Bytes>) {
        let index = u64::try_from(self.log.len() + 1).unwrap();
        self.log.push(Entry { r#type: 0, term: self.term, index, data });
    }

    fn replicate(&mut self) {
        let end = self.log.len().min(self.matched.max(2) + WINDOW);
        while self.sent < end {
            let to = end.min(self.sent + APPEND_ENTRIES_MAX);
            let before = &self.log[self.sent - 1];
            self.send(raftpb::Message {
                index: before.index,
                log_term: before.term,
                entries: self.log[self.sent..to].to_vec(),
                commit: u64::try_from(self.matched).unwrap(),
                ..self.message(MessageType::MsgApp)
            });
            self.sent = to;
        }
    }

    fn message(&self, kind: MessageType) -> raftpb::Message {
        raftpb::Message { term: self.term, ..message(kind, self.node.id, self.peer) }
    }

    fn send(&self, message: raftpb::Message) {
        let lost = self.node.events.unreachable.load(Ordering::Relaxed);
        self.node.transport.send(vec![message]);
        if self.node.events.unreachable.load(Ordering::Relaxed) > lost {
            println!("a message was lost");
        }
    }
}
