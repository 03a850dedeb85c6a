//! Which segments a writer holds, and which may go.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use disk::{Disk, DiskLock};

use crate::{
    error::{WalError, io_error},
    name::SegmentName,
    spare,
};

/// The segments of a log being written.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    /// Those that may go, oldest first.
    released: VecDeque<SegmentName>,
    /// Those that a restart needs, locked as etcd locks them; the last is written to.
    held: VecDeque<(SegmentName, Box<dyn DiskLock>)>,
}

impl Segments {
    pub(crate) fn new(dir: &Path, released: &[SegmentName]) -> Self {
        let released = released.iter().copied().collect();
        Self { dir: dir.to_owned(), released, held: VecDeque::new() }
    }

    /// Adds the newest segment.
    pub(crate) fn push(&mut self, name: SegmentName, lock: Box<dyn DiskLock>) {
        self.held.push_back((name, lock));
    }

    /// The segment being written.
    pub(crate) fn last(&self) -> SegmentName {
        self.held.back().expect("a writer holds at least the segment it writes").0
    }

    /// Lets go of segments that hold only entries below `index`.
    pub(crate) fn release_before(&mut self, index: u64) {
        while self.held.get(1).is_some_and(|(next, _)| next.first_index <= index) {
            if let Some((name, lock)) = self.held.pop_front() {
                drop(lock);
                self.released.push_back(name);
            }
        }
    }

    /// Takes released segments away, oldest first, until `keep` of all are left. One of them is
    /// kept for [`spare`] to fill anew.
    pub(crate) fn purge(&mut self, disk: &dyn Disk, keep: usize) -> Result<usize, WalError> {
        let mut count = 0;
        while self.released.len() + self.held.len() > keep {
            let Some(name) = self.released.front() else { break };
            let path = self.dir.join(name.to_string());
            let recycled = self.dir.join(spare::RECYCLED);
            if disk.exists(&recycled).map_err(io_error("look for", &recycled))? {
                disk.remove_file(&path).map_err(io_error("remove", &path))?;
            } else {
                disk.rename(&path, &recycled).map_err(io_error("recycle", &path))?;
            }
            self.released.pop_front();
            count += 1;
        }
        Ok(count)
    }
}

/// Takes a segment's lock, which a running etcd would hold.
pub(crate) fn lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DiskLock>, WalError> {
    disk.lock(path).map_err(not_locked(path))
}

/// As [`lock`], together with others who only look.
pub(crate) fn lock_shared(disk: &dyn Disk, path: &Path) -> Result<Box<dyn DiskLock>, WalError> {
    disk.lock_shared(path).map_err(not_locked(path))
}

fn not_locked(path: &Path) -> impl FnOnce(std::io::Error) -> WalError {
    move |error| match error.kind() {
        std::io::ErrorKind::WouldBlock => WalError::Locked { path: path.to_owned() },
        _ => io_error("lock", path)(error),
    }
}
