//! Power loss, kills and failing disks: what `flush` acknowledged stays, and batches stay whole.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use disk::{
    Disk,
    sim::{Fault, SimDisk},
};
use proptest::prelude::*;

use super::{PATH, Rows, all_rows, empty_disk, killable::Killable, open, patient, revision};
use crate::{Backend, BackendError, Bucket, Options, WriteBatch};

/// What batch `n` does: new revisions, deletions of old ones, a large value now and then.
fn batch(n: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for row in 0..n % 5 {
        let length = if n % 31 == 7 { 20_000 } else { usize::try_from(n * 37 % 400).unwrap() };
        batch.put(Bucket::Key, revision(n * 8 + row), vec![u8::try_from(n % 251).unwrap(); length]);
    }
    if n.is_multiple_of(3) {
        for old in n / 4..n / 2 {
            batch.delete(Bucket::Key, revision(old * 8 + old % 4));
        }
    }
    batch.put(Bucket::Meta, b"consistent_index".to_vec(), n.to_be_bytes().to_vec());
    batch
}

/// The rows after the batches `1..=n`.
fn rows_after(n: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 1..=n {
        for change in batch(number).into_changes() {
            let at = (change.bucket, change.key.to_vec());
            match change.value {
                Some(value) => rows.insert(at, value.to_vec()),
                None => rows.remove(&at),
            };
        }
    }
    rows
}

/// The newest batch in the backend, by its meta bucket; all other rows must fit it.
fn newest_batch(backend: &Backend) -> u64 {
    let index = backend.get(Bucket::Meta, b"consistent_index").unwrap();
    let index = index.map_or(0, |index| u64::from_be_bytes(index[..].try_into().unwrap()));
    assert!(all_rows(backend) == rows_after(index), "the rows are not those after batch {index}");
    index
}

/// How a life went: the newest batch written, and the newest known durable.
#[derive(Debug, Default, Clone, Copy)]
struct Life {
    written: u64,
    durable: u64,
}

/// Writes batches after `start` until `end` or the first error.
fn live(backend: &Backend, start: u64, end: u64, flush_every: u64) -> Life {
    let mut life = Life { written: start, durable: start };
    while life.written < end {
        let next = life.written + 1;
        if backend.write(batch(next)).is_err() {
            return life;
        }
        life.written = next;
        if next.is_multiple_of(flush_every) {
            if backend.flush().is_err() {
                return life;
            }
            life.durable = next;
        }
        if next.is_multiple_of(67) && backend.defragment().is_err() {
            // Nothing may be lost by it; whether the handle still lives shows at the next call.
        }
    }
    if backend.close().is_ok() {
        life.durable = life.written;
    }
    life
}

fn check_after(disk: &SimDisk, life: Life) -> u64 {
    let backend = open(disk, patient()).unwrap();
    let found = newest_batch(&backend);
    assert!(
        (life.durable..=life.written).contains(&found),
        "reopened at batch {found}, but {life:?}"
    );
    backend.close().unwrap();
    found
}

