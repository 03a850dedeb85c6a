//! Opening, pacing, sizes, closing.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use disk::{Disk, RealDisk};

use super::{PATH, all_rows, empty_disk, open, patient, put, revision};
use crate::{Backend, BackendError, Bucket, Options, WriteBatch};

#[test]
fn a_write_is_flushed_within_the_interval_without_being_asked() {
    let disk = empty_disk();
    let (commits, committed) = mpsc::sync_channel(16);
    let options = Options {
        flush_interval: Duration::from_millis(5),
        on_commit: Some(Arc::new(move |elapsed: Duration| commits.send(elapsed).unwrap())),
        ..Options::default()
    };
    let backend = open(&disk, options).unwrap();
    backend.write(put(Bucket::Key, b"a", b"1")).unwrap();
    let elapsed = committed.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(elapsed > Duration::ZERO);
    disk.crash(1);
    let backend = open(&disk, patient()).unwrap();
    assert_eq!(backend.get(Bucket::Key, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn nothing_is_committed_when_nothing_was_written() {
    let disk = empty_disk();
    let backend = open(&disk, Options { flush_interval: Duration::ZERO, ..patient() }).unwrap();
    let operations = disk.operations();
    backend.flush().unwrap();
    backend.write(WriteBatch::new()).unwrap();
    backend.flush().unwrap();
    drop(backend.view().unwrap());
    assert_eq!(disk.operations(), operations);
}

#[test]
fn a_closed_backend_answers_closed_and_frees_its_file() {
    let disk = empty_disk();
    let backend = open(&disk, patient()).unwrap();
    backend.write(put(Bucket::Auth, b"k", b"v")).unwrap();
    let view = backend.view().unwrap();
    backend.write(put(Bucket::Auth, b"k", b"w")).unwrap();
    let other = backend.clone();
    other.close().unwrap();
    backend.close().unwrap();
    assert!(matches!(backend.write(put(Bucket::Key, b"", b"")), Err(BackendError::Closed)));
    assert!(matches!(backend.get(Bucket::Auth, b"k"), Err(BackendError::Closed)));
    assert!(matches!(backend.flush(), Err(BackendError::Closed)));
    assert!(backend.failure().is_none());
    // The view is still open on the same file, and must not disturb the next owner.
    let next = open(&disk, patient()).unwrap();
    next.write(put(Bucket::Auth, b"k", b"x")).unwrap();
    next.flush().unwrap();
    assert_eq!(view.get(Bucket::Auth, b"k").unwrap().as_deref(), Some(&b"v"[..]));
    drop((view, backend, other));
    next.write(put(Bucket::Auth, b"l", b"y")).unwrap();
    next.close().unwrap();
    let last = open(&disk, patient()).unwrap();
    assert_eq!(all_rows(&last).len(), 2);
    assert_eq!(last.get(Bucket::Auth, b"k").unwrap().as_deref(), Some(&b"x"[..]));
}

#[test]
fn dropping_the_last_handle_flushes() {
    let disk = empty_disk();
    let backend = open(&disk, patient()).unwrap();
    backend.write(put(Bucket::Key, b"a", b"1")).unwrap();
    drop(backend);
    disk.crash(3);
    assert_eq!(all_rows(&open(&disk, patient()).unwrap()).len(), 1);
}

#[test]
fn leftovers_of_an_unfinished_copy_are_removed() {
    let disk = empty_disk();
    drop(open(&disk, patient()).unwrap());
    for name in ["/kv/state.defragment", "/kv/state.new"] {
        disk::replace(&disk, Path::new(name), b"half").unwrap();
    }
    drop(open(&disk, patient()).unwrap());
    let names: Vec<_> = disk.list(Path::new("/kv")).unwrap().into_iter().map(|i| i.path).collect();
    assert_eq!(names, [Path::new(PATH)]);
}

#[test]
fn without_sync_nothing_is_synced_but_all_is_readable() {
    let disk = empty_disk();
    let backend = open(&disk, Options { sync: false, ..patient() }).unwrap();
    disk.fail_sync(1, disk::sim::Fault::Eio);
    backend.write(put(Bucket::Key, b"a", b"1")).unwrap();
    backend.flush().unwrap();
    backend.close().unwrap();
    assert!(open(&disk, patient()).is_err(), "the fault must still wait for its first sync");
    assert_eq!(all_rows(&open(&disk, patient()).unwrap()).len(), 1);
}

#[test]
fn sizes_follow_the_rows_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let reopen = || Backend::open(Arc::new(RealDisk), &path, patient()).unwrap();
    let backend = reopen();
    let rows = 20_000u64;
    for row in 0..rows {
        backend.write(put(Bucket::Key, &revision(row), &[7; 300])).unwrap();
    }
    backend.flush().unwrap();
    let full = backend.sizes();
    let raw = rows * 317;
    assert!(full.in_use_bytes > raw && full.in_use_bytes < raw * 5 / 4, "{full:?}");
    assert!(full.total_bytes >= full.in_use_bytes && full.total_bytes < raw * 2, "{full:?}");
    for row in 0..rows {
        let mut batch = WriteBatch::new();
        if row % 10 != 0 {
            batch.delete(Bucket::Key, revision(row));
        } else {
            batch.put(Bucket::Key, revision(row), vec![8; 300]);
        }
        backend.write(batch).unwrap();
    }
    backend.flush().unwrap();
    let thinned = backend.sizes();
    assert!(thinned.in_use_bytes < full.in_use_bytes / 8, "{thinned:?}");
    assert!(thinned.total_bytes >= full.total_bytes, "the file keeps its holes: {thinned:?}");
    backend.close().unwrap();
    let backend = reopen();
    assert_eq!(backend.sizes().in_use_bytes, thinned.in_use_bytes);
    assert!(backend.sizes().total_bytes <= thinned.total_bytes);
    backend.defragment().unwrap();
    let compact = backend.sizes();
    assert_eq!(compact.in_use_bytes, thinned.in_use_bytes);
    assert!(compact.total_bytes < full.total_bytes / 4, "{compact:?}");
    assert_eq!(all_rows(&backend).len(), 2000);
}
