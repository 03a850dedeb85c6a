//! The handle through which everybody talks to the owner thread.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use base::{Index, MemberId};
use bytes::Bytes;
use crossbeam_channel::{RecvTimeoutError, Sender, TrySendError};
use prost::Message as _;
use tokio::sync::watch;
use wire::{raftpb, walpb};

use crate::{
    Busy, Config, ConsensusError, Durable, Host, Status, owner,
    shared::{ChangeApplied, Input, Shared},
};

/// How often a waiting apply thread looks whether raft has stopped.
const STOP_POLL: Duration = Duration::from_millis(100);

/// A handle of the owner thread; clones are cheap. When all are gone the thread ends.
///
/// Nothing here waits, save [`Raft::conf_change_applied`].
#[derive(Debug, Clone)]
pub struct Raft {
    pub(crate) inbox: Sender<Input>,
    pub(crate) changes: Sender<ChangeApplied>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) status: watch::Receiver<Status>,
}

impl Raft {
    /// Starts the owner thread.
    ///
    /// # Errors
    /// `Inconsistent` if the parts of `durable` do not fit together, `Start` if the configuration
    /// is impossible, `Thread` if the system gives no thread.
    #[expect(clippy::needless_pass_by_value, reason = "the configuration is given away")]
    pub fn start(
        config: Config,
        durable: Durable,
        host: impl Host,
    ) -> Result<(Self, JoinHandle<()>), ConsensusError> {
        owner::start(&config, durable, host)
    }

    /// Proposes a normal entry. Without a leader it waits for one, for a few election timeouts.
    /// Whether it was committed is known only when it is applied: it may be lost, or come late.
    ///
    /// # Errors
    /// See [`Busy`].
    pub fn propose(&self, payload: Bytes) -> Result<(), Busy> {
        self.offer(Input::Propose(payload))
    }

    /// Proposes a configuration change; like [`Raft::propose`]. On a leader it waits until the one
    /// before is applied; a leader elsewhere may drop it in that case.
    ///
    /// # Errors
    /// See [`Busy`].
    #[expect(clippy::needless_pass_by_value, reason = "the change is given away")]
    pub fn propose_conf_change(&self, change: raftpb::ConfChange) -> Result<(), Busy> {
        self.offer(Input::ProposeConfChange(change.encode_to_vec().into()))
    }

    /// Asks for the index that a linearizable read must see; the answer comes to [`Host::reads`]
    /// with the same context, or never: ask again then. No two members may use the same context.
    ///
    /// # Errors
    /// See [`Busy`].
    pub fn read_index(&self, context: Bytes) -> Result<(), Busy> {
        self.offer(Input::ReadIndex(context))
    }

    /// Takes a message of another member. It is checked; what is malformed is dropped and logged.
    ///
    /// # Errors
    /// See [`Busy`].
    pub fn step(&self, message: raftpb::Message) -> Result<(), Busy> {
        self.offer(Input::Step(Box::new(message)))
    }

    /// Moves leadership, if this member leads; else asks the leader to. May come to nothing.
    pub fn transfer_leader(&self, to: MemberId) {
        self.tell(Input::TransferLeader(to.get()));
    }

    /// A message to a member could not be sent.
    pub fn report_unreachable(&self, id: MemberId) {
        self.tell(Input::Unreachable(id.get()));
    }

    /// How the sending of a `MsgSnap` ended. Must be called once for each.
    pub fn report_snapshot(&self, id: MemberId, ok: bool) {
        self.shared.leave_errand(|errands| {
            errands.sent.insert(id.get(), ok);
        });
        self.tell(Input::Wake);
    }

    /// Starts an election now, if this member may.
    pub fn campaign(&self) {
        self.tell(Input::Campaign);
    }

    /// Lets that many ticks pass at once: after a start, when the peers are known to be there and
    /// none has spoken as leader, an election need not wait the whole timeout.
    pub fn advance_ticks(&self, ticks: usize) {
        self.tell(Input::AdvanceTicks(ticks));
    }

    /// Up to where the state has applied the log; from the apply thread, after each batch.
    pub fn applied(&self, index: Index) {
        if self.shared.set_applied(index.get()) {
            self.tell(Input::Wake);
        }
    }

    /// Applies a committed configuration change to raft itself and returns the configuration after
    /// it. `None` if it was refused at apply; it still has to be told. From the apply thread, once
    /// for each entry of type `EntryConfChange`, in order; waits for the owner.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn conf_change_applied(
        &self,
        change: Option<raftpb::ConfChange>,
    ) -> Result<raftpb::ConfState, Busy> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.changes.send(ChangeApplied { change, reply }).map_err(|_gone| Busy::Stopped)?;
        loop {
            match answer.recv_timeout(STOP_POLL) {
                Ok(state) => return Ok(state),
                Err(RecvTimeoutError::Timeout) if !self.shared.stopping() => {}
                Err(_) => return Err(Busy::Stopped),
            }
        }
    }

    /// A `.snap` file of this mark is durable: the log gets the mark, and what is older than it may
    /// go.
    pub fn snapshot_saved(&self, mark: walpb::Snapshot) {
        self.shared.leave_errand(|errands| errands.saved = Some(mark));
        self.tell(Input::Wake);
    }

    /// Drops entries up to this index from memory. Members that need them get a snapshot.
    pub fn compact_log(&self, up_to: Index) {
        self.shared.leave_errand(|errands| errands.compact_to = Some(up_to.get()));
        self.tell(Input::Wake);
    }

    /// Raft's state, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The newest commit index; [`Status::commit`] may be a tick old.
    #[must_use]
    pub fn commit(&self) -> Index {
        Index::new(self.shared.commit())
    }

    /// Ends the owner thread soon; it does not wait for it.
    pub fn stop(&self) {
        self.shared.stop();
        self.tell(Input::Wake);
    }

    fn offer(&self, input: Input) -> Result<(), Busy> {
        self.inbox.try_send(input).map_err(|refused| match refused {
            TrySendError::Full(_) => Busy::Full,
            TrySendError::Disconnected(_) => Busy::Stopped,
        })
    }

    /// For inputs that may be lost, or are left as an errand as well.
    fn tell(&self, input: Input) {
        if let Err(busy) = self.offer(input) {
            tracing::debug!(%busy, "a note to raft was not taken");
        }
    }
}
