//! Takes a folder out of use without losing it (R4): it is renamed into an archive, never deleted.

use std::{
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use crate::Disk;

/// More archives of one label than this are a mistake in a loop.
const SAME_LABEL_MAX: u32 = 10_000;

/// Renames `folder` (or a file) to `archive_root/label`, or `label.1`, `label.2` … if that is
/// taken, and returns where it is now. Nothing is deleted or overwritten (R4).
///
/// # Errors
/// `InvalidInput` if `label` is not a plain name, `CrossesDevices` if the archive is on another
/// file system, `AlreadyExists` if all names of the label are taken; else the system's.
pub fn archive(
    disk: &dyn Disk,
    folder: &Path,
    archive_root: &Path,
    label: &str,
) -> io::Result<PathBuf> {
    let mut components = Path::new(label).components();
    let plain = matches!(components.next(), Some(Component::Normal(_)));
    if !plain || components.next().is_some() || label.contains('/') {
        return Err(ErrorKind::InvalidInput.into());
    }
    disk.create_dir_all(archive_root)?;
    for attempt in 0..SAME_LABEL_MAX {
        let target = match attempt {
            0 => archive_root.join(label),
            _ => archive_root.join(format!("{label}.{attempt}")),
        };
        if disk.exists(&target)? {
            continue;
        }
        disk.rename(folder, &target)?;
        return Ok(target);
    }
    Err(ErrorKind::AlreadyExists.into())
}
