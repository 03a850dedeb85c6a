//! Cutting, releasing, recycling.

use std::{path::Path, sync::Arc};

use base::Index;
use disk::{Disk, Open, RealDisk, sim::SimDisk};

use super::{config, dir, entry, mark, metadata, names, new_wal, open, state};
use crate::{Wal, WalConfig, scan, segments};

const SEGMENT_BYTES: u64 = 3000;

/// Appends entries of about a third of a segment each.
fn append(wal: &mut Wal, indices: std::ops::RangeInclusive<u64>) {
    for index in indices {
        wal.append(&[entry(index, 1, &[1; 1000])], Some(&state(1, index)), true).unwrap();
    }
}

fn wal_names(disk: &dyn Disk) -> Vec<String> {
    names(disk).into_iter().filter(|name| name.ends_with(".wal")).collect()
}

#[test]
fn segments_are_named_by_sequence_and_first_index() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=7);
    let expected = [
        "0000000000000000-0000000000000000.wal",
        "0000000000000001-0000000000000004.wal",
        "0000000000000002-0000000000000007.wal",
    ];
    assert_eq!(wal_names(&disk), expected);
    let first = disk::read(&disk, &dir().join(expected[0])).unwrap();
    assert!(first.len() as u64 >= SEGMENT_BYTES);
    assert!(first[first.len() - 8..].iter().any(|byte| *byte != 0), "cut behind the last record");
}

#[test]
fn only_what_a_restart_does_not_need_is_purged() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=14);
    let all = wal_names(&disk);
    assert_eq!(all.len(), 5);
    assert_eq!(wal.purge(1).unwrap(), 0, "nothing was released");
    wal.mark_snapshot(&mark(8, 1)).unwrap();
    wal.release_before(Index::new(8));
    assert_eq!(wal.purge(0).unwrap(), 0, "no limit");
    assert_eq!(wal.purge(4).unwrap(), 1);
    assert_eq!(wal.purge(1).unwrap(), 1, "the third holds entry 9");
    assert_eq!(wal_names(&disk), all[2..]);
    drop(wal);
    let (_, replay) = open(&disk, &mark(8, 1), SEGMENT_BYTES).unwrap();
    assert_eq!(replay.entries.len(), 6);
    assert_eq!(scan(&disk, dir()).unwrap().first_index, 7);
}

#[test]
fn segments_released_in_an_earlier_life_are_purged_too() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=14);
    wal.mark_snapshot(&mark(13, 1)).unwrap();
    drop(wal);
    let (mut wal, _) = open(&disk, &mark(13, 1), SEGMENT_BYTES).unwrap();
    assert_eq!(wal.purge(2).unwrap(), 3);
    assert_eq!(wal_names(&disk).len(), 2);
}

/// TRAP: a recycled segment is full of old frames.
#[test]
fn a_recycled_segment_is_zeroed_anew_before_use() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=7);
    wal.mark_snapshot(&mark(6, 1)).unwrap();
    wal.release_before(Index::new(6));
    assert_eq!(wal.purge(1).unwrap(), 1);
    let recycled = dir().join("recycled.tmp");
    let old = disk::read(&disk, &recycled).unwrap();
    assert!(old.iter().any(|byte| *byte != 0), "it still holds the old frames");
    // Half a segment on, the next one is made of it.
    append(&mut wal, 8..=8);
    assert!(!disk.exists(&recycled).unwrap());
    let filled = disk::read(&disk, &dir().join("filling.tmp")).unwrap();
    assert_eq!(filled, vec![0; 3000]);
    // It is durable, too: no crash brings the old frames back.
    drop(wal);
    disk.crash(0);
    assert_eq!(disk::read(&disk, &dir().join("filling.tmp")).unwrap(), vec![0; 3000]);
}

