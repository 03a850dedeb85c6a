//! The one way to delete a folder: an archive that an operator names (R4). Never a live one, never through a link.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{Disk, DiskLock, RealDisk};

/// What an archive is called while it is deleted: a part of it may be gone.
pub const PURGING: &str = ".purging";
/// Folders within folders.
const DEPTH_MAX: usize = 32;

/// Deletes the folder `name` in an archive folder. All locks that etcd or a node takes in a data dir are held meanwhile.
///
/// # Errors
/// `InvalidInput` if `name` is not a plain name or one of both is a link or no folder; `WouldBlock` if a process holds a
/// lock in it; `CrossesDevices` if something is mounted in it: then nothing was deleted. Else the system's, and what is
/// left is called `NAME.purging`.
pub fn purge(archive_root: &Path, name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(ErrorKind::InvalidInput.into());
    }
    let folder = archive_root.join(name);
    for path in [archive_root, &folder] {
        if !fs::symlink_metadata(path)?.is_dir() {
            let text = format!("{} is a link or no folder", path.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
    }
    let device = fs::symlink_metadata(archive_root)?.dev();
    let mut locks = Vec::new();
    hold(&folder, device, DEPTH_MAX, &mut locks)?;
    let doomed = if name.ends_with(PURGING) {
        folder
    } else {
        let doomed = archive_root.join(format!("{name}{PURGING}"));
        RealDisk.rename(&folder, &doomed)?;
        doomed
    };
    remove(&doomed)?;
    drop(locks);
    RealDisk.sync_dir(archive_root)
}

/// Bytes of all files in a folder; links are not followed.
///
/// # Errors
/// The system's.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself, whatever it points to.
        let attributes = entry.metadata()?;
        let more =
            if attributes.is_dir() { folder_bytes(&entry.path())? } else { attributes.len() };
        bytes = bytes.saturating_add(more);
    }
    Ok(bytes)
}

fn hold(
    folder: &Path,
    device: u64,
    depth: usize,
    locks: &mut Vec<Box<dyn DiskLock>>,
) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or(ErrorKind::InvalidInput)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, attributes) = (entry.path(), entry.metadata()?);
        if attributes.dev() != device {
            let text = format!("something is mounted on {}", path.display());
            return Err(io::Error::new(ErrorKind::CrossesDevices, text));
        }
        if attributes.is_dir() {
            hold(&path, device, depth, locks)?;
        } else if attributes.is_file() && takes_a_lock(&path) {
            let held = |error: io::Error| match error.kind() {
                ErrorKind::WouldBlock => {
                    let text = format!("a process holds {}", path.display());
                    io::Error::new(ErrorKind::WouldBlock, text)
                }
                _ => error,
            };
            locks.push(RealDisk.lock(&path).map_err(held)?);
        }
    }
    Ok(())
}

/// Files that etcd and our node lock while they use a data dir.
fn takes_a_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
        || path.file_name().is_some_and(|name| name == "lock")
}

#[expect(clippy::disallowed_methods, reason = "an operator asked for the end of an archive (R4)")]
fn remove(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::PathBuf};

    use super::*;

    fn archived() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let archive = root.path().join("archive");
        fs::create_dir_all(archive.join("n1/member/wal")).unwrap();
        fs::File::create(archive.join("n1/member/wal/0.wal")).unwrap();
        (root, archive)
    }

    /// R4
    #[test]
    fn an_archive_goes_and_what_its_links_point_to_stays() {
        let (root, archive) = archived();
        fs::create_dir_all(root.path().join("live")).unwrap();
        fs::File::create(root.path().join("live/kept")).unwrap();
        symlink(root.path().join("live"), archive.join("n1/link")).unwrap();
        purge(&archive, "n1").unwrap();
        assert_eq!(fs::read_dir(&archive).unwrap().count(), 0);
        assert!(root.path().join("live/kept").exists());
    }

    /// R4
    #[test]
    fn links_and_other_places_are_refused() {
        let (root, archive) = archived();
        fs::create_dir_all(root.path().join("live")).unwrap();
        symlink(root.path().join("live"), archive.join("alias")).unwrap();
        symlink(&archive, root.path().join("elsewhere")).unwrap();
        for (place, name) in [
            (archive.clone(), "alias"),
            (archive.clone(), "../live"),
            (archive.clone(), ".."),
            (archive.clone(), ""),
            (root.path().join("elsewhere"), "n1"),
        ] {
            let refused = purge(&place, name).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name}");
        }
        assert!(root.path().join("live").exists() && archive.join("n1/member").exists());
    }

    /// R4
    #[test]
    fn what_a_process_holds_stays() {
        let (_root, archive) = archived();
        let lock = RealDisk.lock(&archive.join("n1/member/wal/0.wal")).unwrap();
        assert_eq!(purge(&archive, "n1").unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(archive.join("n1/member/wal/0.wal").exists());
        drop(lock);
        purge(&archive, "n1").unwrap();
    }
}
