//! The real tools read what the writer wrote: `snapshot status` runs bbolt's own consistency
//! check, `snapshot restore` opens the file for writing.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use disk::RealDisk;

use super::{Buckets, golden, large, status_hash, write_all};

/// Tools that `scripts/oracle` fetched.
const TOOLS: [&str; 2] = ["3.4.23/etcdctl", "3.5.1/etcdutl"];

#[expect(clippy::disallowed_methods, reason = "runs the real tools")]
fn run(tool: &str, arguments: &[&str]) -> Output {
    let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.cache/oracle").join(tool);
    assert!(tool.exists(), "{} is missing: run scripts/oracle", tool.display());
    let output = Command::new(tool).env("ETCDCTL_API", "3").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output
}

fn check(buckets: &Buckets) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    disk::replace(&RealDisk, &path, &write_all(buckets)).unwrap();
    let pairs: usize = buckets.values().map(std::collections::BTreeMap::len).sum();
    let expected =
        [format!("\"hash\":{},", status_hash(buckets)), format!("\"totalKey\":{pairs},")];
    for tool in TOOLS {
        let file = path.to_str().unwrap();
        let status = run(tool, &["snapshot", "status", file, "-w", "json"]);
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        for part in &expected {
            assert!(status.contains(part), "{tool} says {status}, which lacks {part}");
        }
        let restored = folder.path().join(tool.replace('/', "-"));
        let target = restored.to_str().unwrap();
        run(tool, &["snapshot", "restore", file, "--skip-hash-check", "--data-dir", target]);
        check_restored(&restored.join("member/snap/db"), buckets);
    }
}

/// The restored file is the tool's own work again: all keys must be in it.
fn check_restored(path: &Path, buckets: &Buckets) {
    let reader = crate::Reader::open(&RealDisk, path).unwrap();
    let restored = super::read_all(&reader).unwrap();
    assert_eq!(restored[&b"key"[..]], buckets[&b"key"[..]]);
}

#[test]
fn the_real_tools_accept_a_rewritten_snapshot() {
    check(&golden::buckets_of(golden::ETCD_3_4_23));
    check(&golden::buckets_of(golden::ETCD_3_5_1));
}

#[test]
fn the_real_tools_accept_a_large_tree_and_empty_buckets() {
    check(&large());
    let mut empty = large();
    for rows in empty.values_mut() {
        rows.clear();
    }
    // The tools print no status of a store without any key.
    let first = b"\0\0\0\0\0\0\0\x65_\0\0\0\0\0\0\0\0".to_vec();
    empty.get_mut(&b"key"[..]).unwrap().insert(first, super::key_value(0x65, 5));
    check(&empty);
}
