//! Members over simulated disks, and the messages between them, delivered by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base::{MemberId, SystemClock};
use bytes::Bytes;
use disk::sim::SimDisk;
use parking_lot::Mutex;
use prost::Message as _;
use raft::{GetEntriesContext, StateRole, Storage as _};
use tokio::sync::watch;
use wal::{Wal, WalConfig, snap::SnapDir};
use wire::{
    raftpb::{ConfChange, ConfChangeType, Entry, HardState, Message, MessageType},
    walpb,
};

use super::{
    history::History,
    host::{Machine, Outside, SimHost},
};
use crate::{
    Config, Durable, Status, bootstrap_entries,
    owner::{Halt, Owner, Wires},
    shared::{Input, Shared},
    translate::wire_entry,
};

const WAL: &str = "/data/wal";
const SNAPS: &str = "/data/snap";
pub(super) const ELECTION_TICKS: usize = 10;

/// One member: its disk, and while it runs its owner.
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) disk: SimDisk,
    pub(super) owner: Option<Owner<SimHost>>,
    pub(super) outside: Arc<Mutex<Outside>>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) failure: Option<String>,
    /// What left in the step that failed.
    pub(super) last_words: Vec<Message>,
}

impl Member {
    /// Entries in memory, as etcd has them.
    pub(super) fn log(&self) -> Option<BTreeMap<u64, Entry>> {
        let log = self.owner.as_ref()?.raw.store();
        let (first, last) = (log.first_index().ok()?, log.last_index().ok()?);
        let entries = log.entries(first, last + 1, None, GetEntriesContext::empty(false)).ok()?;
        Some(entries.into_iter().map(wire_entry).map(|entry| (entry.index, entry)).collect())
    }

    pub(super) fn machine(&self) -> Machine {
        self.outside.lock().machine.clone()
    }

    pub(super) fn role(&self) -> Option<StateRole> {
        self.owner.as_ref().map(|owner| owner.raw.raft.state)
    }
}

/// Members, what is on its way between them, and what they did.
pub(super) struct Cluster {
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) wire: Vec<Message>,
    /// Directed links that lose everything.
    pub(super) cut: BTreeSet<(u64, u64)>,
    pub(super) history: History,
    pub(super) seed: u64,
    pub(super) pre_vote: bool,
    moves: u64,
    next_value: u64,
}

impl Cluster {
    /// A new cluster with members 1..=n, nobody leading.
    pub(super) fn new(voters: u64, seed: u64) -> Self {
        let mut cluster = Self {
            members: BTreeMap::new(),
            wire: Vec::new(),
            cut: BTreeSet::new(),
            history: History::default(),
            seed,
            pre_vote: true,
            moves: 0,
            next_value: 0,
        };
        let context = |id: u64| Bytes::from(format!("{{\"id\":{id}}}"));
        let first: Vec<_> = (1..=voters).map(|id| (MemberId::new(id), context(id))).collect();
        let (entries, state) = bootstrap_entries(&first);
        for id in 1..=voters {
            cluster.create(id, &entries, Some(&state));
        }
        cluster
    }

    /// A cluster whose member 1 leads, everybody knows it, and nothing is on its way.
    pub(super) fn led(voters: u64, seed: u64) -> Self {
        let mut cluster = Self::new(voters, seed);
        cluster.input(1, Input::Campaign);
        cluster.settle();
        assert_eq!(cluster.leader(), Some(1));
        cluster
    }

    /// A member that joins: nothing in its log.
    pub(super) fn join(&mut self, id: u64) {
        self.create(id, &[], None);
    }

