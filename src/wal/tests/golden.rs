//! Logs and snapshots that real etcds wrote (single member, 8 puts, `--snapshot-count 5`, one
//! `member add --learner`), and bytes of our own that must never change.

use std::{path::PathBuf, sync::Arc};

use disk::{Disk, RealDisk, sim::SimDisk};
use wire::raftpb::EntryType;

use super::{config, dir, entry, mark, metadata, state};
use crate::{Summary, Wal, scan, snap::SnapDir, snapshot_marks};

const VERSIONS: [&str; 2] = ["3.4.23", "3.5.1"];

fn fixture(version: &str, folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/etcd-{version}/{folder}"))
}

/// A copy that may be written to.
fn copied(version: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    for item in RealDisk.list(&fixture(version, "wal")).unwrap() {
        disk::copy(&RealDisk, &item.path, &root.path().join(&item.name)).unwrap();
    }
    let path = root.path().to_owned();
    (root, path)
}

#[test]
fn logs_of_real_etcds_are_understood() {
    for version in VERSIONS {
        let summary = scan(&RealDisk, &fixture(version, "wal")).unwrap();
        let Summary { hard_state, marks, conf_changes, .. } = &summary;
        assert_ne!(summary.metadata.node_id, 0);
        assert_ne!(summary.metadata.cluster_id, 0);
        assert_eq!((summary.first_index, summary.segments, summary.torn), (1, 1, false));
        assert!(summary.last_index >= 12, "{version}: {summary:?}");
        assert_eq!(summary.last_term, 2);
        assert_eq!((hard_state.term, hard_state.vote), (2, summary.metadata.node_id));
        let places: Vec<_> = marks.iter().map(|mark| (mark.index, mark.term)).collect();
        assert_eq!(places, [(0, 0), (6, 2), (12, 2)], "{version}");
        let with_members = version != "3.4.23";
        assert!(marks[1..].iter().all(|mark| mark.conf_state.is_some() == with_members));
        assert_eq!(conf_changes[0].index, 1);
        assert_eq!(conf_changes[0].entry.r#type(), EntryType::EntryConfChange);
        assert_eq!(snapshot_marks(&RealDisk, &fixture(version, "wal")).unwrap(), *marks);
    }
}

#[test]
fn snapshots_of_real_etcds_are_read_and_written_alike() {
    for version in VERSIONS {
        let marks = snapshot_marks(&RealDisk, &fixture(version, "wal")).unwrap();
        let snaps = SnapDir::new(Arc::new(RealDisk), &fixture(version, "snap"));
        let snapshot = snaps.newest(&marks).unwrap().unwrap();
        assert_eq!((snapshot.metadata.index, snapshot.metadata.term), (12, 2));
        let tree = snapshot.data.clone().unwrap();
        assert!(tree.starts_with(br#"{"Root":{"Path":"/""#));

        let disk = SimDisk::new();
        disk.create_dir_all(dir()).unwrap();
        SnapDir::new(Arc::new(disk.clone()), dir()).save(&snapshot).unwrap();
        let name = "0000000000000002-000000000000000c.snap";
        let ours = disk::read(&disk, &dir().join(name)).unwrap();
        assert!(ours == disk::read(&RealDisk, &fixture(version, "snap").join(name)).unwrap());
    }
}

#[test]
fn logs_of_real_etcds_are_continued() {
    for version in VERSIONS {
        let (_root, path) = copied(version);
        let before = scan(&RealDisk, &path).unwrap();
        let (mut wal, replay) =
            Wal::open(Arc::new(RealDisk), &path, before.marks.last().unwrap(), config(1 << 20))
                .unwrap();
        assert!(!replay.repaired);
        assert_eq!(replay.hard_state, before.hard_state);
        let last = replay.entries.last().map_or(12, |last| last.index);
        assert_eq!(last, before.last_index);
        wal.append(&[entry(last + 1, 3, b"ours")], Some(&state(3, last)), true).unwrap();
        drop(wal);
        let after = scan(&RealDisk, &path).unwrap();
        assert_eq!((after.last_index, after.last_term), (last + 1, 3));
        assert_eq!(after.metadata, before.metadata);
    }
}

/// Reading a real log and writing its records anew gives the same bytes.
#[test]
fn the_same_records_give_the_same_bytes_as_real_etcds() {
    for version in VERSIONS {
        let name = "0000000000000000-0000000000000000.wal";
        let theirs = disk::read(&RealDisk, &fixture(version, "wal").join(name)).unwrap();
        let ours = super::roundtrip::rewritten(&fixture(version, "wal"));
        assert!(ours[..theirs.len()] == theirs, "{version}");
        assert!(ours[theirs.len()..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_new_log_has_these_bytes() {
    let (disk, mut wal) = super::new_wal(4096);
    wal.append(&[entry(1, 1, b"hello")], Some(&state(1, 1)), true).unwrap();
    wal.mark_snapshot(&mark(1, 1)).unwrap();
    assert_eq!(metadata().node_id, 0xabc);
    let bytes = disk::read(&disk, &dir().join("0000000000000000-0000000000000000.wal")).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let hex: Vec<String> = bytes[..=end]
        .chunks(8)
        .map(|chunk| chunk.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(bytes.len(), 4096);
    assert_eq!(hex, NEW_LOG);
}

/// Checked by reading: six frames, each a length, a record and its padding.
const NEW_LOG: [&str; 19] = [
    "0400000000000084",
    "0804100000000000",
    "1000000000000000",
    "080110c6fdd8930c",
    "1a0608bc1510ef1b",
    "0e00000000000082",
    "080510c0818f8403",
    "1a04080010000000",
    "1700000000000081",
    "080210a9b58f9903",
    "1a0d080010011801",
    "220568656c6c6f00",
    "1000000000000000",
    "080310bdd989cc07",
    "1a06080110071801",
    "1500000000000083",
    "080510fb96cad30d",
    "1a0b080110011a05",
    "08bc1528",
];
