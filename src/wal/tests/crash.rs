//! Power goes at any moment, many times on one log. What was acknowledged is there, in order, and
//! nothing is invented: what comes back is a beginning of what was written.

use std::{collections::BTreeMap, sync::Arc};

use disk::{Disk, sim::SimDisk};
use wire::{
    raftpb::{Entry, HardState},
    walpb,
};

use super::{config, dir, entry, mark, metadata, open, state};
use crate::{Replay, Wal, exists, snapshot_marks};

const SEEDS: u64 = 300;
const LIVES: u32 = 5;

/// Repeatable random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Written {
    Entry(Entry),
    State(HardState),
    Mark(walpb::Snapshot),
}

/// What a beginning of the history means.
#[derive(Debug, Default, Clone, PartialEq)]
struct Meaning {
    log: BTreeMap<u64, Entry>,
    state: HardState,
    mark: walpb::Snapshot,
}

impl Meaning {
    fn take(&mut self, written: &Written) {
        match written {
            Written::Entry(entry) => {
                self.log.split_off(&entry.index);
                self.log.insert(entry.index, entry.clone());
            }
            Written::State(state) => self.state = *state,
            Written::Mark(mark) => self.mark = mark.clone(),
        }
    }

    fn last(&self) -> u64 {
        self.log.keys().next_back().copied().unwrap_or_default()
    }

    fn matches(&self, from: &walpb::Snapshot, replay: &Replay) -> bool {
        let entries = self.log.range(from.index + 1..).map(|(_, entry)| entry);
        self.mark == *from && self.state == replay.hard_state && entries.eq(&replay.entries)
    }
}

/// The writer's side of the story.
struct Story {
    random: Random,
    segment_bytes: u64,
    history: Vec<Written>,
    /// So many of the history were acknowledged as durable.
    acknowledged: usize,
    now: Meaning,
    term: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let segment_bytes = 1000 + random.below(12_000);
        Self {
            random,
            segment_bytes,
            history: Vec::new(),
            acknowledged: 0,
            now: Meaning::default(),
            term: 1,
        }
    }

    fn write(&mut self, written: Written) {
        self.now.take(&written);
        self.history.push(written);
    }

    /// One call of the log; whether it succeeded.
    fn step(&mut self, wal: &mut Wal) -> bool {
        match self.random.below(12) {
            0..=6 => self.append(wal),
            7..=9 => {
                // Only the commit index moves: need not be durable.
                let state = state(self.now.state.term, self.now.last());
                self.write(Written::State(state));
                wal.append(&[], Some(&state), false).is_ok()
            }
            _ => self.snapshot(wal),
        }
    }

    fn append(&mut self, wal: &mut Wal) -> bool {
        let uncommitted = self.now.last().saturating_sub(self.now.state.commit);
        let replaced = self.random.below(uncommitted.min(2) + 1);
        self.term += u64::from(replaced > 0);
        let first = self.now.last() + 1 - replaced;
        let batch: Vec<Entry> = (first..=first + self.random.below(5))
            .map(|index| {
                let len = [3, 40, 700, 3000][usize::try_from(self.random.below(4)).unwrap()];
                // Zeroes and a repeated byte, so that chance cannot help the reader.
                let fill = u8::try_from(self.random.below(3)).unwrap();
                entry(index, self.term, &vec![fill; len])
            })
            .collect();
        let state = (self.random.below(2) == 0).then(|| state(self.term, first - 1));
        for entry in &batch {
            self.write(Written::Entry(entry.clone()));
        }
        if let Some(state) = state {
            self.write(Written::State(state));
        }
        let done = wal.append(&batch, state.as_ref(), true).is_ok();
        if done {
            self.acknowledged = self.history.len();
        }
        done
    }

    fn snapshot(&mut self, wal: &mut Wal) -> bool {
        let index = self.now.last();
        if index <= self.now.mark.index {
            return true;
        }
        let commit = state(self.term, index);
        self.write(Written::State(commit));
        if wal.append(&[], Some(&commit), true).is_err() {
            return false;
        }
        let mark = mark(index, self.now.log[&index].term);
        self.write(Written::Mark(mark.clone()));
        if wal.mark_snapshot(&mark).is_err() {
            return false;
        }
        self.acknowledged = self.history.len();
        wal.release_before(index.into());
        wal.purge(2).is_ok()
    }

    /// Opens the log after a crash and finds out which beginning of the history it holds.
    fn recover(&mut self, disk: &SimDisk) -> Wal {
        let marks = snapshot_marks(disk, dir()).unwrap();
        let from = marks.iter().max_by_key(|mark| mark.index).unwrap().clone();
        let (wal, replay) = open(disk, &from, self.segment_bytes).unwrap();
        assert_eq!(replay.metadata, metadata());
        let mut meaning = Meaning::default();
        let mut found = None;
        for count in 0..=self.history.len() {
            if count > 0 {
                meaning.take(&self.history[count - 1]);
            }
            if count >= self.acknowledged && meaning.matches(&from, &replay) {
                found = Some((count, meaning.clone()));
            }
        }
        let (count, meaning) = found.unwrap_or_else(|| {
            panic!(
                "{} of {} records were acknowledged; from {from:?} came {:?} and entries {:?}",
                self.acknowledged,
                self.history.len(),
                replay.hard_state,
                replay.entries.iter().map(|entry| (entry.index, entry.term)).collect::<Vec<_>>(),
            )
        });
        self.history.truncate(count);
        self.acknowledged = count;
        self.now = meaning;
        self.term = self.term.max(self.now.state.term) + 1;
        wal
    }
}

fn live(disk: &SimDisk, story: &mut Story, wal: &mut Wal) {
    disk.power_off_after(story.random.below(60));
    for _ in 0..200 {
        if !story.step(wal) {
            assert!(wal.append(&[], Some(&state(9, 9)), true).is_err(), "the handle is dead");
            return;
        }
    }
}

#[test]
fn acknowledged_records_survive_power_cuts_in_order_and_alone() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut story = Story::new(seed);
        let disk = SimDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut wal = Wal::create(shared, dir(), metadata(), config(story.segment_bytes)).unwrap();
        for _ in 0..LIVES {
            live(&disk, &mut story, &mut wal);
            drop(wal);
            disk.crash(story.random.below(u64::MAX));
            // Power may also go while the log is opened.
            disk.power_off_after(story.random.below(12));
            drop(open(&disk, &story.now.mark, story.segment_bytes));
            disk.crash(story.random.below(u64::MAX));
            wal = story.recover(&disk);
        }
    }
}

#[test]
fn a_log_exists_whole_or_not_at_all_wherever_power_goes() {
    let mut existing = 0;
    for operations in 0..40 {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let make = || Wal::create(Arc::new(disk.clone()), dir(), metadata(), config(2000));
            disk.power_off_after(operations);
            let made = make().is_ok();
            disk.crash(seed);
            if exists(&disk, dir()).unwrap() {
                existing += 1;
                open(&disk, &mark(0, 0), 2000).unwrap();
            } else {
                assert!(!made);
                drop(make().unwrap());
            }
        }
    }
    assert!(existing > 0);
}
