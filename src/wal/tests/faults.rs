//! The disk fails: the handle is dead, and nothing that was acknowledged is lost by going on.

use std::{error::Error, io, sync::Arc};

use disk::{
    Disk,
    sim::{Fault, SimDisk},
};

use super::{config, dir, entries, entry, mark, metadata, names, new_wal, open, state};
use crate::{Wal, WalError};

fn os_error(error: &WalError) -> Option<i32> {
    error.source()?.downcast_ref::<io::Error>()?.raw_os_error()
}

fn assert_dead(wal: &mut Wal) {
    for _ in 0..2 {
        let append = wal.append(&[entry(50, 1, b"")], None, true);
        assert!(matches!(append, Err(WalError::Dead { .. })), "{append:?}");
        let state = wal.append(&[], Some(&state(1, 1)), false);
        assert!(matches!(state, Err(WalError::Dead { .. })));
        let marked = wal.mark_snapshot(&mark(3, 1));
        assert!(matches!(marked, Err(WalError::Dead { .. })));
    }
}

#[test]
fn a_failed_sync_kills_the_handle() {
    let (disk, mut wal) = new_wal(4096);
    wal.append(&entries(1..=3), None, true).unwrap();
    disk.fail_sync(1, Fault::Eio);
    let error = wal.append(&entries(4..=4), None, true).unwrap_err();
    assert_eq!(os_error(&error), Some(5), "{error}");
    assert!(error.to_string().starts_with("cannot sync /node/wal/0000000000000000-"), "{error}");
    assert_dead(&mut wal);
}

#[test]
fn a_failed_write_kills_the_handle() {
    let (disk, mut wal) = new_wal(4096);
    disk.fail_write(1, Fault::Enospc);
    let error = wal.append(&entries(1..=4), None, true).unwrap_err();
    assert_eq!(os_error(&error), Some(28), "{error}");
    assert_dead(&mut wal);
    drop(wal);
    let (mut wal, _) = open(&disk, &mark(0, 0), 4096).unwrap();
    wal.append(&entries(1..=4), None, true).unwrap();
}

/// After a failed sync the page cache shows what the disk never got. A restart must not build on it.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_again_before_it_counts() {
    for seed in 0..100 {
        let (disk, mut wal) = new_wal(64 * 1024);
        wal.append(&entries(1..=3), None, true).unwrap();
        disk.fail_sync(1, Fault::Eio);
        wal.append(&[entry(4, 1, &[1; 5000])], None, true).unwrap_err();
        drop(wal);
        let (mut wal, replay) = open(&disk, &mark(0, 0), 64 * 1024).unwrap();
        assert_eq!(replay.entries.len(), 4, "the process died, not the machine");
        wal.append(&[entry(5, 1, b"acknowledged")], None, true).unwrap();
        drop(wal);
        disk.crash(seed);
        let (_, replay) = open(&disk, &mark(0, 0), 64 * 1024).unwrap();
        assert_eq!(replay.entries.len(), 5, "seed {seed}");
    }
}

#[test]
fn a_full_disk_at_a_cut_kills_the_handle_but_loses_nothing() {
    let (disk, mut wal) = new_wal(8192);
    wal.append(&[entry(1, 1, &[1; 3000])], None, true).unwrap();
    // The segment is there; no room for the next.
    disk.limit_bytes(Some(8192 + 1000));
    wal.append(&[entry(2, 1, &[1; 3000])], None, true).unwrap();
    let error = wal.append(&[entry(3, 1, &[1; 2500])], None, true).unwrap_err();
    assert_eq!(os_error(&error), Some(28), "{error}");
    assert_dead(&mut wal);
    drop(wal);
    disk.limit_bytes(None);
    let (mut wal, replay) = open(&disk, &mark(0, 0), 8192).unwrap();
    assert_eq!(replay.entries.len(), 3);
    wal.append(&[entry(4, 1, &[1; 3000])], None, true).unwrap();
    assert_eq!(names(&disk)[1], "0000000000000001-0000000000000005.wal");
}

#[test]
fn a_log_that_cannot_be_made_is_not_there() {
    let disk = SimDisk::new();
    let make = || Wal::create(Arc::new(disk.clone()), dir(), metadata(), config(8192));
    disk.fail_sync(2, Fault::Eio);
    assert!(make().is_err());
    assert!(!crate::exists(&disk, dir()).unwrap());
    make().unwrap();
}

#[test]
fn each_batch_is_one_sync_whose_time_is_told() {
    let (disk, wal) = new_wal(1 << 20);
    drop(wal);
    let (report, told) = std::sync::mpsc::channel();
    let report = std::sync::Mutex::new(report);
    let mut config = config(1 << 20);
    config.on_sync = Some(Arc::new(move |_| report.lock().unwrap().send(()).unwrap()));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut wal, _) = Wal::open(shared, dir(), &mark(0, 0), config).unwrap();
    let before = disk.operations();
    wal.append(&entries(1..=500), Some(&state(1, 3)), true).unwrap();
    assert_eq!(told.try_iter().count(), 1);
    assert_eq!(disk.operations() - before, 2, "a write and a sync");
    wal.append(&[], Some(&state(1, 4)), false).unwrap();
    assert_eq!(disk.operations() - before, 3, "a commit index alone is not synced");
    wal.append(&[], None, true).unwrap();
    wal.append(&[], None, true).unwrap();
    assert_eq!(told.try_iter().count(), 1, "what was not synced is, once");
}
