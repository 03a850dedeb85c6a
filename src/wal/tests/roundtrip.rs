//! What is written comes back, from whatever mark one starts.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use disk::{RealDisk, sim::SimDisk};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use prost::Message;
use wire::{
    raftpb::{Entry, HardState},
    walpb,
};

use super::{DIR, config, dir, entry, mark, metadata, names, new_wal, open, state};
use crate::{
    Wal, WalError, exists,
    name::list,
    read::{Record, Source, read},
    scan, snapshot_marks,
};

/// All records of a log, written again by us; the bytes of the first segment.
pub(super) fn rewritten(from: &Path) -> Vec<u8> {
    let segments = list(&RealDisk, from).unwrap();
    let mut records = Vec::new();
    let source = Source { disk: &RealDisk, dir: from, segments: &segments, synced: true };
    let end = read(source, &mut |record| {
        records.push(record);
        Ok(())
    })
    .unwrap();
    let disk = SimDisk::new();
    let metadata = walpb::Metadata::decode(end.metadata).unwrap();
    let mut wal = Wal::create(Arc::new(disk.clone()), dir(), metadata, config(1 << 20)).unwrap();
    // The first mark is written by create.
    for record in &records[1..] {
        match record {
            Record::Entry(entry) => wal.append(std::slice::from_ref(entry), None, true).unwrap(),
            Record::State(state) => wal.append(&[], Some(state), true).unwrap(),
            Record::Mark(mark) => wal.mark_snapshot(mark).unwrap(),
        }
    }
    disk::read(&disk, &dir().join("0000000000000000-0000000000000000.wal")).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    /// Replaces that many of the last entries, then appends those payloads in the next term.
    Append {
        replaced: u64,
        payloads: Vec<Vec<u8>>,
        with_state: bool,
    },
    Mark,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let payloads = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..900), 0..6);
    prop_oneof![
        4 => (0_u64..3, payloads, any::<bool>()).prop_map(|(replaced, payloads, with_state)| {
            Step::Append { replaced, payloads, with_state }
        }),
        1 => proptest::strategy::Just(Step::Mark),
        1 => proptest::strategy::Just(Step::Reopen),
    ]
}

/// The log as a map: the dumb second implementation.
#[derive(Debug, Default)]
struct Model {
    log: BTreeMap<u64, Entry>,
    state: HardState,
    term: u64,
    marks: Vec<walpb::Snapshot>,
}

impl Model {
    fn last(&self) -> u64 {
        self.log.keys().next_back().copied().unwrap_or_default()
    }

    fn append(&mut self, replaced: u64, payloads: &[Vec<u8>]) -> Vec<Entry> {
        self.term += 1;
        let floor = self.marks.last().map_or(0, |mark| mark.index);
        let first = (self.last() + 1).saturating_sub(replaced).max(floor + 1);
        let batch: Vec<Entry> = (first..)
            .zip(payloads)
            .map(|(index, payload)| entry(index, self.term, payload))
            .collect();
        if !batch.is_empty() {
            self.log.split_off(&first);
            self.log.extend(batch.iter().map(|entry| (entry.index, entry.clone())));
        }
        batch
    }

    fn check(&self, disk: &SimDisk, segment_bytes: u64) {
        let summary = scan(disk, dir()).unwrap();
        assert_eq!(summary.marks[1..], self.marks);
        assert_eq!((summary.hard_state, summary.last_index), (self.state, self.last()));
        assert!(!summary.torn);
        for from in std::iter::once(&mark(0, 0)).chain(&self.marks) {
            let (_, replay) = open(disk, from, segment_bytes).unwrap();
            let expected: Vec<Entry> =
                self.log.range(from.index + 1..).map(|(_, entry)| entry.clone()).collect();
            assert_eq!(replay.entries, expected);
            assert_eq!((replay.metadata, replay.hard_state), (metadata(), self.state));
            assert!(!replay.repaired);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn everything_comes_back_from_every_mark(
        steps in proptest::collection::vec(step(), 1..40),
        segment_bytes in 600_u64..9000,
    ) {
        let (disk, mut wal) = new_wal(segment_bytes);
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Append { replaced, payloads, with_state } => {
                    let batch = model.append(*replaced, payloads);
                    if *with_state {
                        model.state = state(model.term, model.last());
                    }
                    wal.append(&batch, with_state.then_some(&model.state), true).unwrap();
                }
                Step::Mark if model.last() > model.marks.last().map_or(0, |mark| mark.index) => {
                    let new = mark(model.last(), model.log[&model.last()].term);
                    wal.mark_snapshot(&new).unwrap();
                    model.marks.push(new);
                }
                Step::Mark => {}
                Step::Reopen => {
                    drop(wal);
                    wal = open(&disk, &mark(0, 0), segment_bytes).unwrap().0;
                }
            }
        }
        drop(wal);
        model.check(&disk, segment_bytes);
    }
}

#[test]
fn a_log_is_made_once() {
    let disk = SimDisk::new();
    assert!(!exists(&disk, dir()).unwrap());
    let make = || Wal::create(Arc::new(disk.clone()), dir(), metadata(), config(4096));
    drop(make().unwrap());
    assert!(exists(&disk, dir()).unwrap());
    assert!(matches!(make(), Err(WalError::AlreadyExists { .. })));
}

