//! `.snap` files: saved whole or not at all, the newest good one with a mark is found.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use disk::{Disk, Open, sim::SimDisk};
use wire::{
    raftpb::{ConfState, Snapshot, SnapshotMetadata},
    walpb,
};

use super::SnapDir;

fn new_dir() -> (SimDisk, SnapDir) {
    let disk = SimDisk::new();
    disk.create_dir_all(dir()).unwrap();
    (disk.clone(), SnapDir::new(Arc::new(disk), dir()))
}

fn dir() -> &'static Path {
    Path::new("/snap")
}

fn snapshot(term: u64, index: u64) -> Snapshot {
    let conf_state = ConfState { voters: vec![1, 2], ..ConfState::default() };
    Snapshot {
        data: Some(Bytes::from(format!("{{\"Root\":{index}}}").repeat(200))),
        metadata: SnapshotMetadata { conf_state, index, term },
    }
}

fn mark(term: u64, index: u64) -> walpb::Snapshot {
    walpb::Snapshot { index, term, conf_state: None }
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(dir()).unwrap().into_iter().map(|item| item.name).collect()
}

#[test]
fn the_newest_with_a_mark_is_found() {
    let (_, snaps) = new_dir();
    assert_eq!(snaps.newest(&[mark(1, 5)]).unwrap(), None);
    for (term, index) in [(1, 5), (2, 9), (0x10, 0xa), (0x10, 0x20)] {
        snaps.save(&snapshot(term, index)).unwrap();
    }
    let marks = [mark(0, 0), mark(1, 5), mark(0x10, 0xa), mark(2, 0x20)];
    assert_eq!(snaps.newest(&marks).unwrap(), Some(snapshot(0x10, 0xa)));
    assert_eq!(snaps.newest(&marks[..2]).unwrap(), Some(snapshot(1, 5)));
    assert_eq!(snaps.newest(&marks[..1]).unwrap(), None);
}

#[test]
fn a_missing_folder_holds_nothing() {
    let snaps = SnapDir::new(Arc::new(SimDisk::new()), dir());
    assert_eq!(snaps.newest(&[mark(1, 5)]).unwrap(), None);
    assert!(snaps.save(&snapshot(1, 5)).is_err());
}

#[test]
fn damaged_files_are_set_aside_and_an_older_one_is_used() {
    let (disk, snaps) = new_dir();
    let name = "0000000000000002-0000000000000009.snap";
    let marks = [mark(1, 5), mark(2, 9)];
    snaps.save(&snapshot(1, 5)).unwrap();
    snaps.save(&snapshot(2, 9)).unwrap();
    let good = disk::read(&disk, &dir().join(name)).unwrap();
    let other = disk::read(&disk, &dir().join("0000000000000001-0000000000000005.snap")).unwrap();
    let mut flipped = good.clone();
    flipped[1000] ^= 1;
    for bad in [&good[..good.len() - 1], &good[..0], &flipped, &other, b"\x08\x00\x12\x00"] {
        disk::replace(&disk, &dir().join(name), bad).unwrap();
        assert_eq!(snaps.newest(&marks).unwrap(), Some(snapshot(1, 5)));
        assert!(names(&disk).contains(&format!("{name}.broken")));
        assert!(!names(&disk).contains(&name.to_owned()));
    }
    let broken = disk::read(&disk, &dir().join(format!("{name}.broken"))).unwrap();
    assert_eq!(broken, b"\x08\x00\x12\x00", "kept for a human");
}

#[test]
fn the_oldest_are_purged() {
    let (disk, snaps) = new_dir();
    for index in 1..=6 {
        snaps.save(&snapshot(1, index)).unwrap();
    }
    for name in ["db", "0000000000000003.snap.db", "0000000000000001-0000000000000001.snap.broken"]
    {
        disk::replace(&disk, &dir().join(name), b"x").unwrap();
    }
    drop(disk.open(&dir().join("0000000000000001-0000000000000007.snap.tmp"), Open::Create));
    assert_eq!(snaps.purge(0).unwrap(), 0);
    assert_eq!(snaps.purge(4).unwrap(), 2);
    assert_eq!(snaps.purge(4).unwrap(), 0);
    let left = names(&disk);
    assert_eq!(left.iter().filter(|name| name.ends_with(".snap")).count(), 4);
    assert_eq!(left.len(), 4 + 3, "what is not ours stays, drafts go: {left:?}");
    let marks: Vec<_> = (1..=6).map(|index| mark(1, index)).collect();
    assert_eq!(snaps.newest(&marks).unwrap(), Some(snapshot(1, 6)));
}

#[test]
fn power_cuts_leave_whole_snapshots_only() {
    let marks = [mark(1, 5), mark(2, 9)];
    let mut outcomes = std::collections::BTreeSet::new();
    for operations in 0..8 {
        for seed in 0..40 {
            let (disk, snaps) = new_dir();
            snaps.save(&snapshot(1, 5)).unwrap();
            disk.power_off_after(operations);
            let saved = snaps.save(&snapshot(2, 9)).is_ok();
            disk.crash(seed);
            let found = snaps.newest(&marks).unwrap().unwrap();
            assert!(!saved || found == snapshot(2, 9), "operation {operations}, seed {seed}");
            assert!(found == snapshot(2, 9) || found == snapshot(1, 5));
            assert!(!names(&disk).iter().any(|name| name.ends_with(".broken")));
            outcomes.insert((saved, found.metadata.index));
        }
    }
    assert_eq!(outcomes.len(), 3, "lost, kept without an answer, kept: {outcomes:?}");
}
