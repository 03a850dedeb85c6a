//! What is written is read back.

use std::{ops::ControlFlow, path::Path};

use disk::{
    Disk,
    sim::{Fault, SimDisk},
};
use proptest::prelude::*;

use super::{Buckets, PATH, disk_with, golden::buckets_of, large, open, write_all};
use crate::{BoltError, Writer};

/// Up to some hundred rows, of lengths around the borders of inline buckets and pages.
fn rows() -> impl Strategy<Value = std::collections::BTreeMap<Vec<u8>, Vec<u8>>> {
    let key = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 1..20),
        1 => prop::collection::vec(any::<u8>(), 1000..3000),
    ];
    let length = prop_oneof![8 => 0..100usize, 4 => 900..1100usize, 2 => 3900..8300usize];
    let value = (length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    prop::collection::btree_map(key, value, 0..300)
}

fn buckets() -> impl Strategy<Value = Buckets> {
    let rows = prop_oneof![2 => Just(std::collections::BTreeMap::new()), 3 => rows()];
    prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..12), rows, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn random_buckets_come_back(buckets in buckets()) {
        prop_assert_eq!(buckets_of(&write_all(&buckets)), buckets);
    }
}

#[test]
fn a_tree_of_several_levels_comes_back() {
    let buckets = large();
    assert_eq!(buckets_of(&write_all(&buckets)), buckets);
}

#[test]
fn a_scan_visits_one_bucket_and_stops_when_told() {
    let buckets = large();
    let reader = open(&disk_with(&write_all(&buckets))).unwrap();
    let mut keys = Vec::new();
    let found = reader.scan(b"key", &mut |key, _| {
        keys.push(key.to_vec());
        if keys.len() < 5000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(found.unwrap());
    assert!(keys.iter().eq(buckets[&b"key"[..]].keys().take(5000)));
    for absent in [&b"aaa"[..], b"keys", b"zzz"] {
        let found = reader.scan(absent, &mut |_, _| panic!("a row of a bucket that is not there"));
        assert!(!found.unwrap());
    }
}

#[test]
fn rows_and_buckets_out_of_order_are_refused() {
    let disk = SimDisk::new();
    let mut writer = Writer::create(&disk, Path::new(PATH)).unwrap();
    assert!(matches!(writer.put(b"k", b""), Err(BoltError::Order { .. })), "no bucket yet");
    writer.bucket(b"b").unwrap();
    writer.put(b"k", b"").unwrap();
    for bad in [&b"k"[..], b"a", b"", &[b'z'; 40_000]] {
        assert!(matches!(writer.put(bad, b""), Err(BoltError::Order { .. })));
    }
    for bad in [&b"b"[..], b"a", b""] {
        assert!(matches!(writer.bucket(bad), Err(BoltError::Order { .. })));
    }
}

#[test]
fn a_failing_disk_is_told_and_an_older_file_is_overwritten_whole() {
    let disk = disk_with(&write_all(&large()));
    for nth in 1..=2 {
        disk.fail_write(nth, Fault::Enospc);
        let mut writer = Writer::create(&disk, Path::new(PATH)).unwrap();
        writer.bucket(b"key").unwrap();
        let written = writer.put(b"k", &[1; 5000]).and_then(|()| writer.finish());
        assert!(matches!(written, Err(BoltError::Write { .. })));
    }
    disk.fail_sync(1, Fault::Eio);
    let writer = Writer::create(&disk, Path::new(PATH)).unwrap();
    assert!(matches!(writer.finish(), Err(BoltError::Write { .. })));
    let writer = Writer::create(&disk, Path::new(PATH)).unwrap();
    let length = writer.finish().unwrap();
    disk.crash(1);
    let reader = open(&disk).unwrap();
    assert!(reader.buckets().unwrap().is_empty());
    assert_eq!(disk.list(Path::new("/")).unwrap()[0].len, length);
}
