//! What members have on their disks: made, started from, rolled back, lost in a crash.

use std::{path::Path, sync::Arc, time::Duration};

use base::{MemberId, SystemClock};
use disk::sim::SimDisk;
use parking_lot::Mutex;
use tokio::sync::watch;
use wal::{Wal, WalConfig, snap::SnapDir};
use wire::{
    raftpb::{Entry, HardState},
    walpb,
};

use super::{Cluster, ELECTION_TICKS, Member};
use crate::{
    Config, Durable, Status,
    owner::{Owner, Wires},
    shared::{Input, Shared},
    tests::host::{Machine, Outside, SimHost},
};

const WAL: &str = "/data/wal";
const SNAPS: &str = "/data/snap";

impl Cluster {
    /// A member that joins: nothing in its log.
    pub(in crate::tests) fn join(&mut self, id: u64) {
        self.create(id, &[], None);
    }

    pub(in crate::tests) fn create(
        &mut self,
        id: u64,
        entries: &[Entry],
        state: Option<&HardState>,
    ) {
        let disk = SimDisk::new();
        let shared: Arc<dyn disk::Disk> = Arc::new(disk.clone());
        shared.create_dir_all(Path::new(SNAPS)).expect("folder");
        let metadata = walpb::Metadata { node_id: id, cluster_id: 7 };
        let mut wal =
            Wal::create(shared, Path::new(WAL), metadata, wal_config()).expect("a new log");
        wal.append(entries, state, true).expect("the first entries");
        drop(wal);
        self.members.insert(
            id,
            Member {
                id,
                disk,
                owner: None,
                outside: Arc::default(),
                status: watch::channel(Status::default()).1,
                failure: None,
                last_words: Vec::new(),
            },
        );
        self.start(id);
    }

    /// Starts a member from its disk, as a node does.
    pub(in crate::tests) fn start(&mut self, id: u64) {
        let pre_vote = self.pre_vote;
        let member = self.members.get_mut(&id).expect("a member");
        assert!(member.owner.is_none(), "{id} runs already");
        member.failure = None;
        let disk: Arc<dyn disk::Disk> = Arc::new(member.disk.clone());
        let snaps = SnapDir::new(Arc::clone(&disk), Path::new(SNAPS));
        let marks = wal::snapshot_marks(&*disk, Path::new(WAL)).expect("marks");
        let newest = snaps.newest(&marks).expect("snapshots").unwrap_or_default();
        let from = walpb::Snapshot {
            index: newest.metadata.index,
            term: newest.metadata.term,
            conf_state: None,
        };
        let (wal, replay) = Wal::open(disk, Path::new(WAL), &from, wal_config()).expect("the log");
        let machine = Machine::restore(&newest);
        member.outside = Arc::new(Mutex::new(Outside::starting_at(machine)));
        let shared = Arc::new(Shared::default());
        let (verdicts, changes) = crossbeam_channel::bounded(64);
        let (sender, status) = watch::channel(Status::default());
        let host = SimHost {
            outside: Arc::clone(&member.outside),
            shared: Arc::clone(&shared),
            changes: verdicts,
        };
        let durable = Durable {
            wal,
            snaps,
            applied: newest.metadata.index.into(),
            snapshot: newest.metadata,
            hard_state: replay.hard_state,
            entries: replay.entries,
        };
        let wires = Wires { host, shared, changes, status: sender };
        member.status = status;
        let owner = Owner::new(&config(id, pre_vote), durable, wires).expect("a sound disk");
        member.owner = Some(owner);
        self.act(id, |_| Ok(()));
    }

    /// A disk rolled back: starts a stopped member with only a part of its log.
    pub(in crate::tests) fn restart_with_log_up_to(&mut self, id: u64, last: u64) {
        let member = self.members.remove(&id).expect("a member");
        let disk: Arc<dyn disk::Disk> = Arc::new(member.disk);
        let from = walpb::Snapshot::default();
        let opened = Wal::open(disk, Path::new(WAL), &from, wal_config()).expect("the log");
        let (_, mut replay) = opened;
        replay.entries.retain(|entry| entry.index <= last);
        replay.hard_state.commit = last;
        self.create(id, &replay.entries, Some(&replay.hard_state));
    }

    /// Loses power; what was not synced may be gone.
    pub(in crate::tests) fn crash(&mut self, id: u64, seed: u64) {
        let member = self.members.get_mut(&id).expect("a member");
        member.owner = None;
        member.disk.crash(seed);
    }

    /// Saves a `.snap` of the applied state; entries up to `keep` before it leave the memory.
    pub(in crate::tests) fn snapshot(&mut self, id: u64, keep: u64) {
        let Some(member) = self.members.get(&id) else { return };
        let machine = member.machine();
        if machine.index == 0 || member.owner.is_none() {
            return;
        }
        let disk = Arc::new(member.disk.clone());
        let snapshot = machine.snapshot();
        if SnapDir::new(disk, Path::new(SNAPS)).save(&snapshot).is_err() {
            return;
        }
        let mark = walpb::Snapshot {
            index: machine.index,
            term: machine.term,
            conf_state: Some(machine.conf_state()),
        };
        self.act(id, |owner| {
            owner.shared.leave_errand(|errands| {
                errands.saved = Some(mark);
                errands.compact_to = Some(machine.index.saturating_sub(keep));
            });
            owner.handle(Input::Wake)
        });
    }
}

fn wal_config() -> WalConfig {
    WalConfig { segment_bytes: 8 * 1024, background: false, ..WalConfig::default() }
}

pub(in crate::tests) fn config(id: u64, pre_vote: bool) -> Config {
    Config {
        id: MemberId::new(id),
        tick: Duration::from_millis(10),
        election_ticks: ELECTION_TICKS,
        heartbeat_ticks: 1,
        pre_vote,
        fast_forward_election: true,
        max_wals: 3,
        max_snaps: 2,
        clock: Arc::new(SystemClock),
    }
}
