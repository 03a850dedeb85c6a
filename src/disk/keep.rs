//! Replaces a file that belongs to an operator: durably, and with the owner, group and mode that it had.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

use crate::{Disk, RealDisk};

/// Replaces the content of a file that holds `before` by `after`. A link is followed, so it stays one. After a crash the
/// old or the new content is there in full.
///
/// # Errors
/// `AlreadyExists` if another edit of the file is under way (`NAME.edit` lies beside it); `InvalidData` if it no longer
/// holds `before`; else the system's. Then the old content is there, or the new one.
pub fn replace_keeping(path: &Path, before: &[u8], after: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = OsString::from(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(".edit");
    let draft = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let done = fill(&mut file, &path, before, after);
    if let Err(error) = done.and_then(|()| RealDisk.rename(&draft, &path)) {
        // What is left of it is ours alone.
        drop(fs::remove_file(&draft));
        return Err(error);
    }
    Ok(())
}

fn fill(file: &mut fs::File, path: &Path, before: &[u8], after: &[u8]) -> io::Result<()> {
    let attributes = fs::metadata(path)?;
    if fs::read(path)? != before {
        let text = "somebody else changed it meanwhile: look at it and try again";
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (attributes.uid(), attributes.gid()) {
        fchown(&*file, Some(attributes.uid()), Some(attributes.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(attributes.mode() & 0o7777))?;
    file.write_all(after)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cluster.toml");
        fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
        (root, path)
    }

    #[test]
    fn mode_and_links_stay_and_nothing_is_left_behind() {
        let (root, path) = file("old");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = root.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace_keeping(&link, b"old", b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_another_wrote_meanwhile_is_not_overwritten() {
        let (root, path) = file("theirs");
        let refused = replace_keeping(&path, b"old", b"new").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_of_another_edit_is_left_alone() {
        let (root, path) = file("old");
        let draft = root.path().join("cluster.toml.edit");
        fs::File::create(&draft).unwrap();
        let refused = replace_keeping(&path, b"old", b"new").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(draft.exists());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
