//! The world the model explores: hosts with an agent and a node of the old lineage, and what can befall them.
//!
//! The network may lose everything: each step picks who takes part. So partitions, silent hosts and processes that crash and
//! start again need no state of their own: a host that takes part in nothing is all of these.

use std::collections::BTreeSet;

use base::Epoch;
use lineage::{Choice, Fence, Loss, RecordState};
use uuid::Uuid;

pub(crate) const CLUSTER: Uuid = Uuid::from_u128(0xc1);
/// The lineage all begin in.
pub(crate) const OLD: Epoch = Epoch::new(1);

/// A set of hosts, a bit each.
pub(crate) type Hosts = u8;

/// Each host of a set.
pub(crate) fn each(hosts: Hosts) -> impl Iterator<Item = usize> {
    (0..8).filter(move |host| hosts >> host & 1 == 1)
}

pub(crate) const fn only(host: usize) -> Hosts {
    1 << host
}

pub(crate) const fn quorum(voters: Hosts) -> u32 {
    voters.count_ones() / 2 + 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Write,
    /// From here on these vote.
    Voters(Hosts),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) term: u8,
    pub(crate) kind: Kind,
}

/// How far a node went: highest term, highest index acknowledged in it, highest index ever, commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reach {
    pub(crate) term: u8,
    pub(crate) acknowledged: u8,
    pub(crate) highest: u8,
    pub(crate) commit: u8,
}

/// A configuration in the record that the node keeps off its data disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Recorded {
    pub(crate) index: u8,
    pub(crate) term: u8,
    pub(crate) voters: Hosts,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Host {
    // The data disk.
    pub(crate) disk: bool,
    pub(crate) term: u8,
    pub(crate) commit: u8,
    pub(crate) log: Vec<Entry>,
    /// The dir was built anew from the image of a new lineage.
    pub(crate) rebuilt: bool,
    // The process.
    pub(crate) up: bool,
    pub(crate) leads: bool,
    // What stands off the data disk.
    pub(crate) record: RecordState,
    pub(crate) fence: Fence,
    pub(crate) recorded: Vec<Recorded>,
    /// Mark and reservation: here without any lag.
    pub(crate) reach: Reach,
    // The machine.
    /// It booted since its node last acknowledged something.
    pub(crate) booted: bool,
    pub(crate) off: bool,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) changes: u8,
    pub(crate) lost_disks: u8,
    pub(crate) restored_disks: u8,
    pub(crate) lost_agents: u8,
    pub(crate) restored_agents: u8,
    pub(crate) confirmed_off: u8,
    pub(crate) aborts: u8,
}

