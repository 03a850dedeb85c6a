//! A host that applies at once, and the state machine it applies to.

use std::{collections::BTreeMap, sync::Arc};

use base::{Index, Term};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use prost::Message as _;
use wire::raftpb::{
    self, ConfChange, ConfChangeType, ConfState, Entry, EntryType, SnapshotMetadata,
};

use crate::{
    Apply, Configured, ConsensusError, Host, ReadState, Witness, WitnessError,
    shared::{ChangeApplied, Shared},
};

/// The replicated state: the numbers proposed, and who is a member (`true`: a learner).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) values: Vec<u64>,
    pub(super) members: BTreeMap<u64, bool>,
}

impl Machine {
    pub(super) fn conf_state(&self) -> ConfState {
        let ids = |learner: bool| {
            self.members
                .iter()
                .filter(|member| *member.1 == learner)
                .map(|member| *member.0)
                .collect()
        };
        ConfState { voters: ids(false), learners: ids(true), ..ConfState::default() }
    }

    pub(super) fn snapshot(&self) -> raftpb::Snapshot {
        let data: Vec<u8> = self.values.iter().flat_map(|value| value.to_be_bytes()).collect();
        let metadata =
            SnapshotMetadata { conf_state: self.conf_state(), index: self.index, term: self.term };
        raftpb::Snapshot { data: Some(data.into()), metadata }
    }

    pub(super) fn restore(snapshot: &raftpb::Snapshot) -> Self {
        let bytes = snapshot.data.clone().unwrap_or_default();
        let value = |chunk: &[u8]| u64::from_be_bytes(chunk.try_into().expect("8 bytes"));
        let conf = &snapshot.metadata.conf_state;
        let voters = conf.voters.iter().map(|id| (*id, false));
        Self {
            index: snapshot.metadata.index,
            term: snapshot.metadata.term,
            values: bytes.chunks_exact(8).map(value).collect(),
            members: voters.chain(conf.learners.iter().map(|id| (*id, true))).collect(),
        }
    }

    /// Judges a change as etcd does at apply, and follows it.
    fn change(&mut self, change: &ConfChange) -> bool {
        let id = change.node_id;
        let voters = self.members.values().filter(|learner| !**learner).count();
        let accepted = match ConfChangeType::try_from(change.r#type) {
            Ok(ConfChangeType::ConfChangeAddNode) => self.members.get(&id) != Some(&false),
            Ok(ConfChangeType::ConfChangeAddLearnerNode) => !self.members.contains_key(&id),
            Ok(ConfChangeType::ConfChangeRemoveNode) => {
                self.members.get(&id).is_some_and(|learner| *learner || voters > 1)
            }
            Ok(ConfChangeType::ConfChangeUpdateNode) => self.members.contains_key(&id),
            Err(_) => false,
        } && id != 0;
        if accepted {
            match change.r#type() {
                ConfChangeType::ConfChangeAddNode => _ = self.members.insert(id, false),
                ConfChangeType::ConfChangeAddLearnerNode => _ = self.members.insert(id, true),
                ConfChangeType::ConfChangeRemoveNode => _ = self.members.remove(&id),
                ConfChangeType::ConfChangeUpdateNode => {}
            }
        }
        accepted
    }
}

/// What a member's owner has told the world.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) machine: Machine,
    pub(super) sent: Vec<raftpb::Message>,
    pub(super) reads: Vec<ReadState>,
    /// Everything applied in this life, for the history to compare.
    pub(super) applied: Vec<Entry>,
    pub(super) stopped: Option<Result<(), String>>,
    /// Verdicts sent, and what the members must be after them.
    verdicts: Vec<(ConfState, Receiver<ConfState>)>,
    /// In which order changes were applied and messages left.
    pub(super) order: Vec<&'static str>,
    /// Says that there is no room in the apply queue.
    pub(super) crowded: bool,
    /// What the witness has noted.
    pub(super) noted: Noted,
}

/// Notes on another disk, as they are in this life of the member.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) term: Term,
    pub(super) index: Index,
    pub(super) configurations: Vec<Configured>,
    /// That disk is broken.
    pub(super) fails: bool,
}

impl Noted {
    fn outcome(&self) -> Result<(), WitnessError> {
        if self.fails { Err(WitnessError("the other disk is broken".to_owned())) } else { Ok(()) }
    }

