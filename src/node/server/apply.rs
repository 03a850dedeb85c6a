//! The apply thread: the only one that changes the state. Takes batches of committed entries from the raft owner, applies
//! them, makes them visible at once, and then answers the waiters.

use std::sync::Arc;

use base::Index;
use consensus::Apply;
use crossbeam_channel::{Receiver, Sender};
use prost::Message;
use state::{Machine, StateError};
use tokio::sync::oneshot;
use wire::raftpb::{self, EntryType};

use super::{
    Server,
    snapshot::{self, MergedState},
    stop::StopReason,
    waiters::Outcome,
};

/// What reaches the thread.
#[derive(Debug)]
pub(super) enum Input {
    /// From the raft owner.
    Work(Apply),
    /// Give a cut of the state for a follower.
    Cut(oneshot::Sender<Result<MergedState, StateError>>),
    /// End; tells when done.
    Stop(Sender<()>),
}

/// What only the apply thread knows.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) server: Arc<Server>,
    pub(super) machine: Machine,
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) conf_state: raftpb::ConfState,
    /// Index of the last .snap.
    pub(super) snapshot_index: u64,
    /// The log in memory begins after this.
    pub(super) compacted_log: u64,
    /// The revision of the compaction seen last.
    pub(super) compacted_revision: i64,
}

/// Runs until told to stop, or until something fails.
pub(super) fn run(mut applier: Applier, inputs: &Receiver<Input>) {
    for input in inputs {
        let result = match input {
            Input::Work(Apply::Entries(entries)) => applier.entries(&entries),
            Input::Work(Apply::Snapshot(snapshot)) => applier.take_snapshot(&snapshot),
            Input::Cut(reply) => {
                // A sender that has left asks again.
                drop(reply.send(applier.cut()));
                Ok(())
            }
            Input::Stop(done) => {
                // Whoever stops us may have given up waiting.
                done.send(()).unwrap_or_default();
                return;
            }
        };
        if let Err(error) = result {
            let text = base::ErrorChain(&error).to_string();
            StopReason::failed(&applier.server.stop, format!("cannot apply the log: {text}"));
            return;
        }
    }
}

impl Applier {
    fn entries(&mut self, entries: &[raftpb::Entry]) -> Result<(), StateError> {
        let mut answers = Vec::with_capacity(entries.len());
        let mut last = self.index;
        for entry in entries {
            // After a snapshot overtook queued entries they are part of it already.
            if entry.index <= self.index {
                continue;
            }
            match EntryType::try_from(entry.r#type) {
                Ok(EntryType::EntryNormal) => self.normal(entry, &mut answers)?,
                Ok(EntryType::EntryConfChange) => {
                    // Those before it must be visible when the members change.
                    self.machine.finish_batch()?;
                    self.conf_change(entry)?;
                }
                _ => {
                    return Err(StateError::Entry {
                        index: Index::new(entry.index),
                        reason: format!("entry type {} is not etcd's", entry.r#type),
                    });
                }
            }
            last = entry.index;
            self.term = entry.term;
        }
        self.machine.finish_batch()?;
        self.index = last;
        self.server.applied.send_replace(last);
        for (id, outcome) in answers {
            self.server.waiters.complete(id, outcome);
        }
        self.server.raft.applied(Index::new(last));
        self.housekeeping()
    }

    fn normal(
        &mut self,
        entry: &raftpb::Entry,
        answers: &mut Vec<(u64, Outcome)>,
    ) -> Result<(), StateError> {
        let waiters = &self.server.waiters;
        let applied = self.machine.apply(entry, &|id| waiters.is_waiting(id))?;
        if let Some(kind) = applied.raise_alarm {
            let server = Arc::clone(&self.server);
            self.server.runtime.spawn(async move { server.raise_alarm(kind).await });
        }
        if applied.request_id != 0 {
            answers.push((applied.request_id, Outcome::Applied(applied.response)));
        }
        Ok(())
    }

    /// A .snap every `snapshot_count` entries; the log in memory keeps what slow followers may need.
    fn housekeeping(&mut self) -> Result<(), StateError> {
        let compacted = self.server.kv.compacted();
        if compacted != self.compacted_revision {
            self.compacted_revision = compacted;
            // One token is enough to wake the worker.
            // If it is full the worker is about to look anyway.
            self.server.compaction_wanted.try_send(()).unwrap_or_default();
        }
        if self.index - self.snapshot_index > self.server.settings.snapshot_count {
            snapshot::save(self)?;
        }
        // None kept would cost a follower a snapshot for each message that was lost.
        let kept = self.server.settings.catch_up_entries.max(1);
        if self.index - self.compacted_log > kept.saturating_mul(2) {
            self.compacted_log = self.index - kept;
            self.server.raft.compact_log(Index::new(self.compacted_log));
        }
        Ok(())
    }
}

/// Decodes the change of a type-1 entry; an empty one is a leader's replacement of a refused change.
pub(super) fn decode_change(entry: &raftpb::Entry) -> Result<raftpb::ConfChange, StateError> {
    let bytes = entry.data.clone().unwrap_or_default();
    raftpb::ConfChange::decode(bytes).map_err(|error| StateError::Entry {
        index: Index::new(entry.index),
        reason: format!("it is no configuration change: {error}"),
    })
}