/// All that was ever committed by the old lineage, and what broke.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Truth {
    pub(crate) committed: Vec<Entry>,
    /// The choices opened.
    pub(crate) opened: Vec<Choice>,
    /// What was declared with each choice (kept only if a test needs it).
    pub(crate) declared: Vec<(Choice, Loss)>,
    /// When the first was opened: every log of the old lineage, the image, and what was declared.
    pub(crate) at_open: Option<AtOpen>,
    /// Two choices of one epoch were opened.
    pub(crate) epoch_twice: bool,
    /// The old lineage committed something new after another was opened, or two were opened.
    pub(crate) split: bool,
    /// More was lost than was declared.
    pub(crate) lied: bool,
    /// The old lineage contradicted itself.
    pub(crate) raft_broke: bool,
    /// A recovery was opened with a loss of none, with a bound, by adoption.
    pub(crate) opened_without_loss: bool,
    pub(crate) opened_with_bound: bool,
    pub(crate) opened_by_adoption: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AtOpen {
    pub(crate) logs: BTreeSet<Vec<Entry>>,
    pub(crate) image: Vec<Entry>,
    pub(crate) loss: Loss,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            disk: true,
            term: 1,
            commit: 0,
            log: Vec::new(),
            rebuilt: false,
            up: true,
            leads: false,
            record: RecordState::Intact,
            fence: Fence::new(CLUSTER, OLD),
            recorded: Vec::new(),
            reach: Reach { term: 1, ..Reach::default() },
            booted: false,
            off: false,
        }
    }

    /// (last term, last index)
    pub(crate) fn last(&self) -> (u8, u8) {
        (self.log.last().map_or(0, |entry| entry.term), length(&self.log))
    }

    /// The voters as this node has applied them.
    pub(crate) fn applied_voters(&self, first: Hosts) -> Hosts {
        voters_at(&self.log, self.commit, first)
    }

    fn enter(&mut self, term: u8) {
        if term > self.term {
            self.term = term;
            self.reach.term = term;
            self.reach.acknowledged = 0;
        }
    }

    fn acknowledge(&mut self) {
        let end = length(&self.log);
        self.reach.acknowledged = self.reach.acknowledged.max(end);
        self.reach.highest = self.reach.highest.max(end);
        self.reach.commit = self.reach.commit.max(self.commit);
    }

    /// The node records what its log says before it acknowledges.
    fn record_changes(&mut self) {
        if self.record == RecordState::Absent {
            return;
        }
        for (at, entry) in self.log.iter().enumerate() {
            if let Kind::Voters(voters) = entry.kind {
                let index = u8::try_from(at + 1).expect("a short log");
                let change = Recorded { index, term: entry.term, voters };
                if !self.recorded.contains(&change) {
                    self.recorded.push(change);
                }
            }
        }
    }
}

pub(crate) fn length(log: &[Entry]) -> u8 {
    u8::try_from(log.len()).expect("a short log")
}

/// Who votes after the first `applied` entries.
pub(crate) fn voters_at(log: &[Entry], applied: u8, first: Hosts) -> Hosts {
    let applied = &log[..usize::from(applied)];
    let changes = applied.iter().rev().find_map(|entry| match entry.kind {
        Kind::Voters(voters) => Some(voters),
        Kind::Write => None,
    });
    changes.unwrap_or(first)
}

/// The old lineage's raft: hosts, the voters it began with, and what it committed.
#[derive(Debug)]
pub(crate) struct Raft<'a> {
    pub(crate) hosts: &'a mut Vec<Host>,
    pub(crate) truth: &'a mut Truth,
    pub(crate) first: Hosts,
}

impl Raft<'_> {
    /// `leader` asks `others`, all grant, and it leads the next term. False if one would not.
    pub(crate) fn elect(&mut self, leader: usize, others: Hosts, terms_max: u8) -> bool {
        let candidate = &self.hosts[leader];
        let voters = candidate.applied_voters(self.first);
        let asked = others | only(leader);
        let last = candidate.last();
        let term = each(asked).map(|host| self.hosts[host].term).max().unwrap_or(0) + 1;
        let granted =
            each(asked).all(|host| self.hosts[host].up && self.hosts[host].last() <= last);
        if !granted
            || asked & !voters != 0
            || asked.count_ones() < quorum(voters)
            || term > terms_max
        {
            return false;
        }
        for host in each(asked) {
            self.hosts[host].enter(term);
            self.hosts[host].leads = host == leader;
        }
        true
    }

    /// The leader appends an entry to its own log.
    pub(crate) fn append(&mut self, leader: usize, kind: Kind) {
        let host = &mut self.hosts[leader];
        host.log.push(Entry { term: host.term, kind });
        host.record_changes();
        host.acknowledge();
        self.commit(leader);
    }

    /// Whether the leader may append a change: none is pending, and nothing older is uncommitted.
    pub(crate) fn can_change(host: &Host) -> bool {
        host.leads
            && host.log[usize::from(host.commit)..]
                .iter()
                .all(|entry| entry.term == host.term && entry.kind == Kind::Write)
    }

    /// The follower takes over the leader's log and acknowledges it; the leader counts.
    pub(crate) fn replicate(&mut self, leader: usize, follower: usize) {
        let (term, log, commit) = {
            let host = &self.hosts[leader];
            (host.term, host.log.clone(), host.commit)
        };
        let host = &mut self.hosts[follower];
        host.enter(term);
        host.leads = false;
        host.log = log;
        host.commit = host.commit.max(commit);
        host.record_changes();
        host.acknowledge();
        self.commit(leader);
    }

    /// As far as a quorum of the voters it has applied acknowledged the leader's own term.
    fn commit(&mut self, leader: usize) {
        loop {
            let host = &self.hosts[leader];
            let voters = host.applied_voters(self.first);
            let term = host.term;
            let held = |index: u8| {
                let holds = |voter: &usize| {
                    let reach = &self.hosts[*voter].reach;
                    reach.term == term && reach.acknowledged >= index
                };
                let count = each(voters).filter(holds).count();
                u32::try_from(count).expect("a few hosts") >= quorum(voters)
            };
            let own_term = |index: &u8| host.log[usize::from(*index) - 1].term == term;
            let next = (host.commit + 1..=length(&host.log))
                .rev()
                .filter(own_term)
                .find(|index| held(*index));
            let Some(index) = next else { return };
            let host = &mut self.hosts[leader];
            host.commit = index;
            host.acknowledge();
            let log = host.log[..usize::from(index)].to_vec();
            self.truth.note(&log);
        }
    }
}