fn options(flush_rows: usize) -> Options {
    Options { flush_rows, ..patient() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn power_loss_leaves_a_batch_boundary_not_before_the_last_flush(
        seed: u64,
        powers in prop::collection::vec(1..2500u64, 1..4),
        flush_every in 1..40u64,
        flush_rows in prop_oneof![Just(3usize), Just(50), Just(10_000)],
    ) {
        let disk = empty_disk();
        let mut start = 0;
        for (life, power) in powers.into_iter().enumerate() {
            disk.power_off_after(power);
            let outcome = match open(&disk, options(flush_rows)) {
                Ok(backend) => live(&backend, start, start + 150, flush_every),
                Err(_) => Life { written: start, durable: start },
            };
            disk.crash(seed.wrapping_add(life as u64));
            start = check_after(&disk, outcome);
        }
    }

    #[test]
    fn a_kill_leaves_a_batch_boundary_not_before_the_last_flush(
        changes in prop::collection::vec(1..2500u64, 1..4),
        flush_every in 1..40u64,
    ) {
        let disk = empty_disk();
        let mut start = 0;
        for changes in changes {
            let killable = Arc::new(Killable::new(disk.clone(), changes));
            let outcome = match Backend::open(killable, Path::new(PATH), options(20)) {
                Ok(backend) => live(&backend, start, start + 150, flush_every),
                Err(_) => Life { written: start, durable: start },
            };
            start = check_after(&disk, outcome);
        }
    }

    #[test]
    fn a_failing_disk_kills_the_handle_and_loses_nothing_acknowledged(
        seed: u64,
        nth in 1..300u64,
        (is_sync, is_full) in any::<(bool, bool)>(),
        flush_every in 1..20u64,
    ) {
        let disk = empty_disk();
        let failures = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&failures);
        let mut options = options(20);
        options.on_failure = Some(Arc::new(move |_: &str| {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        let backend = open(&disk, options).unwrap();
        let fault = if is_full { Fault::Enospc } else { Fault::Eio };
        if is_sync { disk.fail_sync(nth, fault) } else { disk.fail_write(nth, fault) }
        let outcome = live(&backend, 0, 150, flush_every);
        // A fault that hits the copy of a defragmentation leaves the handle alive.
        if let Some(reason) = backend.failure() {
            assert!(!reason.is_empty());
            assert!(matches!(backend.write(batch(1)), Err(BackendError::Dead { .. })));
            assert!(matches!(backend.get(Bucket::Key, b"a"), Err(BackendError::Dead { .. })));
            assert!(matches!(backend.flush(), Err(BackendError::Dead { .. })));
            assert!(matches!(backend.view(), Err(BackendError::Dead { .. })));
            assert!(matches!(backend.defragment(), Err(BackendError::Dead { .. })));
            assert!(matches!(backend.close(), Err(BackendError::Dead { .. })));
        }
        // `live` or the close above joined the thread, so the hook had its time.
        let told = usize::from(backend.failure().is_some());
        assert_eq!(failures.load(Ordering::SeqCst), told);
        drop(backend);
        disk.crash(seed);
        check_after(&disk, outcome);
    }
}

#[test]
fn a_full_disk_kills_the_handle_and_the_acknowledged_stays() {
    let disk = empty_disk();
    let backend = open(&disk, patient()).unwrap();
    let mut n = 0;
    for _ in 0..20 {
        n += 1;
        backend.write(batch(n)).unwrap();
    }
    backend.flush().unwrap();
    let durable = n;
    disk.limit_bytes(Some(backend.sizes().total_bytes + 4096));
    let mut big = WriteBatch::new();
    big.put(Bucket::Key, revision(1), vec![1; 2 << 20]);
    backend.write(big).unwrap();
    assert!(matches!(backend.flush(), Err(BackendError::Dead { .. })));
    assert!(backend.failure().is_some());
    drop(backend);
    disk.limit_bytes(None);
    check_after(&disk, Life { written: durable, durable });
}

#[test]
fn defragmentation_without_room_leaves_the_old_file_in_use() {
    let disk = empty_disk();
    let backend = open(&disk, patient()).unwrap();
    for n in 1..=40 {
        backend.write(batch(n)).unwrap();
    }
    backend.flush().unwrap();
    disk.limit_bytes(Some(disk.list(Path::new("/kv")).unwrap()[0].len));
    assert!(matches!(backend.defragment(), Err(BackendError::Defragment(_))));
    disk.limit_bytes(None);
    assert_eq!(disk.list(Path::new("/kv")).unwrap().len(), 1, "the half copy must go");
    assert_eq!(newest_batch(&backend), 40);
    backend.write(batch(41)).unwrap();
    backend.close().unwrap();
    check_after(&disk, Life { written: 41, durable: 41 });
}

#[test]
fn an_empty_or_foreign_file_is_damage_and_never_a_fresh_start() {
    for content in [&b""[..], b"this is no database at all, but long enough to have a header"] {
        let disk = empty_disk();
        disk::replace(&disk, Path::new(PATH), content).unwrap();
        assert!(matches!(open(&disk, patient()), Err(BackendError::Open { .. })));
        assert_eq!(disk::read(&disk, Path::new(PATH)).unwrap(), content);
    }
}

#[test]
fn writers_wait_for_a_slow_disk_instead_of_filling_memory() {
    let disk = empty_disk();
    let options = Options {
        flush_interval: Duration::from_secs(3600),
        flush_bytes: 4000,
        buffer_bytes_max: 8000,
        ..Options::default()
    };
    let backend = open(&disk, options).unwrap();
    for n in 1..=200 {
        backend.write(batch(n)).unwrap();
    }
    assert_eq!(newest_batch(&backend), 200);
    backend.close().unwrap();
    check_after(&disk, Life { written: 200, durable: 200 });
}
