//! The control group: a raft group of the agents, also of one alone, so that there is one way to
//! command an agent however many there are. Commits entries and publishes the state they add up to.

mod commit;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use base::Clock;
use consensus::{Config, Raft, Role};
use disk::Disk;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use wire::raftpb;

use super::{
    ControlError,
    applier::{Applier, Checkpoint, Outlets},
    entry::Entry,
    mark::{ControlMark, Marks},
    seat::{self, Seat},
    state::{ControlState, Rejected},
    storage::{Layout, Opened},
};

/// Pace of raft. A group of one has nobody to time out on, so this only costs wake-ups.
const TICK: Duration = Duration::from_millis(500);
const ELECTION_TICKS: usize = 10;
/// Batches of committed entries waiting for the applier.
const APPLY_QUEUE_MAX: usize = 64;
/// Log segments and snapshots kept.
const WALS_KEPT: usize = 2;
const SNAPS_KEPT: usize = 2;
/// Pace of raft among several agents: a leader that is gone is noticed after 1.5 to 3 seconds.
const TICK_MANY: Duration = Duration::from_millis(100);
const ELECTION_TICKS_MANY: usize = 15;
const HEARTBEAT_TICKS_MANY: usize = 3;
/// How often it is looked whether there is a seat by now.
const SEAT_PAUSE: Duration = Duration::from_millis(100);

/// Handle of the group. Cheap to clone; the group ends with the last one.
#[derive(Debug, Clone)]
pub struct Control {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    /// None before an agent among others has its seat.
    running: OnceLock<Running>,
    disk: Arc<dyn Disk>,
    layout: Layout,
    clock: Arc<dyn Clock>,
    incarnation: u64,
    proposals: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Running {
    raft: Raft,
    member: u64,
    /// Number of the group.
    number: u64,
    /// Whether it may have other members.
    is_many: bool,
}

/// What the applier shares with the handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) publish: watch::Sender<Arc<ControlState>>,
    /// Why nothing can be committed any more.
    pub(super) broken: watch::Sender<Option<String>>,
    pub(super) waiters: Waiters,
    /// The newest applied state with its place in the log: what a snapshot is made of.
    pub(super) checkpoint: Mutex<Option<Checkpoint>>,
}

/// Who waits for which proposal of this life.
pub(super) type Waiters = Mutex<HashMap<u64, oneshot::Sender<Result<Arc<ControlState>, Rejected>>>>;

/// Carries raft messages to the agents in their `to`.
pub trait Post: Send + Sync + std::fmt::Debug {
    /// Must not block: what cannot be sent is dropped and reported.
    fn send(&self, message: raftpb::Message);
}

/// Who leads the group, as far as this agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// This agent is in no group yet.
    NoGroup,
    /// Nobody, or nobody that is known here.
    Nobody,
    /// Another agent.
    Other(u64),
    /// This agent, in this raft term.
    Own(u64),
}

