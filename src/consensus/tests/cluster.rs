//! Members over simulated disks, and the messages between them, delivered by hand.

mod durable;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base::MemberId;
use bytes::Bytes;
use disk::sim::SimDisk;
use parking_lot::Mutex;
use prost::Message as _;
use raft::{GetEntriesContext, StateRole, Storage as _};
use tokio::sync::watch;
use wire::raftpb::{ConfChange, ConfChangeType, Entry, EntryType, Message, MessageType};

pub(super) use durable::config;

use super::{
    history::History,
    host::{Machine, Outside, SimHost},
};
use crate::{
    Status, bootstrap_entries,
    owner::{Halt, Owner},
    shared::Input,
    translate::wire_entry,
};

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
            compare_configurations(member);
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

/// Every change that may come into force is noted, and the last one that has.
fn compare_configurations(member: &Member) {
    let Some(owner) = &member.owner else { return };
    let log = owner.raw.store();
    let changes: Vec<u64> = member
        .log()
        .unwrap_or_default()
        .into_values()
        .filter(|entry| entry.r#type() == EntryType::EntryConfChange)
        .filter(|entry| ConfChange::decode(entry.data.clone().unwrap_or_default()).is_ok())
        .map(|entry| entry.index)
        .filter(|index| *index > log.changed_at())
        .collect();
    let committed = owner.raw.raft.raft_log.committed;
    let in_force = changes.iter().copied().filter(|index| *index <= committed).max();
    let noted = &member.outside.lock().noted;
    if noted.term.get() == 0 {
        return; // Started anew, and nothing said yet.
    }
    for index in changes.iter().copied().filter(|index| *index > committed).chain(in_force) {
        let found = noted.configurations.iter().any(|one| one.index.get() == index);
        assert!(found, "the change {index} of member {} is not in {noted:?}", member.id);
    }
    assert!(committed <= noted.index.get() || owner.raw.raft.state != StateRole::Leader);
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
