//! Configuration changes: applied by raft when the apply thread has judged them.

use std::{mem, time::Duration};

use crossbeam_channel::RecvTimeoutError;
use raft::{
    INVALID_ID, StateRole,
    eraftpb::{Message, MessageType},
};
use wire::raftpb;

use super::{Halt, Owner, Step};
use crate::{
    Host,
    translate::{raft_change, wire_conf_state},
};

/// How often a waiting owner looks whether it was told to end.
const POLL: Duration = Duration::from_millis(50);
/// After this many looks it says what it waits for.
const POLLS_BEFORE_WARNING: u32 = 60;

/// The commit index, for the members a removed leader leaves behind. Its term has no other leader.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    messages: Vec<Message>,
    /// How often it is still said.
    ticks: usize,
}

impl<H: Host> Owner<H> {
    /// Waits for the verdict on the change at `index` and applies it. Returns what this member has
    /// to say if it led until now.
    pub(super) fn await_change(&mut self, index: u64) -> Step<Vec<Message>> {
        let mut polls: u32 = 0;
        let verdict = loop {
            match self.changes.recv_timeout(POLL) {
                Ok(verdict) => break verdict,
                Err(RecvTimeoutError::Disconnected) => return Err(Halt::Stopped),
                Err(RecvTimeoutError::Timeout) => {
                    if self.shared.stopping() {
                        return Err(Halt::Stopped);
                    }
                    polls = polls.saturating_add(1);
                    if polls == POLLS_BEFORE_WARNING {
                        tracing::warn!(
                            index,
                            "raft waits for a configuration change to be applied"
                        );
                    }
                }
            }
        };
        let state = self.apply_change(verdict.change.as_ref(), index);
        // An apply thread that has left needs no answer.
        drop(verdict.reply.send(state));
        Ok(self.step_down_if_removed())
    }

    fn apply_change(
        &mut self,
        change: Option<&raftpb::ConfChange>,
        index: u64,
    ) -> raftpb::ConfState {
        let state = match self.raw.apply_conf_change(&raft_change(change)) {
            Ok(state) => state,
            Err(error) => {
                if change.is_some() {
                    tracing::error!(index, %error, "raft cannot apply a configuration change");
                }
                self.raw.store().conf_state().clone()
            }
        };
        self.raw.mut_store().set_conf_state(state.clone(), index);
        self.sample = true;
        self.unwitnessed = true;
        wire_conf_state(state)
    }

    /// raft-rs panics when a leader without a vote commits or writes one more entry. What it has
    /// to say still leaves: the others learn from it that the change is committed.
    fn step_down_if_removed(&mut self) -> Vec<Message> {
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader || raft.promotable() {
            return Vec::new();
        }
        let last_words = mem::take(&mut raft.msgs);
        let (from, term, committed) = (raft.id, raft.term, raft.raft_log.committed);
        let heartbeat = |(to, peer): (&u64, &raft::Progress)| Message {
            msg_type: MessageType::MsgHeartbeat,
            to: *to,
            from,
            term,
            commit: peer.matched.min(committed),
            ..Message::default()
        };
        let others = raft.prs().iter().filter(|(id, _)| **id != from);
        self.farewell.messages = others.map(heartbeat).collect();
        self.farewell.ticks = raft.election_timeout();
        raft.become_follower(term, INVALID_ID);
        tracing::info!("this member leads no more: it lost its vote");
        last_words
    }

    /// Repeats what a leader that lost its vote has to say, for an election timeout: were its last
    /// messages lost, the others might wait for its vote for ever.
    pub(super) fn say_farewell(&mut self) {
        let raft = &self.raw.raft;
        let still = self.farewell.ticks > 0 && raft.leader_id == INVALID_ID;
        if !still || self.farewell.messages.iter().any(|message| message.term != raft.term) {
            self.farewell = Farewell::default();
            return;
        }
        self.farewell.ticks -= 1;
        self.send(self.farewell.messages.clone());
    }
}
