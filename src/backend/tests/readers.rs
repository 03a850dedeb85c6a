//! Readers beside the writer and the flushes.

use std::{
    ops::{Bound, ControlFlow},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{empty_disk, open, revision};
use crate::{Backend, Bucket, Options, WriteBatch};

const ROWS_PER_BATCH: u64 = 5;
const BATCHES: u64 = 3000;

/// Batch `n` moves a window of rows up by one batch and says so in the meta bucket.
fn batch(n: u64) -> WriteBatch {
    let mut batch = WriteBatch::with_capacity(11);
    for row in 0..ROWS_PER_BATCH {
        batch.put(Bucket::Key, revision(n * ROWS_PER_BATCH + row), n.to_be_bytes().to_vec());
        if n >= 10 {
            batch.delete(Bucket::Key, revision((n - 10) * ROWS_PER_BATCH + row));
        }
    }
    batch.put(Bucket::Meta, b"consistent_index".to_vec(), n.to_be_bytes().to_vec());
    batch
}

/// A scan must show whole batches: ten in a row, or all of them at the start.
fn check_scan(backend: &Backend) -> u64 {
    let mut keys = Vec::new();
    backend
        .scan(Bucket::Key, Bound::Unbounded, Bound::Unbounded, &mut |key, _| {
            keys.push(u64::from_be_bytes(key[..8].try_into().unwrap()));
            ControlFlow::Continue(())
        })
        .unwrap();
    let first = keys.first().copied().unwrap_or_default();
    let end = first + u64::try_from(keys.len()).unwrap();
    assert!(keys.iter().copied().eq(first..end), "a hole in {keys:?}");
    assert_eq!((first % ROWS_PER_BATCH, end % ROWS_PER_BATCH), (0, 0), "a part of a batch");
    if end > 10 * ROWS_PER_BATCH {
        assert_eq!(end - first, 10 * ROWS_PER_BATCH, "put and delete of one batch belong together");
    }
    end
}

fn read_until(stop: &AtomicBool, backend: &Backend) {
    let mut last = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let end = check_scan(backend);
        let index = backend.get(Bucket::Meta, b"consistent_index").unwrap();
        let index = index.map_or(0, |index| u64::from_be_bytes(index[..].try_into().unwrap()));
        assert!(end >= last.0 && index >= last.1, "a reader must not go back in time");
        // The scan came first, so the index is of that cut or a later one.
        assert!((index + 1) * ROWS_PER_BATCH >= end);
        last = (end, index);
    }
}

#[test]
fn readers_see_whole_batches_while_flushes_and_defragmentation_run() {
    let disk = empty_disk();
    let options =
        Options { flush_interval: Duration::from_millis(1), flush_rows: 100, ..Options::default() };
    let backend = open(&disk, options).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read_until(&stop, &backend));
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                backend.defragment().unwrap();
                let view = backend.view().unwrap();
                assert!(view.get(Bucket::Meta, b"none").unwrap().is_none());
            }
        });
        for n in 0..BATCHES {
            backend.write(batch(n)).unwrap();
        }
        backend.flush().unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(check_scan(&backend), BATCHES * ROWS_PER_BATCH);
}

#[test]
fn a_view_stays_while_the_rows_move_on() {
    let disk = empty_disk();
    let backend = open(&disk, super::patient()).unwrap();
    backend.write(batch(0)).unwrap();
    let view = backend.view().unwrap();
    for n in 1..50 {
        backend.write(batch(n)).unwrap();
        backend.flush().unwrap();
    }
    backend.defragment().unwrap();
    backend.close().unwrap();
    drop(backend);
    let index = view.get(Bucket::Meta, b"consistent_index").unwrap().unwrap();
    assert_eq!(index[..], 0u64.to_be_bytes());
    let mut rows = 0;
    view.scan(Bucket::Key, Bound::Unbounded, Bound::Unbounded, &mut |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rows, ROWS_PER_BATCH);
}

#[test]
fn visiting_readers_may_write() {
    let disk = empty_disk();
    let backend = open(&disk, super::patient()).unwrap();
    backend.write(batch(0)).unwrap();
    backend
        .scan(Bucket::Key, Bound::Unbounded, Bound::Unbounded, &mut |_, _| {
            backend.write(batch(1)).unwrap();
            backend.flush().unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(check_scan(&backend), 2 * ROWS_PER_BATCH);
}