    fn create(&mut self, id: u64, entries: &[Entry], state: Option<&HardState>) {
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
    pub(super) fn start(&mut self, id: u64) {
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
    pub(super) fn restart_with_log_up_to(&mut self, id: u64, last: u64) {
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
    pub(super) fn crash(&mut self, id: u64, seed: u64) {
        let member = self.members.get_mut(&id).expect("a member");
        member.owner = None;
        member.disk.crash(seed);
    }

    /// Lets an owner do something and whatever follows; collects what it says.
    pub(super) fn act(
        &mut self,
        id: u64,
        act: impl FnOnce(&mut Owner<SimHost>) -> Result<(), Halt>,
    ) {
        let seed = self.seed;
        self.moves += 1;
        let moves = self.moves;
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(owner) = &mut member.owner else { return };
        let result = act(owner).and_then(|()| {
            while owner.work()? {}
            Ok(())
        });
        steer_election(owner, seed, moves);
        let sent = std::mem::take(&mut member.outside.lock().sent);
        if let Err(halt) = result {
            member.failure = Some(format!("{halt:?}"));
            member.owner = None;
            member.last_words.clone_from(&sent);
        } else {
            member.outside.lock().compare_members();
        }
        let member = &self.members[&id];
        self.history.record(member);
        for message in sent {
            self.history.record_message(&message);
            // What travels is bytes.
            let bytes = message.encode_to_vec();
            self.wire.push(Message::decode(bytes.as_slice()).expect("a message"));
        }
    }

    /// Drops what is on its way and what was seen.
    pub(super) fn forget(&mut self) {
        self.wire.clear();
        self.history = History::default();
    }

    pub(super) fn input(&mut self, id: u64, input: Input) {
        self.act(id, |owner| owner.handle(input));
    }

    pub(super) fn tick(&mut self, id: u64) {
        self.act(id, Owner::tick);
    }

    pub(super) fn tick_all(&mut self) {
        for id in self.ids() {
            self.tick(id);
        }
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.members.keys().copied().collect()
    }

    /// Delivers one message, or loses it; the sender of a snapshot hears how it ended.
    pub(super) fn deliver(&mut self, at: usize) {
        let message = self.wire.remove(at);
        let (from, to) = (message.from, message.to);
        let up = self.members.get(&to).is_some_and(|member| member.owner.is_some());
        let lost = !up || self.cut.contains(&(from, to));
        if message.r#type() == MessageType::MsgSnap {
            self.act(from, |owner| {
                owner.shared.leave_errand(|errands| _ = errands.sent.insert(to, !lost));
                owner.handle(Input::Wake)
            });
        }
        if lost {
            self.input(from, Input::Unreachable(to));
        } else {
            self.input(to, Input::Step(Box::new(message)));
        }
    }

    /// Delivers everything, in order, until nothing is on its way.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.wire.is_empty() {
                return;
            }
            self.deliver(0);
        }
        panic!("seed {}: the members never stop talking", self.seed);
    }

    /// Ticks and delivers until the condition holds.
    pub(super) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..500 {
            if done(self) {
                return;
            }
            self.tick_all();
            self.settle();
        }
        for member in self.members.values() {
            println!("{} {:?} {:?}", member.id, member.failure, *member.status.borrow());
        }
        panic!("seed {}: never came: {what}", self.seed);
    }

    /// The member that leads in the highest term.
    pub(super) fn leader(&self) -> Option<u64> {
        let leaders =
            self.members.values().filter(|member| member.role() == Some(StateRole::Leader));
        leaders
            .max_by_key(|member| member.owner.as_ref().map(|owner| owner.raw.raft.term))
            .map(|member| member.id)
    }

    /// Proposes the next number at a member.
    pub(super) fn propose(&mut self, id: u64) -> u64 {
        self.next_value += 1;
        let value = self.next_value;
        self.input(id, Input::Propose(Bytes::copy_from_slice(&value.to_be_bytes())));
        value
    }

    pub(super) fn propose_change(&mut self, at: u64, kind: ConfChangeType, id: u64) {
        let change = ConfChange {
            id: self.next_value,
            r#type: kind.into(),
            node_id: id,
            context: Some(Bytes::from_static(b"{\"name\":\"x\"}")),
        };
        self.input(at, Input::ProposeConfChange(change.encode_to_vec().into()));
    }

    /// Cuts a member off from all others, both ways.
    pub(super) fn isolate(&mut self, id: u64) {
        for other in self.ids() {
            self.cut.extend([(id, other), (other, id)]);
        }
    }

    /// Saves a `.snap` of the applied state; entries up to `keep` before it leave the memory.
    pub(super) fn snapshot(&mut self, id: u64, keep: u64) {
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

    /// Everybody runs, everything arrives; then all must have the same state.
    pub(super) fn heal_and_agree(&mut self) -> Machine {
        self.cut.clear();
        for id in self.ids() {
            if self.members[&id].owner.is_none() {
                self.start(id);
            }
        }
        let before = self.history.committed();
        let marker = self.propose_until_applied();
        self.run_until("the same state everywhere", |cluster| {
            let mut machines = cluster.members.values().map(Member::machine);
            let first = machines.next().expect("a member");
            first.index > before && machines.all(|machine| machine == first)
        });
        self.history.compare_logs(&self.members);
        let machine = self.members.values().next().expect("a member").machine();
        assert!(machine.values.contains(&marker));
        machine
    }

    /// A number that is applied somewhere in the end.
    pub(super) fn propose_until_applied(&mut self) -> u64 {
        for _ in 0..50 {
            self.run_until("a leader", |cluster| cluster.leader().is_some());
            let Some(leader) = self.leader() else { continue };
            let value = self.propose(leader);
            for _ in 0..5 {
                self.settle();
                self.tick_all();
            }
            let applied = |member: &Member| member.machine().values.contains(&value);
            if self.members.values().any(applied) {
                return value;
            }
        }
        panic!("seed {}: no proposal is ever applied", self.seed);
    }
}

fn wal_config() -> WalConfig {
    WalConfig { segment_bytes: 8 * 1024, background: false, ..WalConfig::default() }
}

pub(super) fn config(id: u64, pre_vote: bool) -> Config {
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

/// raft-rs draws its election timeouts by itself; a run must be the same again for its seed.
fn steer_election(owner: &mut Owner<SimHost>, seed: u64, moves: u64) {
    let raft = &mut owner.raw.raft;
    let mut mix = seed ^ raft.id.rotate_left(17) ^ raft.term.rotate_left(29) ^ (moves / 64);
    mix = (mix ^ (mix >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let spread = usize::try_from((mix ^ (mix >> 31)) % 10).expect("small");
    raft.set_randomized_election_timeout(ELECTION_TICKS + spread);
}
