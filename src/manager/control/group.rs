//! The control group of one agent: a raft group, so that there is one way to command an agent
//! however many there are. Commits entries and publishes the state they add up to.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base::Clock;
use consensus::{Config, Raft};
use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use wire::raftpb;

use super::{
    ControlError,
    applier::{Applier, Outlets},
    entry::{ENTRY_VERSION, Entry, Envelope},
    state::{ControlState, Rejected},
    storage::Layout,
};
use crate::supervise::record::wall_ms;

/// Pace of raft. A group of one has nobody to time out on, so this only costs wake-ups.
const TICK: Duration = Duration::from_millis(500);
const ELECTION_TICKS: usize = 10;
/// Batches of committed entries waiting for the applier.
const APPLY_QUEUE_MAX: usize = 64;
/// Log segments and snapshots kept.
const WALS_KEPT: usize = 2;
const SNAPS_KEPT: usize = 2;
/// Longest wait for a commit: one sync of the disk. A disk that takes longer is as good as dead.
const COMMIT_MAX: Duration = Duration::from_secs(30);

/// Handle of the group. Cheap to clone; the group ends with the last one.
#[derive(Debug, Clone)]
pub struct Control {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    raft: Raft,
    clock: Arc<dyn Clock>,
    incarnation: u64,
    proposals: AtomicU64,
    shared: Arc<Shared>,
}

/// What the applier shares with the handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) publish: watch::Sender<Arc<ControlState>>,
    /// Why nothing can be committed any more.
    pub(super) broken: watch::Sender<Option<String>>,
    pub(super) waiters: Waiters,
}

/// Who waits for which proposal of this life.
pub(super) type Waiters = Mutex<HashMap<u64, oneshot::Sender<Result<Arc<ControlState>, Rejected>>>>;

impl Control {
    /// Opens the group below `dir` and returns when its whole log is applied; fresh only if there
    /// certainly never was one (R13).
    ///
    /// # Errors
    /// [`ControlError`]; a human must look.
    pub async fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
    ) -> Result<Self, ControlError> {
        let layout = Layout::new(dir);
        let opened = layout.open(&disk)?;
        let incarnation = rand::random();
        let (publish, _) = watch::channel(Arc::new(opened.state.clone()));
        let (broken, _) = watch::channel(None);
        let shared = Arc::new(Shared { publish, broken, waiters: Mutex::default() });
        let (to_applier, work) = crossbeam_channel::bounded(APPLY_QUEUE_MAX);
        let config = Config {
            id: opened.member,
            tick: TICK,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: 1,
            pre_vote: true,
            fast_forward_election: true,
            max_wals: WALS_KEPT,
            max_snaps: SNAPS_KEPT,
            clock: clock.clone(),
        };
        let outlets = Outlets { to_applier, shared: shared.clone() };
        let applied = opened.durable.snapshot.index;
        let voters = opened.durable.snapshot.conf_state.clone();
        let (raft, _owner) = Raft::start(config, opened.durable, outlets)?;
        let applier = Applier {
            raft: raft.clone(),
            shared: shared.clone(),
            snaps: wal::snap::SnapDir::new(disk, &layout.snap),
            state: opened.state,
            voters,
            snapshot_at: applied,
            incarnation,
        };
        applier.spawn(work)?;
        let proposals = AtomicU64::new(0);
        let control =
            Self { group: Arc::new(Group { raft, clock, incarnation, proposals, shared }) };
        // Once this entry of a new term is applied, so is everything before it.
        let happened = Entry::Happened {
            node: String::new(),
            text: format!("agent {} begins", env!("CARGO_PKG_VERSION")),
            restarts: 0,
            ended_run: None,
        };
        control.commit(happened).await?;
        Ok(control)
    }

    /// The committed state, without taking part and without an agent on this state dir.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn read(disk: &Arc<dyn Disk>, dir: &Path) -> Result<ControlState, ControlError> {
        Layout::new(dir).read(disk)
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> Arc<ControlState> {
        self.group.shared.publish.borrow().clone()
    }

    /// The state, followed as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<ControlState>> {
        self.group.shared.publish.subscribe()
    }

    /// Commits an entry; returns the state right after it.
    ///
    /// # Errors
    /// [`ControlError::Rejected`] if it has no effect; any other ends the agent.
    pub async fn commit(&self, entry: Entry) -> Result<Arc<ControlState>, ControlError> {
        let group = &self.group;
        let proposal = group.proposals.fetch_add(1, Ordering::Relaxed);
        let envelope = Envelope {
            version: ENTRY_VERSION,
            proposal,
            incarnation: group.incarnation,
            at_ms: wall_ms(group.clock.wall()),
            entry,
        };
        let payload = serde_json::to_vec(&envelope).map_err(ControlError::Encode)?;
        let (answer, answered) = oneshot::channel();
        group.shared.waiters.lock().insert(proposal, answer);
        let mut broken = group.shared.broken.subscribe();
        let is_broken = broken.wait_for(Option::is_some);
        if let Err(busy) = group.raft.propose(payload.into()) {
            group.shared.waiters.lock().remove(&proposal);
            return Err(ControlError::Broken(self.reason(busy.to_string())));
        }
        tokio::select! {
            answer = answered => match answer {
                Ok(Ok(state)) => Ok(state),
                Ok(Err(rejected)) => Err(rejected.into()),
                Err(_gone) => Err(ControlError::Broken(self.reason("the applier ended".into()))),
            },
            _ = is_broken => Err(ControlError::Broken(self.reason("it ended".into()))),
            () = tokio::time::sleep(COMMIT_MAX) => {
                Err(ControlError::Broken(format!("no commit within {COMMIT_MAX:?}")))
            }
        }
    }

    fn reason(&self, otherwise: String) -> String {
        self.group.shared.broken.borrow().clone().unwrap_or(otherwise)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.raft.stop();
    }
}

/// A command and what became of it.
pub(super) type Folded = (Envelope, Result<(), Rejected>);

/// Adds one log entry to a state. Changes of the group itself are none of the state's business.
pub(super) fn fold(
    state: &mut ControlState,
    entry: &raftpb::Entry,
) -> Result<Option<Folded>, ControlError> {
    let payload = entry.data.as_deref().unwrap_or_default();
    if entry.r#type() != raftpb::EntryType::EntryNormal || payload.is_empty() {
        return Ok(None);
    }
    let envelope: Envelope = serde_json::from_slice(payload)
        .map_err(|source| ControlError::Entry { index: entry.index, source })?;
    let outcome = state.apply(&envelope);
    if let Err(Rejected::TooNew(version)) = outcome {
        return Err(ControlError::TooNew { index: entry.index, version });
    }
    Ok(Some((envelope, outcome)))
}

#[cfg(test)]
mod tests;
