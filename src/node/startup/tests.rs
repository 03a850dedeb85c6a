//! What a start makes of each kind of data dir; and that an interrupted one can be begun again.

use std::{path::Path, time::Duration};

use base::SystemClock;
use disk::{Open, RealDisk, sim::SimDisk};
use wire::{raftpb, walpb};

use super::*;
use crate::config::{Command, load};
use crate::peer::Connector;

const DATA: &str = "/data";

fn config(dir: &Path, more: &[&str]) -> Config {
    let mut arguments = vec![
        "--name=a".to_owned(),
        format!("--data-dir={}", dir.display()),
        "--initial-advertise-peer-urls=http://127.0.0.1:1".to_owned(),
    ];
    arguments.extend(more.iter().map(|&flag| flag.to_owned()));
    match load(&arguments, &[]).unwrap() {
        Command::Run { config, .. } => *config,
        other => panic!("{other:?}"),
    }
}

fn around(disk: Arc<dyn Disk>) -> Surroundings {
    Surroundings {
        disk,
        clock: Arc::new(SystemClock),
        fetcher: Fetcher::new(Connector::new(Duration::from_secs(1), None)),
        metrics: Metrics::default(),
        on_store_failure: Arc::new(|_| {}),
    }
}

pub(crate) async fn start_on(disk: &SimDisk, more: &[&str]) -> Result<Started, StartupError> {
    start(&config(Path::new(DATA), more), &around(Arc::new(disk.clone()))).await
}

/// Ends a member as a crash of its process would, save that the store gets its last flush.
pub(crate) fn end(started: Started) {
    started.parts.backend.close().unwrap();
    drop(started);
}

