//! The control group's disk: identity, log and snapshots below `STATE_DIR/control`. What was there
//! and is gone, or cannot be read, is an error, never a fresh start (R13).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::{Index, MemberId};
use consensus::{Durable, bootstrap_entries};
use disk::Disk;
use serde::{Deserialize, Serialize};
use wal::{Replay, Wal, WalConfig, snap::SnapDir};
use wire::{raftpb, walpb};

use super::{
    ControlError,
    mark::Marks,
    seat::{self, Founding, Seat, Standing},
    state::ControlState,
};

/// Control entries are small and few.
const SEGMENT_BYTES: u64 = 1024 * 1024;

/// Where things lie.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    wal: PathBuf,
    pub(super) snap: PathBuf,
    identity: PathBuf,
}

/// Who this control member is: a random incarnation. One whose state was lost is another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    version: u32,
    incarnation: u64,
}

/// What the group starts from.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) member: MemberId,
    /// Number of the group.
    pub(super) group: u64,
    pub(super) durable: Durable,
    /// The state of the newest snapshot.
    pub(super) state: ControlState,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            wal: root.join("wal"),
            snap: root.join("snap"),
            identity: root.join("identity"),
        }
    }

    /// Whether there certainly never was a control member here.
    pub(super) fn is_fresh(&self, disk: &dyn Disk) -> Result<bool, ControlError> {
        let identity = self.identity(disk)?;
        let has_log = wal::exists(disk, &self.wal).map_err(ControlError::Look)?;
        match (identity, has_log) {
            (Some(_) | None, true) => Ok(false),
            (Some(_), false) => Err(self.lost("its log is gone")),
            // Nodes were started by somebody whose records are gone.
            (None, false) if self.has_nodes(disk)? => Err(self.lost("identity and log are gone")),
            (None, false) => Ok(true),
        }
    }

    fn has_nodes(&self, disk: &dyn Disk) -> Result<bool, ControlError> {
        let nodes = self.root.with_file_name("nodes");
        if !disk.exists(&nodes).map_err(ControlError::Look)? {
            return Ok(false);
        }
        Ok(!disk.list(&nodes).map_err(ControlError::Look)?.is_empty())
    }

    fn lost(&self, what: &'static str) -> ControlError {
        ControlError::Lost { root: self.root.clone(), what }
    }

    fn identity(&self, disk: &dyn Disk) -> Result<Option<Identity>, ControlError> {
        let read = disk::read_checked(disk, &self.identity).map_err(ControlError::Unreadable)?;
        let Some(bytes) = read else { return Ok(None) };
        let identity = serde_json::from_slice(&bytes).map_err(|source| {
            ControlError::NotUnderstood { path: self.identity.clone(), source }
        })?;
        Ok(Some(identity))
    }

    /// Makes the group of one if there was none, else goes on with it.
    pub(super) fn open(&self, disk: &Arc<dyn Disk>) -> Result<Opened, ControlError> {
        if seat::read(&**disk, &self.root)?.is_some() {
            return Err(ControlError::NotAlone { root: self.root.clone() });
        }
        if self.is_fresh(&**disk)? {
            return self.create(disk);
        }
        self.restart(disk)
    }

    /// The seat in a group of many, and the group's log if it has one. A group of one that was here
    /// before goes on, and may admit others.
    ///
    /// A state that is older than its mark is put away, and the agent begins as another member (R17).
    pub(super) fn open_seat(
        &self,
        disk: &Arc<dyn Disk>,
        marks: &Marks,
    ) -> Result<(Seat, Option<Opened>), ControlError> {
        let (seat, opened) = self.open_as_found(disk, marks)?;
        let log = opened.as_ref().map(|opened| {
            let durable = &opened.durable;
            let last = durable.entries.last().map_or(0, |entry| entry.index);
            (durable.hard_state.term, last.max(durable.snapshot.index))
        });
        if !marks.read()?.is_some_and(|mark| mark.shows_rollback(seat.member, log)) {
            return Ok((seat, opened));
        }
        drop(opened);
        let archive = self.root.with_file_name("archive");
        let label = format!("control-{:x}", seat.member);
        let place = disk::archive(&**disk, &self.root, &archive, &label);
        let place = place.map_err(ControlError::Look)?;
        tracing::error!(
            "the control state was put back to an older copy: it is kept in {}, and this agent asks to be \
             admitted as another",
            place.display()
        );
        let seat = Seat::fresh(true);
        marks.begin(seat.member)?;
        disk.create_dir_all(&self.root).map_err(ControlError::Look)?;
        seat::write(&**disk, &self.root, &seat)?;
        Ok((seat, None))
    }

    fn open_as_found(
        &self,
        disk: &Arc<dyn Disk>,
        marks: &Marks,
    ) -> Result<(Seat, Option<Opened>), ControlError> {
        let has_log = wal::exists(&**disk, &self.wal).map_err(ControlError::Look)?;
        let Some(seat) = seat::read(&**disk, &self.root)? else {
            if has_log || self.identity(&**disk)?.is_some() {
                let opened = self.open(disk)?;
                let mut seat = Seat::fresh(false);
                seat.member = opened.member.get();
                seat.standing = Standing::Enlisted { group: opened.group, contacts: Vec::new() };
                marks.begin(seat.member)?;
                // The group of one is itself its only contact.
                seat::write(&**disk, &self.root, &seat)?;
                return Ok((seat, Some(opened)));
            }
            let seat = Seat::fresh(self.has_nodes(&**disk)?);
            marks.begin(seat.member)?;
            seat::write(&**disk, &self.root, &seat)?;
            return Ok((seat, None));
        };
        if seat.group().is_none() {
            return Ok((seat, None));
        }
        // The identity is written once the log holds something: without both, the seat was just
        // taken, and with the identity alone the log was lost (R17).
        if self.identity(&**disk)?.is_some() && !has_log {
            return Err(self.lost("its log is gone"));
        }
        let opened = self.take(disk, &seat)?;
        Ok((seat, Some(opened)))
    }

    /// Starts or goes on with the log of a seat that was taken.
    pub(super) fn take(&self, disk: &Arc<dyn Disk>, seat: &Seat) -> Result<Opened, ControlError> {
        let Some(group) = seat.group() else {
            return Err(ControlError::Broken("it has no seat in a group".to_owned()));
        };
        if wal::exists(&**disk, &self.wal).map_err(ControlError::Look)? {
            let (wal, replay, newest) = self.replay(disk)?;
            if replay.metadata.node_id != seat.member {
                return Err(self.lost("its seat and its log are of different members"));
            }
            if newest.is_some() || !replay.entries.is_empty() {
                drop(wal);
                return self.restart(disk);
            }
            if self.identity(&**disk)?.is_some() {
                return Err(self.lost("its log was emptied"));
            }
            return self.fill(disk, wal, seat, group);
        }
        disk.create_dir_all(&self.snap).map_err(ControlError::Look)?;
        let metadata = walpb::Metadata { node_id: seat.member, cluster_id: group };
        let wal =
            Wal::create(disk.clone(), &self.wal, metadata, config()).map_err(ControlError::Log)?;
        self.fill(disk, wal, seat, group)
    }

    /// The first entries of a founder; nothing for one that was enlisted: the leader sends it.
    fn fill(
        &self,
        disk: &Arc<dyn Disk>,
        mut wal: Wal,
        seat: &Seat,
        group: u64,
    ) -> Result<Opened, ControlError> {
        let (entries, hard_state) = match &seat.standing {
            Standing::Founder { founding } => first_entries(founding)?,
            _ => (Vec::new(), raftpb::HardState::default()),
        };
        if !entries.is_empty() {
            wal.append(&entries, Some(&hard_state), true).map_err(ControlError::Log)?;
            self.write_identity(&**disk, seat.member)?;
        }
        let durable = Durable {
            wal,
            snaps: SnapDir::new(disk.clone(), &self.snap),
            snapshot: raftpb::SnapshotMetadata::default(),
            hard_state,
            entries,
            applied: Index::new(0),
        };
        let member = MemberId::new(seat.member);
        Ok(Opened { member, group, durable, state: ControlState::default() })
    }

    fn create(&self, disk: &Arc<dyn Disk>) -> Result<Opened, ControlError> {
        disk.create_dir_all(&self.snap).map_err(ControlError::Look)?;
        let incarnation = rand::random_range(1..=u64::MAX);
        let metadata = walpb::Metadata { node_id: incarnation, cluster_id: incarnation };
        let wal =
            Wal::create(disk.clone(), &self.wal, metadata, config()).map_err(ControlError::Log)?;
        self.begin(disk, wal, incarnation)
    }

    /// Writes the first entry, which makes this member the only voter, and then the identity.
    fn begin(
        &self,
        disk: &Arc<dyn Disk>,
        mut wal: Wal,
        incarnation: u64,
    ) -> Result<Opened, ControlError> {
        let member = MemberId::new(incarnation);
        let (entries, hard_state) = bootstrap_entries(&[(member, bytes::Bytes::new())]);
        wal.append(&entries, Some(&hard_state), true).map_err(ControlError::Log)?;
        self.write_identity(&**disk, incarnation)?;
        let durable = Durable {
            wal,
            snaps: SnapDir::new(disk.clone(), &self.snap),
            snapshot: raftpb::SnapshotMetadata::default(),
            hard_state,
            entries,
            applied: Index::new(0),
        };
        Ok(Opened { member, group: incarnation, durable, state: ControlState::default() })
    }

    fn write_identity(&self, disk: &dyn Disk, incarnation: u64) -> Result<(), ControlError> {
        let identity = Identity { version: 1, incarnation };
        let bytes = serde_json::to_vec(&identity).map_err(|source| {
            ControlError::NotUnderstood { path: self.identity.clone(), source }
        })?;
        disk::replace_checked(disk, &self.identity, &bytes).map_err(ControlError::Look)
    }

    fn restart(&self, disk: &Arc<dyn Disk>) -> Result<Opened, ControlError> {
        let (wal, replay, newest) = self.replay(disk)?;
        let incarnation = replay.metadata.node_id;
        let is_unfilled = newest.is_none() && replay.entries.is_empty();
        match self.identity(&**disk)? {
            Some(identity) if identity.incarnation != incarnation => {
                return Err(self.lost("identity and log are of different members"));
            }
            Some(_) if is_unfilled => return Err(self.lost("its log was emptied")),
            Some(_) => {}
            // The very first start was interrupted.
            None if is_unfilled => return self.begin(disk, wal, incarnation),
            None => self.write_identity(&**disk, incarnation)?,
        }
        let state = self.snapshot_state(newest.as_ref())?;
        let snapshot = newest.map(|snapshot| snapshot.metadata).unwrap_or_default();
        let durable = Durable {
            wal,
            snaps: SnapDir::new(disk.clone(), &self.snap),
            applied: Index::new(snapshot.index),
            snapshot,
            hard_state: replay.hard_state,
            entries: replay.entries,
        };
        let group = replay.metadata.cluster_id;
        Ok(Opened { member: MemberId::new(incarnation), group, durable, state })
    }

    fn replay(
        &self,
        disk: &Arc<dyn Disk>,
    ) -> Result<(Wal, Replay, Option<raftpb::Snapshot>), ControlError> {
        let marks = wal::snapshot_marks(&**disk, &self.wal).map_err(ControlError::Log)?;
        let snaps = SnapDir::new(disk.clone(), &self.snap);
        let newest = snaps.newest(&marks).map_err(ControlError::Log)?;
        let from =
            newest.as_ref().map_or_else(walpb::Snapshot::default, |snapshot| walpb::Snapshot {
                index: snapshot.metadata.index,
                term: snapshot.metadata.term,
                conf_state: None,
            });
        let (wal, replay) =
            Wal::open(disk.clone(), &self.wal, &from, config()).map_err(ControlError::Log)?;
        Ok((wal, replay, newest))
    }

    fn snapshot_state(
        &self,
        newest: Option<&raftpb::Snapshot>,
    ) -> Result<ControlState, ControlError> {
        let Some(snapshot) = newest else { return Ok(ControlState::default()) };
        let bytes = snapshot.data.as_deref().unwrap_or_default();
        serde_json::from_slice(bytes)
            .map_err(|source| ControlError::NotUnderstood { path: self.snap.clone(), source })
    }

    /// The committed state, without taking part. Nobody else may have the log open; opening it cuts
    /// off a torn end, as the next agent would.
    pub(super) fn read(&self, disk: &Arc<dyn Disk>) -> Result<ControlState, ControlError> {
        if self.is_fresh(&**disk)? {
            return Ok(ControlState::default());
        }
        let (_wal, replay, newest) = self.replay(disk)?;
        let mut state = self.snapshot_state(newest.as_ref())?;
        // A group of one has committed whatever its log holds; of another's the end may be void.
        let committed = match seat::read(&**disk, &self.root)? {
            Some(_) => replay.hard_state.commit,
            None => u64::MAX,
        };
        for entry in replay.entries.iter().filter(|entry| entry.index <= committed) {
            super::fold::fold(&mut state, entry)?;
        }
        Ok(state)
    }
}

/// One change for each agent, with what it is as its context.
fn first_entries(
    founding: &Founding,
) -> Result<(Vec<raftpb::Entry>, raftpb::HardState), ControlError> {
    let mut members = Vec::new();
    for contact in &founding.members {
        let context = serde_json::to_vec(contact).map_err(ControlError::Encode)?;
        members.push((MemberId::new(contact.member), bytes::Bytes::from(context)));
    }
    Ok(bootstrap_entries(&members))
}

fn config() -> WalConfig {
    WalConfig { segment_bytes: SEGMENT_BYTES, background: false, ..WalConfig::default() }
}
