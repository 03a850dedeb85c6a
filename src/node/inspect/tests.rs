//! What is said of whole, torn, damaged, foreign and empty dirs; and that a look changes nothing.

mod damage;
mod document;

use std::{collections::BTreeMap, path::Path};

use base::MemberId;
use disk::sim::SimDisk;
use prost::Message as _;
use wire::raftpb::{self, ConfChange, ConfChangeType, EntryType, HardState};

use super::*;
use crate::startup::{
    Started,
    tests::{end, grow, start_on, write},
};

const DATA: &str = "/data";
const FIRST_SEGMENT: &str = "/data/member/wal/0000000000000000-0000000000000000.wal";

/// Inspects, and makes sure that nothing changed.
fn look(disk: &SimDisk) -> Report {
    let before = (disk.operations(), content(disk, Path::new("/")));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = inspect(&shared, Path::new(DATA), None).unwrap();
    assert_eq!(disk.operations(), before.0, "something was written");
    assert!(content(disk, Path::new("/")) == before.1, "a byte changed");
    report
}

/// All files below a folder.
fn content(disk: &SimDisk, folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in disk.list(folder).unwrap() {
        if item.is_dir {
            found.extend(content(disk, &item.path));
        } else {
            found.insert(item.path.clone(), disk::read(disk, &item.path).unwrap());
        }
    }
    found
}

/// Appends a change that adds member 7.
fn add_member(started: &mut Started, (term, index): (u64, u64), commit: u64) {
    let learner = state::Member {
        id: MemberId::new(7),
        peer_urls: vec!["http://127.0.0.1:7".to_owned()],
        is_learner: true,
        ..state::Member::default()
    };
    let change = ConfChange {
        id: 1,
        r#type: ConfChangeType::ConfChangeAddLearnerNode.into(),
        node_id: 7,
        context: Some(learner.to_json().into()),
    };
    let entry = raftpb::Entry {
        r#type: EntryType::EntryConfChange.into(),
        term,
        index,
        data: Some(change.encode_to_vec().into()),
    };
    let state = HardState { term, vote: 9, commit };
    started.parts.durable.wal.append(&[entry], Some(&state), true).unwrap();
}

/// A dir with a snapshot at 5 and a change at 6 that is not known to be committed.
async fn member_with_a_pending_change() -> (SimDisk, Started) {
    let disk = SimDisk::new();
    let mut started = start_on(&disk, &[]).await.unwrap();
    crate::startup::tests::set_consistent(&started, 5);
    grow(&mut started, 5, true);
    add_member(&mut started, (3, 6), 5);
    (disk, started)
}

#[tokio::test]
async fn a_whole_dir_is_told_with_its_pending_change() {
    let (disk, started) = member_with_a_pending_change().await;
    let (member, cluster) = (started.parts.member, started.parts.cluster);
    end(started);
    let report = look(&disk);
    assert_eq!((report.kind, report.verdict), (Kind::EtcdNode, Verdict::Intact), "{report:?}");
    assert_eq!(report.member_id, Some(member.to_string()));
    assert_eq!(report.cluster_id, Some(cluster.to_string()));
    assert_eq!(report.last, Some(Position { term: 3, index: 6 }));
    let state = super::HardState { term: 3, vote: Some("9".to_owned()), commit: 5 };
    assert_eq!((report.hard_state.clone(), report.applied), (Some(state), Some(5)));
    assert_eq!(report.start, Some(Position { term: 2, index: 5 }));
    let pending = &report.pending[0];
    assert_eq!((pending.change, pending.committed, pending.index), ("add-learner", false, 6));
    let learners: Vec<_> =
        report.configurations.iter().map(|one| (one.state, one.learners.len())).collect();
    assert_eq!(learners, [("applied", 0), ("uncommitted", 1)]);
    assert_eq!(report.wal.segments.len(), 1);
    assert!(report.wal.segments[0].records > 5, "{:?}", report.wal.segments);
    assert_eq!(report.snapshots.files.len(), 1);
    assert_eq!(report.backend.revision, Some(1));
    let shown = table(&report);
    assert!(shown.contains("pending     6 of term 3: add-learner 7 (uncommitted)"), "{shown}");
}

