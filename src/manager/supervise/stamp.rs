//! Which file a program was started from: a path says nothing of it once the file there was replaced.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};

/// Tells a file from the one that is put in its place. Taken by the shim just before it starts a node, kept in the
/// run record, and compared with what lies at the path now. `/proc/PID/exe` would not do: of a script it is the
/// interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Last change of its content, in nanoseconds since 1970.
    modified_ns: i128,
}

impl FileStamp {
    /// The file at this path, links followed; none if there is none or it cannot be looked at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        let modified_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Some(Self { device: meta.dev(), inode: meta.ino(), bytes: meta.len(), modified_ns })
    }

    /// Whether another file lies at this path now. A missing one is none: nothing could be started from it.
    #[must_use]
    pub fn was_replaced(&self, path: &Path) -> bool {
        Self::of(path).is_some_and(|now| now != *self)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests replace files as an operator does")]
mod tests {
    use super::*;

    #[test]
    fn a_file_put_in_its_place_is_another_and_a_missing_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd");
        fs::write(&path, "one").unwrap();
        let stamp = FileStamp::of(&path).unwrap();
        assert!(!stamp.was_replaced(&path));
        let json = serde_json::to_string(&stamp).unwrap();
        assert_eq!(serde_json::from_str::<FileStamp>(&json).unwrap(), stamp);
        let draft = dir.path().join("etcd.new");
        fs::write(&draft, "one").unwrap();
        fs::rename(&draft, &path).unwrap();
        assert!(stamp.was_replaced(&path), "the same bytes in another file");
        fs::remove_file(&path).unwrap();
        assert!(!stamp.was_replaced(&path));
    }
}
