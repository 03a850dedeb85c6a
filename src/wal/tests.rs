//! The log as its users see it: what comes back, after crashes, damage and failures.

mod crash;
mod damage;
mod faults;
mod golden;
mod roundtrip;
mod segments;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use disk::{Disk, sim::SimDisk};
use wire::{
    raftpb::{ConfState, Entry, HardState},
    walpb,
};

use crate::{Wal, WalConfig};

const DIR: &str = "/node/wal";

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn metadata() -> walpb::Metadata {
    walpb::Metadata { node_id: 0xabc, cluster_id: 0xdef }
}

/// Deterministic, with segments of that size.
fn config(segment_bytes: u64) -> WalConfig {
    WalConfig { segment_bytes, background: false, ..WalConfig::default() }
}

fn entry(index: u64, term: u64, payload: &[u8]) -> Entry {
    Entry { r#type: 0, term, index, data: Some(Bytes::copy_from_slice(payload)) }
}

fn entries(indices: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    indices.map(|index| entry(index, 1, format!("payload {index}").as_bytes())).collect()
}

fn state(term: u64, commit: u64) -> HardState {
    HardState { term, vote: 7, commit }
}

fn mark(index: u64, term: u64) -> walpb::Snapshot {
    let conf_state = (index > 0).then(|| ConfState { voters: vec![0xabc], ..ConfState::default() });
    walpb::Snapshot { index, term, conf_state }
}

fn new_wal(segment_bytes: u64) -> (SimDisk, Wal) {
    let disk = SimDisk::new();
    let wal =
        Wal::create(Arc::new(disk.clone()), dir(), metadata(), config(segment_bytes)).unwrap();
    (disk, wal)
}

fn open(
    disk: &SimDisk,
    from: &walpb::Snapshot,
    segment_bytes: u64,
) -> Result<(Wal, crate::Replay), crate::WalError> {
    Wal::open(Arc::new(disk.clone()), dir(), from, config(segment_bytes))
}

fn names(disk: &dyn Disk) -> Vec<String> {
    disk.list(dir()).unwrap().into_iter().map(|item| item.name).collect()
}
