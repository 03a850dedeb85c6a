//! Adds committed entries to the state, answers those who wait for them, and writes snapshots. One
//! thread; it receives from the raft owner and hands to the watchers.

use std::sync::{Arc, OnceLock};

use base::{ErrorChain, Index};
use consensus::{Apply, Busy, ConsensusError, Host, Raft, ReadState};
use crossbeam_channel::{Receiver, Sender};
use prost::Message;
use wal::snap::SnapDir;
use wire::{raftpb, walpb};

use super::{
    ControlError,
    fold::fold,
    group::{Post, Shared},
    seat::Contact,
    state::ControlState,
};

/// Entries between two snapshots.
const SNAPSHOT_ENTRIES: u64 = 1000;

/// What the owner thread holds.
#[derive(Debug)]
pub(super) struct Outlets {
    pub(super) to_applier: Sender<Apply>,
    pub(super) shared: Arc<Shared>,
    /// None in a group of one for good.
    pub(super) post: Option<Arc<dyn Post>>,
    /// Where the sending of snapshots is reported; set right after the start.
    pub(super) reports: Arc<OnceLock<Raft>>,
}

/// A state and its place in the log.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) state: Arc<ControlState>,
    pub(super) place: raftpb::SnapshotMetadata,
}

impl Host for Outlets {
    fn send(&mut self, messages: Vec<raftpb::Message>) {
        // A group of one has nobody to send to.
        let Some(post) = &self.post else { return };
        for mut message in messages {
            if message.r#type() == raftpb::MessageType::MsgSnap && !self.fill(&mut message) {
                if let Some(raft) = self.reports.get() {
                    raft.report_snapshot(message.to.into(), false);
                }
                continue;
            }
            post.send(message);
        }
    }

    fn apply(&mut self, work: Apply) {
        if self.to_applier.send(work).is_err() {
            self.shared.give_up("the applier has ended".to_owned());
        }
    }

    fn has_room(&self) -> bool {
        !self.to_applier.is_full()
    }

    fn reads(&mut self, _reads: Vec<ReadState>) {}

    fn stopped(&mut self, reason: Result<(), ConsensusError>) {
        let text = match reason {
            Ok(()) => "the control group has ended".to_owned(),
            Err(error) => ErrorChain(&error).to_string(),
        };
        self.shared.give_up(text);
    }
}

impl Outlets {
    /// Puts the newest applied state into a message that is to carry a snapshot.
    fn fill(&self, message: &mut raftpb::Message) -> bool {
        let checkpoint = self.shared.checkpoint.lock().clone();
        let Some(Checkpoint { state, place }) = checkpoint else { return false };
        if place.index < message.snapshot.metadata.index {
            return false;
        }
        let Ok(bytes) = serde_json::to_vec(&*state) else { return false };
        message.snapshot = raftpb::Snapshot { data: Some(bytes.into()), metadata: place };
        true
    }
}

impl Shared {
    /// The first reason stays.
    fn give_up(&self, reason: String) {
        self.broken.send_if_modified(|broken| {
            let is_first = broken.is_none();
            broken.get_or_insert(reason);
            is_first
        });
    }
}

/// The thread's own state.
pub(super) struct Applier {
    pub(super) raft: Raft,
    pub(super) shared: Arc<Shared>,
    pub(super) snaps: SnapDir,
    pub(super) state: ControlState,
    /// The configuration at the applied index.
    pub(super) voters: raftpb::ConfState,
    /// Index of the newest snapshot.
    pub(super) snapshot_at: u64,
    /// The proposals of this life have this number.
    pub(super) incarnation: u64,
}

impl Applier {
    pub(super) fn spawn(self, work: Receiver<Apply>) -> Result<(), ControlError> {
        let thread = std::thread::Builder::new().name("control-apply".to_owned());
        thread.spawn(move || self.run(&work)).map_err(ControlError::Look)?;
        Ok(())
    }