#[test]
fn a_log_is_opened_by_one_writer_only() {
    let (disk, wal) = new_wal(4096);
    assert!(matches!(open(&disk, &mark(0, 0), 4096), Err(WalError::Locked { .. })));
    drop(wal);
    open(&disk, &mark(0, 0), 4096).unwrap();
}

#[test]
fn marks_above_the_commit_index_are_not_for_use() {
    let (disk, mut wal) = new_wal(4096);
    wal.append(&super::entries(1..=9), Some(&state(1, 5)), true).unwrap();
    wal.mark_snapshot(&mark(5, 1)).unwrap();
    wal.mark_snapshot(&mark(8, 1)).unwrap();
    assert_eq!(snapshot_marks(&disk, dir()).unwrap(), [mark(0, 0), mark(5, 1)]);
    assert_eq!(scan(&disk, dir()).unwrap().marks.len(), 3);
}

#[test]
fn a_mark_from_a_leaders_snapshot_may_lie_above_the_log() {
    let (disk, mut wal) = new_wal(600);
    wal.append(&super::entries(1..=9), Some(&state(1, 5)), true).unwrap();
    wal.append(&[], Some(&state(2, 100)), true).unwrap();
    wal.mark_snapshot(&mark(100, 2)).unwrap();
    wal.append(&[entry(101, 2, &[1; 700])], None, true).unwrap();
    wal.append(&[entry(102, 2, &[1; 700])], None, true).unwrap();
    drop(wal);
    let (_, replay) = open(&disk, &mark(100, 2), 600).unwrap();
    assert_eq!(replay.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [101, 102]);
    assert!(names(&disk).len() >= 3);
    let gap = open(&disk, &mark(5, 1), 600).map(|_| ()).unwrap_err();
    assert!(matches!(gap, WalError::MarkNotFound { .. } | WalError::Corrupt { .. }), "{gap}");
}

#[test]
fn entries_may_not_be_skipped() {
    let (disk, mut wal) = new_wal(4096);
    wal.append(&super::entries(1..=3), None, true).unwrap();
    let error = wal.append(&[entry(5, 1, b"")], None, true).unwrap_err();
    assert_eq!(error.to_string(), "entry 5 cannot follow entry 3");
    drop(wal);
    let (mut wal, replay) = open(&disk, &mark(0, 0), 4096).unwrap();
    assert_eq!(replay.entries.len(), 3);
    let error = wal.append(&[entry(4, 1, b""), entry(6, 1, b"")], None, true).unwrap_err();
    assert_eq!(error.to_string(), "entry 6 cannot follow entry 4");
}

#[test]
fn absent_logs_and_marks_are_told_apart() {
    let disk = SimDisk::new();
    let missing = open(&disk, &mark(0, 0), 4096).map(|_| ()).unwrap_err();
    assert_eq!(missing.to_string(), format!("no WAL file in {DIR}"));
    assert!(matches!(scan(&disk, dir()), Err(WalError::Missing { .. })));
    let (disk, mut wal) = new_wal(4096);
    wal.append(&super::entries(1..=3), Some(&state(1, 3)), true).unwrap();
    wal.mark_snapshot(&mark(2, 1)).unwrap();
    drop(wal);
    let unknown = open(&disk, &mark(3, 1), 4096).map(|_| ()).unwrap_err();
    assert!(matches!(unknown, WalError::MarkNotFound { index: 3, term: 1, .. }), "{unknown}");
    let differs = open(&disk, &mark(2, 9), 4096).map(|_| ()).unwrap_err();
    assert!(matches!(differs, WalError::Corrupt { .. }), "{differs}");
}

#[test]
fn an_entry_below_the_mark_ends_the_log_that_it_replaced() {
    let (disk, mut wal) = new_wal(4096);
    wal.append(&super::entries(1..=11), None, true).unwrap();
    wal.append(&[entry(10, 2, b"new")], Some(&state(2, 10)), true).unwrap();
    wal.mark_snapshot(&mark(10, 2)).unwrap();
    drop(wal);
    let (_, replay) = open(&disk, &mark(10, 2), 4096).unwrap();
    assert_eq!(replay.entries, [], "entry 11 was replaced: to bring it back would lower the term");
}

#[test]
fn a_leaders_snapshot_ends_a_log_of_lower_terms() {
    let (disk, mut wal) = new_wal(4096);
    let change = Entry { r#type: 1, ..entry(12, 1, b"change") };
    wal.append(&super::entries(1..=11), Some(&state(1, 3)), true).unwrap();
    wal.append(&[change], None, true).unwrap();
    wal.append(&[], Some(&state(2, 8)), true).unwrap();
    wal.mark_snapshot(&mark(8, 2)).unwrap();
    let summary = scan(&disk, dir()).unwrap();
    assert_eq!((summary.last_index, summary.last_term), (8, 2));
    assert_eq!(summary.conf_changes, []);
    drop(wal);
    let (mut wal, replay) = open(&disk, &mark(8, 2), 4096).unwrap();
    assert_eq!(replay.entries, []);
    wal.append(&[entry(9, 2, b"next")], None, true).unwrap();
    drop(wal);
    let (_, replay) = open(&disk, &mark(8, 2), 4096).unwrap();
    assert_eq!(replay.entries, [entry(9, 2, b"next")]);
}