#[test]
fn a_recycled_segment_taken_in_a_hurry_is_empty() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=6);
    wal.mark_snapshot(&mark(3, 1)).unwrap();
    wal.release_before(Index::new(4));
    assert_eq!(wal.purge(1).unwrap(), 1);
    assert!(disk.exists(&dir().join("recycled.tmp")).unwrap());
    // From less than half to full in one batch: no time to fill.
    wal.append(&[entry(7, 1, &[1; 2900])], None, true).unwrap();
    let last = wal_names(&disk).pop().unwrap();
    let bytes = disk::read(&disk, &dir().join(last)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(end < 100, "only its head is in it: {end}");
}

#[test]
fn leftovers_of_a_crash_are_used_or_removed() {
    let (disk, mut wal) = new_wal(SEGMENT_BYTES);
    append(&mut wal, 1..=2);
    drop(wal);
    for name in ["0.tmp", "1.tmp", "filling.tmp"] {
        disk::replace(&disk, &dir().join(name), &[0xff; 5000]).unwrap();
    }
    let (mut wal, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
    assert_eq!(replay.entries.len(), 2);
    append(&mut wal, 3..=9);
    drop(wal);
    let (_, replay) = open(&disk, &mark(0, 0), SEGMENT_BYTES).unwrap();
    assert_eq!(replay.entries.len(), 9);
    let left = names(&disk).into_iter().filter(|name| name.ends_with(".tmp")).count();
    assert!(left <= 2, "{:?}", names(&disk));
}

#[test]
fn a_log_locked_by_another_process_is_left_alone() {
    let (disk, wal) = new_wal(SEGMENT_BYTES);
    drop(wal);
    let path = dir().join("0000000000000000-0000000000000000.wal");
    let lock = segments::lock(&disk, &path).unwrap();
    let error = open(&disk, &mark(0, 0), SEGMENT_BYTES).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is in use by another process", path.display()));
    drop(lock);
}

/// The filling thread and the real disk: many cuts, with recycling, and a restart now and then.
#[test]
fn the_background_thread_and_the_real_disk_agree() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("wal");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let config = || WalConfig { segment_bytes: 3 << 20, ..WalConfig::default() };
    let mut wal = Wal::create(Arc::clone(&disk), &dir, metadata(), config()).unwrap();
    let mut from = mark(0, 0);
    let payload = vec![0x5a; 100_000];
    for index in 1..=200 {
        wal.append(&[entry(index, 1, &payload)], Some(&state(1, index)), true).unwrap();
        if index % 40 == 0 {
            from = mark(index, 1);
            wal.mark_snapshot(&from).unwrap();
            wal.release_before(Index::new(index));
            wal.purge(2).unwrap();
        }
        if index % 70 == 0 {
            drop(wal);
            let (opened, replay) = Wal::open(Arc::clone(&disk), &dir, &from, config()).unwrap();
            let expected: Vec<u64> = (from.index + 1..=index).collect();
            assert_eq!(replay.entries.iter().map(|e| e.index).collect::<Vec<_>>(), expected);
            wal = opened;
        }
    }
    drop(wal);
    let summary = scan(&*disk, &dir).unwrap();
    assert_eq!((summary.last_index, summary.hard_state.commit), (200, 200));
    assert!(summary.segments <= 3, "{}", summary.segments);
    no_stale_frames(&*disk, &dir);
}

/// Behind the records of the last segment there are only zeroes.
fn no_stale_frames(disk: &dyn Disk, dir: &Path) {
    let before = scan(disk, dir).unwrap();
    let copy = SimDisk::new();
    copy.create_dir_all(super::dir()).unwrap();
    for item in disk.list(dir).unwrap().iter().filter(|item| item.name.ends_with(".wal")) {
        let bytes = disk::read(disk, &item.path).unwrap();
        let target = copy.open(&super::dir().join(&item.name), Open::CreateNew).unwrap();
        target.write_at(&bytes, 0).unwrap();
    }
    let last = before.marks.last().unwrap();
    let shared: Arc<dyn Disk> = Arc::new(copy.clone());
    let len = |disk: &SimDisk| disk.list(super::dir()).unwrap().last().unwrap().len;
    let before_open = len(&copy);
    drop(Wal::open(shared, super::dir(), last, config(3 << 20)).unwrap());
    assert_eq!(len(&copy), before_open, "open() truncates a tail that is not zero");
}
