//! What only the real disk has: modes, and locks between processes.

use std::os::unix::fs::PermissionsExt;

use crate::{Disk, Open, RealDisk, replace};

#[test]
fn folders_and_files_are_for_their_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a/b");
    RealDisk.create_dir_all(&folder).unwrap();
    replace(&RealDisk, &folder.join("replaced"), b"x").unwrap();
    drop(RealDisk.open(&folder.join("created"), Open::Create).unwrap());
    drop(RealDisk.lock(&folder.join("locked")).unwrap());
    let mode = |path: &str| {
        std::fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!([mode("a"), mode("a/b")], [0o700; 2]);
    for name in ["replaced", "created", "locked"] {
        assert_eq!(mode(&format!("a/b/{name}")), 0o600, "{name}");
    }
}

#[test]
fn relative_paths_without_a_folder_work() {
    let name = format!("target-of-disk-test-{}", std::process::id());
    let path = std::path::Path::new(&name);
    replace(&RealDisk, path, b"x").unwrap();
    RealDisk.remove_file(path).unwrap();
    assert!(!RealDisk.exists(path).unwrap());
}