impl Control {
    /// Opens the group of one below `dir` and returns when its whole log is applied; fresh only if
    /// there certainly never was one (R13).
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
        let control = Self::idle(disk, clock, layout);
        control.run(opened, None)?;
        // Once this entry of a new term is applied, so is everything before it.
        control.commit(begins()).await?;
        Ok(control)
    }

    /// Opens the seat of an agent among others. If it has none yet, the group begins with
    /// [`Control::take_seat`].
    ///
    /// # Errors
    /// [`ControlError`]; a human must look.
    pub fn open_seat(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        (dir, marks): (&Path, &Marks),
        post: impl FnOnce(&Seat) -> Arc<dyn Post>,
    ) -> Result<(Self, Seat), ControlError> {
        let layout = Layout::new(dir);
        let (seat, opened) = layout.open_seat(&disk, marks)?;
        let control = Self::idle(disk, clock, layout);
        let post = post(&seat);
        if let Some(opened) = opened {
            control.run(opened, Some(post))?;
        }
        Ok((control, seat))
    }

    /// Writes a seat down and takes part from then on, if it is one in a group.
    ///
    /// # Errors
    /// [`ControlError`]; unless nothing was written, the agent must end.
    pub fn take_seat(&self, seat: &Seat, post: Arc<dyn Post>) -> Result<(), ControlError> {
        let group = &self.group;
        seat::write(&*group.disk, &group.layout.root, seat)?;
        if seat.group().is_none() || group.running.get().is_some() {
            return Ok(());
        }
        let opened = group.layout.take(&group.disk, seat)?;
        self.run(opened, Some(post))
    }

    /// The random number of this life: a process that has it is this one.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.group.incarnation
    }

    fn idle(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, layout: Layout) -> Self {
        let (publish, _) = watch::channel(Arc::new(ControlState::default()));
        let (broken, _) = watch::channel(None);
        let checkpoint = Mutex::new(None);
        let shared = Arc::new(Shared { publish, broken, waiters: Mutex::default(), checkpoint });
        let group = Group {
            running: OnceLock::new(),
            disk,
            layout,
            clock,
            incarnation: rand::random(),
            proposals: AtomicU64::new(0),
            shared,
        };
        Self { group: Arc::new(group) }
    }

    /// Starts raft and the applier.
    fn run(&self, mut opened: Opened, post: Option<Arc<dyn Post>>) -> Result<(), ControlError> {
        let group = &self.group;
        let shared = &group.shared;
        let known = &opened.durable.snapshot.conf_state;
        let members: Vec<u64> = known.voters.iter().chain(&known.learners).copied().collect();
        opened.state.group_changed(&known.voters, &members);
        shared.publish.send_replace(Arc::new(opened.state.clone()));
        let (to_applier, work) = crossbeam_channel::bounded(APPLY_QUEUE_MAX);
        let is_alone = post.is_none();
        let config = Config {
            id: opened.member,
            tick: if is_alone { TICK } else { TICK_MANY },
            election_ticks: if is_alone { ELECTION_TICKS } else { ELECTION_TICKS_MANY },
            heartbeat_ticks: if is_alone { 1 } else { HEARTBEAT_TICKS_MANY },
            pre_vote: true,
            fast_forward_election: true,
            max_wals: WALS_KEPT,
            max_snaps: SNAPS_KEPT,
            clock: group.clock.clone(),
        };
        let reports = Arc::default();
        let outlets =
            Outlets { to_applier, shared: shared.clone(), post, reports: Arc::clone(&reports) };
        let snapshot = opened.durable.snapshot.clone();
        let (raft, _owner) = Raft::start(config, opened.durable, outlets)?;
        reports.set(raft.clone()).map_err(|_twice| ControlError::NoGroup)?;
        let applier = Applier {
            raft: raft.clone(),
            shared: shared.clone(),
            snaps: wal::snap::SnapDir::new(group.disk.clone(), &group.layout.snap),
            state: opened.state,
            voters: snapshot.conf_state,
            snapshot_at: snapshot.index,
            incarnation: group.incarnation,
        };
        applier.spawn(work)?;
        let running =
            Running { raft, member: opened.member.get(), number: opened.group, is_many: !is_alone };
        group.running.set(running).map_err(|_twice| ControlError::NoGroup)
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

    /// This agent's control member id and the number of its group.
    #[must_use]
    pub fn membership(&self) -> Option<(u64, u64)> {
        self.group.running.get().map(|running| (running.member, running.number))
    }

    /// Who leads.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        let Some(running) = self.group.running.get() else { return Leadership::NoGroup };
        let status = running.raft.status();
        let status = status.borrow();
        match (status.role, status.leader) {
            (Role::Leader, _) => Leadership::Own(status.term.get()),
            (_, Some(leader)) if leader.get() != running.member => Leadership::Other(leader.get()),
            _ => Leadership::Nobody,
        }
    }

    /// How far this control member has come, as it is on its disk; nothing before it is in a group.
    #[must_use]
    pub fn mark(&self) -> Option<ControlMark> {
        let running = self.group.running.get()?;
        let term = running.raft.status().borrow().term.get();
        Some(ControlMark::of(running.member, term, self.state().applied))
    }

    /// Returns when the leadership may have changed.
    pub async fn leadership_changed(&self) {
        let Some(running) = self.group.running.get() else {
            return tokio::time::sleep(SEAT_PAUSE).await;
        };
        let mut status = running.raft.status();
        let seen = |status: &consensus::Status| (status.role, status.leader, status.term);
        let now = seen(&status.borrow_and_update());
        // Fails only when raft has stopped, which is told elsewhere.
        if status.wait_for(|status| seen(status) != now).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Up to where a follower's log is known to match; none unless this agent leads.
    #[must_use]
    pub fn progress_of(&self, member: u64) -> Option<u64> {
        let running = self.group.running.get()?;
        let status = running.raft.status();
        let status = status.borrow();
        let found = status.progress.iter().find(|(id, _)| id.get() == member);
        found.map(|(_, index)| index.get())
    }

    /// Gives raft a message of another agent.
    pub fn step(&self, message: raftpb::Message) {
        if let Some(running) = self.group.running.get()
            && let Err(busy) = running.raft.step(message)
        {
            tracing::debug!(%busy, "a message of another agent was dropped");
        }
    }

    /// A message to this member could not be sent, or its snapshot was (or was not).
    pub fn report(&self, member: u64, snapshot: Option<bool>) {
        let Some(running) = self.group.running.get() else { return };
        match snapshot {
            Some(sent) => running.raft.report_snapshot(member.into(), sent),
            None => running.raft.report_unreachable(member.into()),
        }
    }

    /// Proposes a change of the group; whether it is committed is seen in the state.
    pub fn propose_change(&self, change: raftpb::ConfChange) {
        if let Some(running) = self.group.running.get()
            && let Err(busy) = running.raft.propose_conf_change(change)
        {
            tracing::debug!(%busy, "a change of the group of agents was not proposed");
        }
    }

    /// Asks a caught-up voter to lead in this agent's place; whether it does is seen in the leadership.
    pub fn hand_over(&self, member: u64) {
        if let Some(running) = self.group.running.get() {
            running.raft.transfer_leader(member.into());
        }
    }

    /// Why nothing can be committed ever again, if so.
    pub async fn broken(&self) -> String {
        let mut broken = self.group.shared.broken.subscribe();
        let reason = broken.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Returns when this index is applied.
    pub async fn applied(&self, index: u64) {
        let mut states = self.watch();
        if states.wait_for(|state| state.applied >= index).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn reason(&self, otherwise: String) -> String {
        self.group.shared.broken.borrow().clone().unwrap_or(otherwise)
    }
}

/// The first thing an agent says.
fn begins() -> Entry {
    Entry::Happened {
        node: String::new(),
        text: format!("agent {} begins", env!("CARGO_PKG_VERSION")),
        restarts: 0,
        ended_run: None,
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.raft.stop();
        }
    }
}

#[cfg(test)]
mod tests;
