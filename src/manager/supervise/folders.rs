//! Makes a private folder below parents that other users may pass through: nodes of another user
//! live beside the agent's own state.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use disk::Disk;

/// Parents that had to be made.
const PARENT_MODE: u32 = 0o755;

/// Makes `folder` (mode 0700) durably, and its missing parents passable. One that exists is left
/// as it is.
///
/// # Errors
/// The system's.
pub fn make_private(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = folder
        .ancestors()
        .skip(1)
        .take_while(|parent| !parent.as_os_str().is_empty() && !parent.exists())
        .map(Path::to_owned)
        .collect();
    disk.create_dir_all(folder)?;
    for parent in missing {
        fs::set_permissions(parent, fs::Permissions::from_mode(PARENT_MODE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use disk::RealDisk;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_parents_can_be_passed_and_the_folder_is_private() {
        let root = tempfile::tempdir().unwrap();
        let before = mode(root.path());
        let folder = root.path().join("a/b/c");
        make_private(&RealDisk, &folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&root.path().join("a/b")), 0o755);
        assert_eq!(mode(&root.path().join("a")), 0o755);
        assert_eq!(mode(root.path()), before, "what was there is left alone");
        make_private(&RealDisk, &folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
    }
}
