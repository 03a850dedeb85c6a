//! Power cuts for whole processes: while they run, what they change and did not sync yet is noted,
//! and after they were killed [`cut`] undoes it, or a random part of it.
//!
//! `lossy-preload` calls [`UndoLog`] from below the processes under test, at the C library's door to
//! the kernel; so nothing in them can pass it by, and they are the programs that people run.
//!
//! The disk promises what `disk::sim` does, and no more: synced content and synced names stay. Of
//! un-synced content any set of 512-byte sectors may have reached the disk, in any order; a new
//! length may come without its bytes (they read as zero). Each un-synced change of names came whole
//! or not at all, never without the earlier changes of the same name. A synced file may lack its name.
//!
//! The notes lie in a folder of their own, outside the tree that is watched and on the same file
//! system (removed files are kept by hard links). They need no sync: processes die, the kernel lives.
#![expect(
    clippy::unwrap_in_result,
    reason = "a note that cannot be made ends the process; an error would reach the program under test"
)]

mod content;
mod cut;
mod names;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

pub use cut::{Loss, cut};

/// Variable that names the folder tree to watch.
pub const ROOT: &str = "LOSSY_ROOT";
/// Variable that names the folder of the notes.
pub const NOTES: &str = "LOSSY_NOTES";

/// Variable with a number: a process that has it is killed before it does so many changes and syncs in
/// the tree, not counting any of before.
pub const KILL_AT: &str = "LOSSY_KILL_AT";

/// Variable that names a file: while it is there, with a number, a process that has the variable is killed before
/// it does so many changes and syncs in the tree, counted from the first one that finds the file.
pub const KILL_ORDER: &str = "LOSSY_KILL_ORDER";

/// The notes on one tree. Any number of processes and threads may share them.
#[derive(Debug)]
pub struct UndoLog {
    root: PathBuf,
    notes: PathBuf,
}

impl UndoLog {
    /// Names the tree and the folder of its notes; see [`UndoLog::prepare`].
    #[must_use]
    pub fn new(root: PathBuf, notes: PathBuf) -> Self {
        Self { root, notes }
    }

    /// Makes the folder of the notes.
    ///
    /// # Errors
    /// The system's.
    pub fn prepare(&self) -> io::Result<()> {
        for folder in [self.files(), self.names(), self.saved()] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// The same path through no link, if it lies in the tree. The tree's own name does not.
    #[must_use]
    pub fn watched(&self, path: &Path) -> Option<PathBuf> {
        let parent = match path.parent()? {
            parent if parent.as_os_str().is_empty() => Path::new("."),
            parent => parent,
        };
        let parent = fs::canonicalize(parent).ok()?;
        self.holds(&parent).then_some(parent.join(path.file_name()?))
    }

    /// Whether an open file's path lies in the tree.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// Notes a write of `bytes` at `offset` (absent: at the end), then does it.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// If a note cannot be written: then the test would show nothing.
    pub fn write<T>(
        &self,
        file: &File,
        offset: Option<u64>,
        bytes: u64,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn();
        let attributes = file.metadata().expect("attributes of the file");
        if attributes.nlink() > 0 {
            let offset = offset.unwrap_or(attributes.len());
            content::note_write(&self.note_of(attributes.ino()), file, offset, bytes)
                .expect("note a write");
        }
        act()
    }

    /// Notes a new length, then sets it.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn set_len<T>(
        &self,
        file: &File,
        bytes: u64,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn();
        let attributes = file.metadata().expect("attributes of the file");
        if attributes.nlink() > 0 {
            content::note_len(&self.note_of(attributes.ino()), file, bytes).expect("note a length");
        }
        act()
    }

    /// Syncs a file: what was done to it before the call can no longer be lost.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn sync_file<T>(&self, file: &File, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let note = self.note_of(file.metadata().expect("attributes of the file").ino());
        let before = {
            let _turn = self.turn();
            content::end(&note).expect("read a note")
        };
        let done = act()?;
        let _turn = self.turn();
        content::settle(&note, before).expect("settle a file");
        Ok(done)
    }

    /// Runs `act`, which may make a file at `path`.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn create<T>(&self, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _turn = self.turn();
        if fs::symlink_metadata(path).is_err() {
            self.note_change(&names::Change::Create(path.to_owned()));
        }
        act()
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn make_folder<T>(
        &self,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn();
        if fs::symlink_metadata(path).is_err() {
            self.note_change(&names::Change::Folder(path.to_owned()));
        }
        act()
    }

    /// Renames a file or folder, within the tree.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn rename<T>(
        &self,
        from: &Path,
        to: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn();
        if let Ok(moved) = fs::symlink_metadata(from) {
            if moved.is_dir() {
                // The notes name paths: what changed in there is taken for kept, which it may be.
                self.settle_below(from);
            }
            let (from, to) = (from.to_owned(), to.to_owned());
            self.note_change(&names::Change::Rename { from, to, inode: moved.ino() });
        }
        act()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn remove<T>(&self, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _turn = self.turn();
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_dir()) {
            self.note_change(&names::Change::Remove(path.to_owned()));
        }
        act()
    }

    /// Syncs a folder: what changed in it before the call can no longer be lost.
    ///
    /// # Errors
    /// Those of `act`.
    ///
    /// # Panics
    /// As [`UndoLog::write`].
    pub fn sync_folder<T>(
        &self,
        folder: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let before = {
            let _turn = self.turn();
            self.next_number().expect("read the counter")
        };
        let done = act()?;
        let _turn = self.turn();
        self.settle_folder(folder, before);
        Ok(done)
    }

    /// One at a time, among all processes; until the file is closed.
    fn turn(&self) -> File {
        let lock = File::create(self.notes.join("lock")).expect("the lock of the notes");
        lock.lock().expect("a turn");
        lock
    }

    fn files(&self) -> PathBuf {
        self.notes.join("files")
    }

    fn names(&self) -> PathBuf {
        self.notes.join("names")
    }

    fn saved(&self) -> PathBuf {
        self.notes.join("saved")
    }

    fn note_of(&self, inode: u64) -> PathBuf {
        self.files().join(inode.to_string())
    }
}