    /// Nothing is acknowledged that was not noted before (R17).
    fn compare(&self, message: &raftpb::Message) {
        let (kind, accepts) = (message.r#type(), !message.reject);
        let acknowledges = kind == raftpb::MessageType::MsgAppResp && accepts;
        if acknowledges {
            assert!(message.index <= self.index.get(), "{message:?} is beyond {self:?}");
        }
        if acknowledges || kind == raftpb::MessageType::MsgVoteResp && accepts {
            assert!(message.term <= self.term.get(), "{message:?} is beyond {self:?}");
        }
    }
}

impl Witness for SimHost {
    fn reserve(&mut self, term: Term, index: Index) -> Result<(), WitnessError> {
        let noted = &mut self.outside.lock().noted;
        noted.outcome()?;
        noted.term = noted.term.max(term);
        noted.index = noted.index.max(index);
        Ok(())
    }

    fn configurations(&mut self, all: &[Configured]) -> Result<(), WitnessError> {
        let noted = &mut self.outside.lock().noted;
        noted.outcome()?;
        noted.configurations = all.to_vec();
        Ok(())
    }
}

impl Outside {
    pub(super) fn starting_at(machine: Machine) -> Self {
        Self { machine, ..Self::default() }
    }

    /// Raft and the machine must agree on who is a member.
    pub(super) fn compare_members(&mut self) {
        for (expected, answer) in self.verdicts.drain(..) {
            assert_eq!(answer.try_recv(), Ok(expected), "raft applied the change in time");
        }
    }
}

/// The host; the test keeps the other end of `outside`.
#[derive(Debug)]
pub(super) struct SimHost {
    pub(super) outside: Arc<Mutex<Outside>>,
    pub(super) shared: Arc<Shared>,
    pub(super) changes: Sender<ChangeApplied>,
}

impl Host for SimHost {
    fn send(&mut self, messages: Vec<raftpb::Message>) {
        let mut outside = self.outside.lock();
        // The trap of surface E.4 row 23: no message of a ready leaves before its changes apply.
        outside.compare_members();
        outside.order.push("messages");
        for mut message in messages {
            outside.noted.compare(&message);
            if message.r#type() == raftpb::MessageType::MsgSnap {
                let requested = message.snapshot.metadata.index;
                message.snapshot = outside.machine.snapshot();
                assert!(message.snapshot.metadata.index >= requested, "asked for what is applied");
            }
            outside.sent.push(message);
        }
    }

    fn apply(&mut self, work: Apply) {
        let mut outside = self.outside.lock();
        let entries = match work {
            Apply::Entries(entries) => entries,
            Apply::Snapshot(snapshot) => {
                assert!(snapshot.metadata.index > outside.machine.index, "a snapshot goes forward");
                outside.machine = Machine::restore(&snapshot);
                Vec::new()
            }
        };
        for entry in entries {
            assert_eq!(entry.index, outside.machine.index + 1, "entries come without a gap");
            outside.machine.index = entry.index;
            outside.machine.term = entry.term;
            let payload = entry.data.clone().unwrap_or_default();
            if entry.r#type() == EntryType::EntryConfChange {
                self.judge(&mut outside, payload);
            } else if payload.len() >= 8 {
                let value = u64::from_be_bytes(payload[..8].try_into().expect("8 bytes"));
                outside.machine.values.push(value);
            }
            outside.applied.push(entry);
        }
        self.shared.set_applied(outside.machine.index);
    }

    fn has_room(&self) -> bool {
        !self.outside.lock().crowded
    }

    fn witness(&mut self) -> Option<&mut dyn Witness> {
        Some(self)
    }

    fn reads(&mut self, reads: Vec<ReadState>) {
        self.outside.lock().reads.extend(reads);
    }

    fn stopped(&mut self, reason: Result<(), ConsensusError>) {
        self.outside.lock().stopped = Some(reason.map_err(|error| error.to_string()));
    }
}

impl SimHost {
    fn judge(&self, outside: &mut Outside, payload: Bytes) {
        // What does not decode is refused, as any other senseless change.
        let change = ConfChange::decode(payload)
            .unwrap_or(ConfChange { r#type: -1, ..ConfChange::default() });
        let accepted = outside.machine.change(&change);
        let (reply, answer) = crossbeam_channel::bounded(1);
        let verdict = ChangeApplied { change: accepted.then_some(change), reply };
        self.changes.try_send(verdict).expect("room for the verdict");
        outside.order.push("change");
        outside.verdicts.push((outside.machine.conf_state(), answer));
    }
}
