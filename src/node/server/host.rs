//! The raft owner's way out: messages to the transport, committed entries to the apply thread, read answers to the
//! read loop. Runs on the owner thread, so nothing here may wait, save for room in the apply queue.

use std::sync::{Arc, OnceLock};

use base::ErrorChain;
use consensus::{Apply, ConsensusError, Host, ReadState, Witness};
use crossbeam_channel::Sender;
use tokio::sync::{mpsc, watch};
use wire::raftpb;

use super::{apply, stop::StopReason};
use crate::{managed::Keeper, peer::Transport};

/// What the owner thread holds of the server.
#[derive(Debug)]
pub(super) struct Outlets {
    pub(super) transport: Arc<OnceLock<Transport>>,
    pub(super) apply: Sender<apply::Input>,
    pub(super) reads: mpsc::Sender<ReadState>,
    pub(super) stop: watch::Sender<Option<StopReason>>,
    /// Of a managed dir: notes what is to be acknowledged.
    pub(super) keeper: Option<Keeper>,
}

impl Host for Outlets {
    fn send(&mut self, messages: Vec<raftpb::Message>) {
        if let Some(transport) = self.transport.get() {
            transport.send(messages);
        }
    }

    fn apply(&mut self, work: Apply) {
        if self.apply.send(apply::Input::Work(work)).is_err() {
            StopReason::failed(&self.stop, "the apply thread has ended".to_owned());
        }
    }

    fn has_room(&self) -> bool {
        !self.apply.is_full()
    }

    fn witness(&mut self) -> Option<&mut dyn Witness> {
        self.keeper.as_mut().map(|keeper| {
            let witness: &mut dyn Witness = keeper;
            witness
        })
    }

    fn reads(&mut self, reads: Vec<ReadState>) {
        for read in reads {
            // A full queue means that the loop gave those rounds up; it asks again.
            drop(self.reads.try_send(read));
        }
    }

    fn stopped(&mut self, reason: Result<(), ConsensusError>) {
        if let Err(error) = reason {
            let text = ErrorChain(&error).to_string();
            StopReason::failed(
                &self.stop,
                format!("the raft log cannot be trusted any more: {text}"),
            );
        }
    }
}
