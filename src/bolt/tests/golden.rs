//! Files that the real etcd made; see testdata/README.md.

use super::{Buckets, disk_with, open, read_all, status_hash, write_all};

pub(super) const ETCD_3_4_23: &[u8] = include_bytes!("../testdata/etcd-3.4.23.snapshot");
pub(super) const ETCD_3_5_1: &[u8] = include_bytes!("../testdata/etcd-3.5.1.snapshot");

const NAMES: [&str; 10] = [
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
];

pub(super) fn buckets_of(file: &[u8]) -> Buckets {
    read_all(&open(&disk_with(file)).unwrap()).unwrap()
}

#[test]
fn snapshots_of_both_real_versions_are_read_whole() {
    for (file, hash, pairs) in [(ETCD_3_4_23, 446_531_239, 225), (ETCD_3_5_1, 970_135_368, 227)] {
        let buckets = buckets_of(file);
        let names: Vec<_> = buckets.keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, NAMES);
        assert_eq!(status_hash(&buckets), hash);
        assert_eq!(buckets.values().map(std::collections::BTreeMap::len).sum::<usize>(), pairs);
        let newest = buckets[&b"key"[..]].keys().next_back().unwrap();
        assert_eq!(newest[..8], 156u64.to_be_bytes());
        assert!(buckets[&b"key"[..]].values().any(|value| value.len() > 9000));
    }
}

#[test]
fn a_rewritten_snapshot_holds_the_same() {
    for file in [ETCD_3_4_23, ETCD_3_5_1] {
        let buckets = buckets_of(file);
        assert_eq!(buckets_of(&write_all(&buckets)), buckets);
    }
}