impl Truth {
    fn note(&mut self, log: &[Entry]) {
        let shorter = log.len().min(self.committed.len());
        self.raft_broke |= log[..shorter] != self.committed[..shorter];
        if log.len() > self.committed.len() {
            self.committed = log.to_vec();
            self.note_late();
        }
    }

    /// What is committed after the opening was on its way before: a leader that nobody fenced holds acknowledgements from
    /// before the promises. It must be in the image, or within what was declared; and nothing new may be committed.
    pub(crate) fn note_late(&mut self) {
        let Some(AtOpen { logs, image, loss }) = &self.at_open else { return };
        let kept = image.iter().zip(&self.committed).take_while(|(one, other)| one == other);
        let lost = u64::try_from(self.committed.len() - kept.count()).expect("a short log");
        self.lied |= match loss {
            Loss::None => lost > 0,
            Loss::AtMost { entries, .. } => lost > *entries,
            Loss::Unknown => false,
        };
        self.split |= !logs.iter().any(|log| log.starts_with(&self.committed))
            && !image.starts_with(&self.committed);
    }
}

/// What befalls a host.
impl Host {
    /// The data disk is empty.
    pub(crate) fn lose_disk(&mut self) {
        self.disk = false;
        self.rebuilt = false;
        self.log.clear();
        self.term = 0;
        self.commit = 0;
        self.up = false;
        self.leads = false;
    }

    /// The data disk is as it was an entry ago. The node stays down until someone asks for its log.
    pub(crate) fn restore_disk(&mut self) {
        self.log.pop();
        self.term = self.last().0.max(1);
        self.commit = self.commit.min(length(&self.log));
        self.booted = true;
        self.up = false;
        self.leads = false;
    }

    /// The agent's disk is empty. A node that runs runs on (R14); one that was fenced does not start without a record (R13).
    pub(crate) fn lose_agent(&mut self) {
        self.record = RecordState::Absent;
        self.fence = Fence::new(CLUSTER, OLD);
        self.recorded.clear();
    }

    /// The agent's disk is as it was in the beginning.
    pub(crate) fn restore_agent(&mut self, record: RecordState, starts: bool) {
        self.record = record;
        self.fence = Fence::new(CLUSTER, OLD);
        self.recorded.clear();
        self.booted = true;
        self.up = starts && self.disk && !self.rebuilt;
        self.leads = false;
    }

    /// Power off; at boot it is wiped.
    pub(crate) fn turn_off(&mut self) {
        self.lose_disk();
        self.lose_agent();
        self.off = true;
    }
}
