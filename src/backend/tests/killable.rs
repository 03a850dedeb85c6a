//! A disk seen from a process that is killed: after the kill nothing of it reaches the disk, but
//! all that did before stays.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use disk::{DirItem, Disk, DiskFile, DiskLock, Open, sim::SimDisk};

#[derive(Debug, Clone)]
pub(super) struct Killable {
    disk: SimDisk,
    left: Arc<AtomicU64>,
}

impl Killable {
    /// Dies after so many changes.
    pub(super) fn new(disk: SimDisk, changes: u64) -> Self {
        Self { disk, left: Arc::new(AtomicU64::new(changes)) }
    }

    fn change(&self) -> io::Result<()> {
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .map_err(|_left| io::Error::other("killed"))?;
        Ok(())
    }
}

impl Disk for Killable {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        self.change()?;
        Ok(Box::new(File { file: self.disk.open(path, how)?, of: self.clone() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirItem>> {
        self.disk.list(folder)
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.create_dir_all(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.change()?;
        self.disk.sync_dir(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock_shared(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct File {
    file: Box<dyn DiskFile>,
    of: Killable,
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.of.change()?;
        self.file.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.of.change()?;
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.of.change()?;
        self.file.sync()
    }
}
