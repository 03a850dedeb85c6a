//! Tests of the handle: against a model, under concurrent readers, through crashes and faults.

mod crash;
mod golden;
mod inspection;
mod killable;
mod lifecycle;
mod model;
mod readers;

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
    sync::Arc,
    time::Duration,
};

use disk::{Disk, sim::SimDisk};

use crate::{Backend, BackendError, Bucket, Options, WriteBatch};

/// All rows, as a backend should have them.
type Rows = BTreeMap<(Bucket, Vec<u8>), Vec<u8>>;

const PATH: &str = "/kv/state.redb";

/// Options that flush only when told to, or when much waits.
fn patient() -> Options {
    Options { flush_interval: Duration::from_secs(3600), ..Options::default() }
}

fn empty_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/kv")).unwrap();
    disk
}

fn open(disk: &SimDisk, options: Options) -> Result<Backend, BackendError> {
    Backend::open(Arc::new(disk.clone()), Path::new(PATH), options)
}

/// What a scan of every bucket finds, checked to ascend.
fn all_rows(backend: &Backend) -> Rows {
    let mut rows = Rows::new();
    for bucket in Bucket::ALL {
        let mut last: Option<Vec<u8>> = None;
        backend
            .scan(bucket, Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
                assert!(last.as_deref().is_none_or(|last| last < key), "a scan must ascend");
                last = Some(key.to_vec());
                rows.insert((bucket, key.to_vec()), value.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    rows
}

fn put(bucket: Bucket, key: &[u8], value: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(bucket, key.to_vec(), value.to_vec());
    batch
}

/// A revision key: ascends with its number.
fn revision(main: u64) -> Vec<u8> {
    let mut key = main.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend_from_slice(&0u64.to_be_bytes());
    key
}
