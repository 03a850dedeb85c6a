//! What reaches the owner: inputs, ticks and errands.

use raft::SnapshotStatus;
use raft::eraftpb::{self, Entry, EntryType};
use wire::raftpb::{self, MessageType};

use super::{Owner, Step};
use crate::{
    ConsensusError, Host,
    inbound::{self, Receiver, Verdict},
    shared::Input,
    translate::{raft_entry, raft_message},
};

/// Read requests that may wait for their quorum on a leader; more are dropped.
const READS_PENDING_MAX: usize = 10_000;

impl<H: Host> Owner<H> {
    /// Takes one input. What follows from it happens in [`Owner::work`].
    pub(crate) fn handle(&mut self, input: Input) -> Step {
        match input {
            Input::Propose(payload) => {
                let entry = Entry { data: payload, ..Entry::default() };
                self.proposals.add(entry, self.ticks);
            }
            Input::ProposeConfChange(change) => {
                let entry_type = EntryType::EntryConfChange;
                let entry = Entry { entry_type, context: change, ..Entry::default() };
                self.proposals.add(entry, self.ticks);
            }
            Input::ReadIndex(context) => {
                let entry = Entry { data: context, ..Entry::default() };
                self.step(eraftpb::Message {
                    msg_type: eraftpb::MessageType::MsgReadIndex,
                    entries: vec![entry].into(),
                    ..eraftpb::Message::default()
                });
            }
            Input::Step(message) => self.receive(*message)?,
            Input::TransferLeader(to) => self.raw.transfer_leader(to),
            Input::Unreachable(id) => self.raw.report_unreachable(id),
            Input::Campaign => self.campaign()?,
            Input::AdvanceTicks(ticks) => {
                for _ in 0..ticks.min(self.raw.raft.election_timeout()) {
                    self.settle()?;
                    self.raw.tick();
                }
            }
            Input::Wake => self.run_errands()?,
        }
        Ok(())
    }

    /// One tick of raft's time.
    pub(crate) fn tick(&mut self) -> Step {
        self.settle()?;
        self.save_commit()?;
        self.ticks += 1;
        self.raw.tick();
        self.say_farewell();
        let patience = u64::try_from(self.raw.raft.election_timeout()).unwrap_or(u64::MAX);
        self.proposals.expire(self.ticks, patience);
        self.run_errands()?;
        self.sample = true;
        Ok(())
    }

    /// Elects this member without waiting, if no other has a vote.
    pub(crate) fn campaign_if_alone(&mut self) -> Step {
        if self.raw.raft.prs().is_singleton() { self.campaign() } else { Ok(()) }
    }

    /// raft-rs does not look here whether this member has a vote.
    fn campaign(&mut self) -> Step {
        self.settle()?;
        if self.raw.raft.promotable()
            && let Err(error) = self.raw.campaign()
        {
            tracing::debug!(%error, "no election");
        }
        Ok(())
    }

    /// Before an election may begin or end, what happened before it must be durable: raft-rs
    /// panics if a leader is elected with entries that are not, and the leader's messages are not
    /// held back, among which a vote of an earlier term could be.
    pub(super) fn settle(&mut self) -> Step {
        let raft = &self.raw.raft;
        let log = &raft.raft_log;
        let durable = log.unstable_entries().is_empty()
            && log.unstable_snapshot().is_none()
            && raft.term == self.saved.term
            && raft.vote == self.saved.vote;
        if durable {
            return Ok(());
        }
        while self.work()? {}
        Ok(())
    }

    fn receive(&mut self, message: raftpb::Message) -> Step {
        let raft = &self.raw.raft;
        let receiver = Receiver {
            id: raft.id,
            term: raft.term,
            last_index: raft.raft_log.last_index(),
            is_leader: raft.state == raft::StateRole::Leader,
        };
        match inbound::judge(&message, receiver) {
            Verdict::Step => self.receive_proper(message),
            Verdict::Ignore => Ok(()),
            Verdict::Malformed(reason) => {
                refused(&message, reason);
                Ok(())
            }
            // R17: what this member acknowledged is gone, so its vote may undo what is committed.
            Verdict::BeyondLog => {
                let (leader, commit, last) = (message.from, message.commit, receiver.last_index);
                Err(ConsensusError::LogLost { leader, commit, last }.into())
            }
        }
    }

    fn receive_proper(&mut self, message: raftpb::Message) -> Step {
        let kind = message.r#type();
        match kind {
            MessageType::MsgProp => {
                for entry in message.entries {
                    self.proposals.add(raft_entry(entry), self.ticks);
                }
                return Ok(());
            }
            MessageType::MsgSnap if self.contradicts(&message.snapshot.metadata) => {
                refused(&message, "its snapshot contradicts what is committed");
                return Ok(());
            }
            MessageType::MsgTimeoutNow | MessageType::MsgVoteResp | MessageType::MsgPreVoteResp => {
                self.settle()?;
            }
            _ => {}
        }
        let Some(mut message) = raft_message(message) else { return Ok(()) };
        if inbound::is_termless(kind) {
            message.term = 0;
        }
        self.step(message);
        Ok(())
    }

    /// raft-rs would restore a snapshot at its commit index if the terms differ.
    fn contradicts(&self, snapshot: &raftpb::SnapshotMetadata) -> bool {
        let log = &self.raw.raft.raft_log;
        snapshot.index == log.committed && !log.match_term(snapshot.index, snapshot.term)
    }

    fn step(&mut self, message: eraftpb::Message) {
        if message.msg_type == eraftpb::MessageType::MsgReadIndex
            && self.raw.raft.pending_read_count() >= READS_PENDING_MAX
        {
            tracing::debug!("too many reads wait for a quorum; one is dropped");
            return;
        }
        let result = if message.from == 0 || message.from == self.raw.raft.id {
            self.raw.raft.step(message)
        } else {
            self.raw.step(message)
        };
        if let Err(error) = result {
            tracing::debug!(%error, "raft did not take a message");
        }
    }

    fn run_errands(&mut self) -> Step {
        let errands = self.shared.take_errands();
        for (id, ok) in errands.sent {
            let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
            self.raw.report_snapshot(id, status);
        }
        if let Some(mark) = errands.saved {
            self.mark_saved(&mark)?;
        }
        if let Some(index) = errands.compact_to {
            let index = index.min(self.shared.applied()).min(self.raw.raft.raft_log.applied);
            self.raw.mut_store().compact(index);
        }
        Ok(())
    }
}

fn refused(message: &raftpb::Message, reason: &str) {
    let (kind, from, term) = (message.r#type, message.from, message.term);
    tracing::warn!(
        kind,
        from = format_args!("{from:x}"),
        term,
        reason,
        "a raft message is dropped"
    );
}
