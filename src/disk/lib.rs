//! The door to the file system. Everything durable goes through a [`Disk`]: the real one, or the
//! simulated one that loses what was not synced.

mod archive;
mod keep;
mod purge;
mod real;
mod replace;
pub mod sim;
#[cfg(test)]
mod tests;

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
};

pub use archive::archive;
pub use keep::replace_keeping;
pub use purge::{PURGING, folder_bytes, purge};
pub use real::RealDisk;
pub use replace::{CheckedError, copy, read, read_checked, replace, replace_checked};

/// A folder tree with files that can be made durable. Paths are absolute or relative to the
/// process; modes are 0700 for folders and 0600 for files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` unless created, `AlreadyExists` with [`Open::CreateNew`]; else the system's.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;
    /// Names in a folder, sorted bytewise.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder; else the system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<DirItem>>;
    /// Makes a folder and its parents, and makes their names durable.
    ///
    /// # Errors
    /// The system's.
    fn create_dir_all(&self, folder: &Path) -> io::Result<()>;
    /// Renames a file or folder over whatever file is there, in one step, and syncs both parent
    /// folders. A folder is never replaced.
    ///
    /// # Errors
    /// `AlreadyExists` if a folder is there; else the system's, and then either name may be found
    /// after a crash.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file (never a folder) and syncs its parent.
    ///
    /// # Errors
    /// The system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;
    /// Whether something is there.
    ///
    /// # Errors
    /// Any failure but `NotFound`: "cannot tell" is not "no".
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Takes the exclusive lock of a file (made if absent); it is held until dropped. It is the
    /// kind of lock that etcd takes on its WAL files (an open file description lock on Linux).
    ///
    /// # Errors
    /// `WouldBlock` if another holds it; else the system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Takes a lock of an existing file that others may share, but that no [`Disk::lock`] goes with; it is
    /// held until dropped. Opens the file for reading only, so a folder that is looked into stays as it is.
    ///
    /// # Errors
    /// `NotFound`; `WouldBlock` if another holds the exclusive lock; else the system's.
    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Bytes free for this process in the file system of `path`.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Reads and writes name their position, so a file can be shared.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads into `buffer` from `offset`; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`, growing the file if needed.
    ///
    /// # Errors
    /// The system's; then any part of it may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;
    /// Bytes of disk space taken: less than the length where the file has holes.
    ///
    /// # Errors
    /// The system's.
    fn allocated_bytes(&self) -> io::Result<u64> {
        self.len()
    }
    /// Whether there are no bytes.
    ///
    /// # Errors
    /// The system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or grows (with zeroes) to `bytes`.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes content and length durable (fdatasync).
    ///
    /// # Errors
    /// The system's; afterwards the handle must not be trusted any more.
    fn sync(&self) -> io::Result<()>;
}

/// A held lock; dropping it releases the file.
pub trait DiskLock: Debug + Send + Sync {
    /// The locked file.
    fn path(&self) -> &Path;
}

/// How a file is opened; always for reading, and for writing too unless `Read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading only.
    Read,
    /// An existing file.
    Write,
    /// An existing file, or a new one.
    Create,
    /// A new file; it must not exist.
    CreateNew,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirItem {
    /// Full path.
    pub path: PathBuf,
    /// Last component.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Length in bytes (0 for folders).
    pub len: u64,
}