pub(crate) fn write(disk: &dyn Disk, path: &str, content: &[u8]) {
    let path = Path::new(path);
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = disk.open(path, Open::CreateNew).unwrap();
    file.write_at(content, 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// Lets the store say that it has applied an entry.
pub(crate) fn set_consistent(started: &Started, index: u64) {
    let mut batch = backend::WriteBatch::default();
    let index = index.to_be_bytes().to_vec();
    batch.put(backend::Bucket::Meta, &b"consistent_index"[..], index);
    started.parts.backend.write(batch).unwrap();
    started.parts.backend.flush().unwrap();
}

fn entry(index: u64) -> raftpb::Entry {
    raftpb::Entry { term: 2, index, ..Default::default() }
}

/// Appends entries 2..=last, and writes a `.snap` there if asked.
pub(crate) fn grow(started: &mut Started, last: u64, snapshot: bool) {
    let durable = &mut started.parts.durable;
    let entries: Vec<_> = (2..=last).map(entry).collect();
    let state = raftpb::HardState { term: 2, vote: 0, commit: last };
    durable.wal.append(&entries, Some(&state), true).unwrap();
    if !snapshot {
        return;
    }
    let member = started.parts.member.get();
    let conf_state = raftpb::ConfState { voters: vec![member], ..Default::default() };
    let v2 = started.parts.machine.v2_snapshot().unwrap();
    let metadata =
        raftpb::SnapshotMetadata { conf_state: conf_state.clone(), index: last, term: 2 };
    durable.snaps.save(&raftpb::Snapshot { data: Some(v2.into()), metadata }).unwrap();
    let mark = walpb::Snapshot { index: last, term: 2, conf_state: Some(conf_state) };
    durable.wal.mark_snapshot(&mark).unwrap();
}

#[tokio::test]
async fn a_new_member_has_etcd_s_ids_and_the_first_entries() {
    let disk = SimDisk::new();
    let more = ["--initial-cluster=a=http://127.0.0.1:1,b=http://127.0.0.1:2"];
    let started = start_on(&disk, &more).await.unwrap();
    let parts = &started.parts;
    assert_eq!(parts.durable.entries.len(), 2);
    assert_eq!(parts.durable.hard_state, raftpb::HardState { term: 1, vote: 0, commit: 2 });
    assert_eq!(parts.durable.applied, Index::new(0));
    assert_eq!(parts.machine.consistent_term(), Term::new(0));
    assert_eq!(disk::read(&disk, Path::new("/data/member/snap/db")).unwrap(), GUARD.as_bytes());
    assert_eq!(parts.raft.election_ticks, 10);
    let (member, cluster) = (parts.member, parts.cluster);
    end(started);
    // The log counts now, not the settings.
    let again = start_on(&disk, &["--initial-cluster-token=other"]).await.unwrap();
    assert_eq!((again.parts.member, again.parts.cluster), (member, cluster));
    assert_eq!(again.parts.durable.entries.len(), 2);
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_touched() {
    let disk = SimDisk::new();
    for (more, text) in [
        (
            &["--initial-cluster=b=http://127.0.0.1:1"][..],
            "couldn't find local name \"a\" in the initial cluster configuration",
        ),
        (
            &["--initial-cluster=a=http://127.0.0.1:9"],
            "--initial-cluster has a=http://127.0.0.1:9 but missing from --initial-advertise-peer-urls=http://127.0.0.1:1",
        ),
        (
            &["--initial-cluster-state=existing"],
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
        ),
    ] {
        let error = start_on(&disk, more).await.unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(disk.operations(), 0, "something was written");
}

#[tokio::test]
async fn a_go_etcd_s_dir_is_refused_and_left_alone() {
    let disk = SimDisk::new();
    write(&disk, "/data/member/snap/db", &[0; 8192]);
    write(&disk, "/data/member/wal/0000000000000000-0000000000000000.wal", &[0; 512]);
    let before = disk.operations();
    let error = start_on(&disk, &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("/data/member/snap/db is the database of a Go etcd"),
        "{error}"
    );
    assert_eq!(disk.operations(), before, "something was written");
    let no_db = SimDisk::new();
    write(&no_db, "/data/member/wal/0000000000000000-0000000000000000.wal", &[0; 512]);
    let error = start_on(&no_db, &[]).await.unwrap_err();
    assert!(error.to_string().contains("was not made by etcd-node"), "{error}");
}

#[tokio::test]
async fn a_dir_of_a_proxy_or_of_both_is_refused() {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/data/proxy")).unwrap();
    let error = start_on(&disk, &[]).await.unwrap_err();
    assert!(error.to_string().contains("v2 proxy"), "{error}");
    disk.create_dir_all(Path::new("/data/member")).unwrap();
    let error = start_on(&disk, &[]).await.unwrap_err();
    assert!(error.to_string().contains("both member and proxy directories exist"), "{error}");
}

#[tokio::test]
async fn a_second_process_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let disk = around(Arc::new(RealDisk));
    let config = config(folder.path(), &[]);
    let first = start(&config, &disk).await.unwrap();
    let error = start(&config, &disk).await.unwrap_err();
    assert!(error.to_string().starts_with("data dir is in use: "), "{error}");
    end(first);
    drop(start(&config, &disk).await.unwrap());
}

#[tokio::test]
async fn a_lost_store_is_rebuilt_only_from_a_complete_log() {
    let disk = SimDisk::new();
    let mut started = start_on(&disk, &[]).await.unwrap();
    grow(&mut started, 5, false);
    end(started);
    disk.remove_file(Path::new("/data/member/kv/state.redb")).unwrap();
    let mut started = start_on(&disk, &[]).await.unwrap();
    assert_eq!(started.parts.durable.entries.len(), 5);
    grow_snapshot(&mut started, 5);
    end(started);
    let started = start_on(&disk, &[]).await.unwrap();
    assert_eq!(started.parts.durable.applied, Index::new(5));
    end(started);
    disk.remove_file(Path::new("/data/member/kv/state.redb")).unwrap();
    let error = start_on(&disk, &[]).await.unwrap_err();
    assert!(matches!(error, StartupError::Inconsistent(_)), "{error}");
    assert!(error.to_string().contains("of the backend is missing"), "{error}");
}

/// A snapshot at the log's end, with the store flushed up to it.
fn grow_snapshot(started: &mut Started, index: u64) {
    set_consistent(started, index);
    let conf_state =
        raftpb::ConfState { voters: vec![started.parts.member.get()], ..Default::default() };
    let v2 = started.parts.machine.v2_snapshot().unwrap();
    let metadata = raftpb::SnapshotMetadata { conf_state: conf_state.clone(), index, term: 2 };
    let durable = &mut started.parts.durable;
    durable.snaps.save(&raftpb::Snapshot { data: Some(v2.into()), metadata }).unwrap();
    let mark = walpb::Snapshot { index, term: 2, conf_state: Some(conf_state) };
    durable.wal.mark_snapshot(&mark).unwrap();
}

#[tokio::test]
async fn a_store_that_does_not_fit_its_log_is_refused() {
    let behind = SimDisk::new();
    let mut started = start_on(&behind, &[]).await.unwrap();
    grow(&mut started, 5, true);
    end(started);
    let error = start_on(&behind, &[]).await.unwrap_err();
    assert!(error.to_string().contains("what lies between is lost"), "{error}");
    // R17: the log lost what had been acknowledged.
    let ahead = SimDisk::new();
    let mut started = start_on(&ahead, &[]).await.unwrap();
    grow(&mut started, 5, false);
    set_consistent(&started, 9);
    end(started);
    let error = start_on(&ahead, &[]).await.unwrap_err();
    assert!(error.to_string().contains("acknowledged entries are missing"), "{error}");
}

#[tokio::test]
async fn unfinished_snapshots_are_swept_and_wanted_ones_kept() {
    let disk = SimDisk::new();
    end(start_on(&disk, &[]).await.unwrap());
    write(&disk, "/data/member/snap/tmp0011223344556677", b"half");
    write(&disk, "/data/member/snap/0000000000000009.snap.db", b"wanted later");
    drop(start_on(&disk, &[]).await.unwrap());
    let names: Vec<String> = disk
        .list(Path::new("/data/member/snap"))
        .unwrap()
        .into_iter()
        .map(|item| item.name)
        .collect();
    assert_eq!(names, ["0000000000000009.snap.db", "db"]);
}

#[tokio::test]
async fn a_first_start_may_lose_power_at_any_moment() {
    let counted = SimDisk::new();
    let started = start_on(&counted, &[]).await.unwrap();
    let ids = (started.parts.member, started.parts.cluster);
    drop(started);
    let operations = counted.operations();
    assert!(operations > 10, "the start writes");
    for cut in 0..operations {
        let disk = SimDisk::new();
        disk.power_off_after(cut);
        let first = start_on(&disk, &[]).await;
        drop(first);
        disk.crash(cut);
        let again = start_on(&disk, &[]).await;
        let again =
            again.unwrap_or_else(|error| panic!("cut at {cut}: {}", base::ErrorChain(&error)));
        assert_eq!((again.parts.member, again.parts.cluster), ids, "cut at {cut}");
        assert_eq!(again.parts.durable.entries.len(), 1, "cut at {cut}");
        assert_eq!(again.parts.durable.hard_state.commit, 1, "cut at {cut}");
    }
}

/// A bbolt file as a leader of 3.4 sends it: its consistent index is behind the snapshot's.
fn write_received(disk: &SimDisk, index: u64) {
    let path = format!("/data/member/snap/{index:016x}.snap.db");
    let mut writer = bolt::Writer::create(disk, Path::new(&path)).unwrap();
    for bucket in backend::Bucket::ALL {
        writer.bucket(bucket.name().as_bytes()).unwrap();
        match bucket {
            backend::Bucket::Alarm => writer.put(b"\x08\x07\x10\x01", b"").unwrap(),
            backend::Bucket::Meta => {
                writer.put(b"consistent_index", &1_u64.to_be_bytes()).unwrap();
            }
            _ => {}
        }
    }
    writer.finish().unwrap();
    disk.sync_dir(Path::new("/data/member/snap")).unwrap();
}

#[tokio::test]
async fn a_leader_s_snapshot_that_was_being_taken_is_taken_at_the_next_start() {
    let disk = SimDisk::new();
    let mut started = start_on(&disk, &[]).await.unwrap();
    grow(&mut started, 5, true);
    end(started);
    write_received(&disk, 5);
    // It is taken as well where the old store is gone already.
    disk.remove_file(Path::new("/data/member/kv/state.redb")).unwrap();
    for _ in 0..2 {
        let started = start_on(&disk, &[]).await.unwrap();
        assert_eq!(started.parts.machine.consistent_index(), Index::new(5));
        assert_eq!(started.parts.machine.alarms.list().len(), 1, "its rows are there");
        end(started);
    }
    let received = Path::new("/data/member/snap/0000000000000005.snap.db");
    assert!(!disk.exists(received).unwrap(), "what was taken is swept");
}