#[tokio::test]
async fn a_running_member_is_not_inspected() {
    let disk = SimDisk::new();
    let started = start_on(&disk, &[]).await.unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let error = inspect(&shared, Path::new(DATA), None).unwrap_err();
    assert!(matches!(error, InspectError::InUse { .. }), "{error}");
    end(started);
    look(&disk);
    // A real etcd locks its log only.
    drop(disk.remove_file(Path::new("/data/member/lock")));
    let held = disk.lock(Path::new(FIRST_SEGMENT)).unwrap();
    let error = inspect(&shared, Path::new(DATA), None).unwrap_err();
    assert!(matches!(error, InspectError::InUse { .. }), "{error}");
    drop(held);
}

#[tokio::test]
async fn a_member_does_not_start_while_it_is_looked_at() {
    let disk = SimDisk::new();
    end(start_on(&disk, &[]).await.unwrap());
    let layout = Layout::new(Path::new(DATA), Path::new("/data/member/wal"));
    let held = lock(&disk, &layout).unwrap();
    assert!(start_on(&disk, &[]).await.is_err());
    drop(held);
    end(start_on(&disk, &[]).await.unwrap());
}

#[test]
fn dirs_that_hold_no_member_are_named() {
    let disk = SimDisk::new();
    assert_eq!(look(&disk).kind, Kind::Absent);
    disk.create_dir_all(Path::new(DATA)).unwrap();
    let report = look(&disk);
    assert_eq!((report.kind, report.verdict), (Kind::Empty, Verdict::Intact));
    assert_eq!(report.wal.integrity.state, "absent");
    assert_eq!(report.backend.integrity.state, "absent");
    disk.create_dir_all(Path::new("/data/proxy")).unwrap();
    assert_eq!(look(&disk).kind, Kind::Proxy);
    disk.create_dir_all(Path::new("/data/member")).unwrap();
    assert_eq!(look(&disk).kind, Kind::Tombstone);
    let other = SimDisk::new();
    write(&other, "/data/lost+found/x", b"x");
    assert_eq!(look(&other).kind, Kind::Unknown);
}

#[tokio::test]
async fn the_backend_of_a_go_etcd_is_read_too() {
    let (disk, started) = member_with_a_pending_change().await;
    end(started);
    disk.remove_file(Path::new("/data/member/snap/db")).unwrap();
    disk.remove_file(Path::new("/data/member/kv/state.redb")).unwrap();
    let report = look(&disk);
    assert_eq!((report.kind, report.verdict), (Kind::GoEtcd, Verdict::Damaged), "its db is lost");
    let mut writer = bolt::Writer::create(&disk, Path::new("/data/member/snap/db")).unwrap();
    for bucket in backend::Bucket::ALL {
        writer.bucket(bucket.name().as_bytes()).unwrap();
        match bucket {
            backend::Bucket::Alarm => writer.put(b"\x08\x07\x10\x01", b"").unwrap(),
            backend::Bucket::Key => {
                writer.put(b"\0\0\0\0\0\0\0\x09_\0\0\0\0\0\0\0\0", b"").unwrap();
            }
            backend::Bucket::Members => {
                let json = br#"{"id":7,"peerURLs":["http://127.0.0.1:7"],"name":"n7"}"#;
                writer.put(b"7", json).unwrap();
            }
            backend::Bucket::Meta => {
                writer.put(b"consistent_index", &5_u64.to_be_bytes()).unwrap();
                writer.put(b"finishedCompactRev", b"\0\0\0\0\0\0\0\x04_\0\0\0\0\0\0\0\0").unwrap();
            }
            _ => {}
        }
    }
    writer.finish().unwrap();
    let report = look(&disk);
    assert_eq!((report.kind, report.verdict), (Kind::GoEtcd, Verdict::Intact), "{report:?}");
    assert_eq!(report.backend.engine, "bbolt");
    assert_eq!((report.applied, report.backend.revision), (Some(5), Some(9)));
    assert_eq!(report.backend.compacted_revision, Some(4));
    assert_eq!(report.backend.alarms[0].kind, "NOSPACE");
    assert_eq!(report.membership.unwrap().members[0].name, "n7");
}

#[test]
fn the_command_line_is_checked() {
    let run = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let outcome = command::run(&arguments);
        (outcome.exit, outcome.out.len(), outcome.err)
    };
    for wrong in [&[][..], &["--nope", "d"], &["a", "b"], &["--wal-dir"]] {
        let (exit, out, err) = run(wrong);
        assert_eq!((exit, out), (2, 0), "{wrong:?}");
        assert!(err.contains("etcd-node inspect"), "{err}");
    }
    assert_eq!(run(&["--help"]).0, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let outcome = command::run(&["--json".to_owned(), path.to_owned()]);
    let document: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!((outcome.exit, &document["kind"]), (0, &"empty".into()));
}