    fn run(mut self, work: &Receiver<Apply>) {
        for work in work {
            let done = match work {
                Apply::Entries(entries) => self.apply(&entries),
                Apply::Snapshot(snapshot) => self.replace(&snapshot),
            };
            if let Err(error) = done {
                self.shared.give_up(ErrorChain(&error).to_string());
                self.raft.stop();
                return;
            }
        }
    }

    /// A leader's state takes the place of everything.
    fn replace(&mut self, snapshot: &raftpb::Snapshot) -> Result<(), ControlError> {
        let bytes = snapshot.data.as_deref().unwrap_or_default();
        let index = snapshot.metadata.index;
        self.state = serde_json::from_slice(bytes)
            .map_err(|source| ControlError::Entry { index, source })?;
        self.voters = snapshot.metadata.conf_state.clone();
        self.snapshot_at = index;
        self.state.applied = index;
        self.publish(snapshot.metadata.clone());
        self.raft.applied(Index::new(index));
        Ok(())
    }

    fn publish(&self, place: raftpb::SnapshotMetadata) -> Arc<ControlState> {
        let state = Arc::new(self.state.clone());
        *self.shared.checkpoint.lock() = Some(Checkpoint { state: state.clone(), place });
        self.shared.publish.send_replace(state.clone());
        state
    }

    fn apply(&mut self, entries: &[raftpb::Entry]) -> Result<(), ControlError> {
        for entry in entries {
            if entry.r#type() == raftpb::EntryType::EntryConfChange {
                self.change_group(entry)?;
            }
            let folded = fold(&mut self.state, entry)?;
            let state = self.publish(raftpb::SnapshotMetadata {
                conf_state: self.voters.clone(),
                index: entry.index,
                term: entry.term,
            });
            let Some((envelope, outcome)) = folded else { continue };
            if envelope.incarnation != self.incarnation {
                continue;
            }
            if let Some(waiter) = self.shared.waiters.lock().remove(&envelope.proposal) {
                // Nobody waits any more: then nobody needs the answer.
                waiter.send(outcome.map(|()| state)).unwrap_or_default();
            }
        }
        let Some(last) = entries.last() else { return Ok(()) };
        self.raft.applied(Index::new(last.index));
        if last.index >= self.snapshot_at + SNAPSHOT_ENTRIES {
            self.save(last)?;
        }
        Ok(())
    }

    fn change_group(&mut self, entry: &raftpb::Entry) -> Result<(), ControlError> {
        let payload = entry.data.clone().unwrap_or_default();
        let change = raftpb::ConfChange::decode(payload)
            .map_err(|source| ControlError::Change { index: entry.index, source })?;
        let stopped = |busy: Busy| ControlError::Broken(busy.to_string());
        // Who is admitted is named in the change; a group of one of the first version names nobody.
        let context = change.context.clone().unwrap_or_default();
        let contact = serde_json::from_slice::<Contact>(&context).ok();
        self.voters = self.raft.conf_change_applied(Some(change)).map_err(stopped)?;
        if let Some(contact) = contact {
            let agents = &mut self.state.group.agents;
            let agent = agents.entry(contact.member).or_default();
            (agent.host, agent.address) = (contact.host, contact.address);
        }
        let voters = &self.voters.voters;
        let members: Vec<u64> = voters.iter().chain(&self.voters.learners).copied().collect();
        self.state.group_changed(voters, &members);
        Ok(())
    }

    /// The file first, durable, then its mark in the log.
    fn save(&mut self, last: &raftpb::Entry) -> Result<(), ControlError> {
        let state = serde_json::to_vec(&self.state).map_err(ControlError::Encode)?;
        let metadata = raftpb::SnapshotMetadata {
            conf_state: self.voters.clone(),
            index: last.index,
            term: last.term,
        };
        let snapshot = raftpb::Snapshot { data: Some(state.into()), metadata };
        self.snaps.save(&snapshot).map_err(ControlError::Log)?;
        self.snapshot_at = last.index;
        self.raft.snapshot_saved(walpb::Snapshot {
            index: last.index,
            term: last.term,
            conf_state: Some(self.voters.clone()),
        });
        self.raft.compact_log(Index::new(last.index));
        Ok(())
    }
}
