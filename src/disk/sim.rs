//! A disk in memory that loses what was not synced, for crash tests of everything durable.
//!
//! What it promises is what a journalling file system does, and no more: synced content and synced
//! names stay. Of un-synced content any set of 512-byte sectors may have reached the disk, in any
//! order; a new length may come without its bytes (they read as zero). Each un-synced change of
//! names came whole or not at all, never without the earlier changes of the same name.

mod content;
mod faults;
mod random;
mod tree;

use std::{
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

pub use faults::Fault;
use faults::Faults;
use random::Random;
use tree::{NodeId, Tree};

use crate::{DirItem, Disk, DiskFile, DiskLock, Open};

/// An in-memory disk; clones share it.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    faults: Faults,
    locked: Vec<NodeId>,
    /// One for each holder.
    shared: Vec<NodeId>,
    /// Counts crashes; handles of an earlier life are dead.
    life: u64,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses power and comes back: un-synced changes are kept or lost by `seed`; open files and
    /// locks are dead; faults and the byte limit are gone.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state();
        state.tree.crash(&mut Random::new(seed));
        state.faults = Faults::default();
        state.locked.clear();
        state.shared.clear();
        state.life += 1;
    }

    /// Fails the `nth` write from now (1 is the next). Some of its sectors may be written.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        self.state().faults.fail_write(nth, fault);
    }

    /// Fails the `nth` sync of a file from now (1 is the next). A part of what it should have made
    /// durable may be; the rest never will, even if a later sync succeeds (as on Linux).
    pub fn fail_sync(&self, nth: u64, fault: Fault) {
        self.state().faults.fail_sync(nth, fault);
    }

    /// Limits the sum of all file lengths; `None` lifts it.
    pub fn limit_bytes(&self, limit: Option<u64>) {
        self.state().faults.limit_bytes = limit;
    }

    /// After this many more changing operations everything fails until [`SimDisk::crash`]. The
    /// operation it hits is left half done.
    pub fn power_off_after(&self, operations: u64) {
        self.state().faults.power_off_after(operations);
    }

    /// Changing operations so far, to choose a point for [`SimDisk::power_off_after`].
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().faults.operations()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the simulated disk's lock panics")
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl State {
    /// Bytes in use, if it matters.
    fn used_bytes(&self) -> u64 {
        if self.faults.limit_bytes.is_some() { self.tree.bytes() } else { 0 }
    }

    /// Syncs a folder as an operation of its own, so that power can go before it.
    fn sync_names(&mut self, folder: &Path) -> io::Result<()> {
        self.faults.change()?;
        self.tree.sync_dir(folder)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.faults.powered()?;
        let found = match state.tree.file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let node = match (found, how) {
            (Some(_), Open::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(node), _) => node,
            (None, Open::Read | Open::Write) => return Err(ErrorKind::NotFound.into()),
            (None, Open::Create | Open::CreateNew) => {
                state.faults.change()?;
                state.tree.create_file(path)?
            }
        };
        let life = state.life;
        Ok(Box::new(SimFile { disk: self.clone(), node, life, writable: how != Open::Read }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirItem>> {
        let state = self.state();
        state.faults.powered()?;
        state.tree.list(folder)
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.faults.powered()?;
        let mut ancestors: Vec<&Path> = folder.ancestors().collect();
        ancestors.reverse();
        for path in ancestors {
            if state.tree.exists(path)? {
                state.tree.folder(path)?;
                continue;
            }
            state.faults.change()?;
            state.tree.create_folder(path)?;
            state.sync_names(tree::parent(path))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        state.tree.rename(from, to)?;
        state.sync_names(tree::parent(to))?;
        state.sync_names(tree::parent(from))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.faults.change()?;
        state.tree.remove_file(path)?;
        state.sync_names(tree::parent(path))
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.state().sync_names(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        state.faults.powered()?;
        state.tree.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        drop(self.open(path, Open::Create)?);
        let mut state = self.state();
        let node = state.tree.file(path)?;
        if state.locked.contains(&node) || state.shared.contains(&node) {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.locked.push(node);
        let life = state.life;
        let path = path.to_owned();
        Ok(Box::new(SimLock { disk: self.clone(), node, life, path, is_shared: false }))
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        drop(self.open(path, Open::Read)?);
        let mut state = self.state();
        let node = state.tree.file(path)?;
        if state.locked.contains(&node) {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.shared.push(node);
        let life = state.life;
        let path = path.to_owned();
        Ok(Box::new(SimLock { disk: self.clone(), node, life, path, is_shared: true }))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        state.faults.powered()?;
        if !state.tree.exists(path)? {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(state.faults.free_bytes(state.tree.bytes()))
    }
}

struct SimFile {
    disk: SimDisk,
    node: NodeId,
    life: u64,
    writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.node)
    }
}

impl SimFile {
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.faults.powered()?;
        if state.life != self.life {
            return Err(io::Error::other("the file was opened before the crash"));
        }
        Ok(state)
    }

    fn alive_for_writing(&self) -> io::Result<MutexGuard<'_, State>> {
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.alive()
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.alive()?.tree.content(self.node).read_at(buffer, position(offset)?))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = position(offset)?;
        let mut state = self.alive_for_writing()?;
        let used = state.used_bytes();
        let State { tree, faults, .. } = &mut *state;
        let content = tree.content_mut(self.node);
        let grows = (offset + bytes.len()).saturating_sub(content.len());
        let (count, outcome) = faults.write(bytes.len(), grows, used);
        content.write(offset, content::whole_sectors(offset, bytes, count));
        outcome
    }

    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.alive()?.tree.content(self.node).len()).map_err(io::Error::other)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.alive_for_writing()?;
        state.faults.change()?;
        let used = state.used_bytes();
        let State { tree, faults, .. } = &mut *state;
        let content = tree.content_mut(self.node);
        let len = position(bytes)?;
        faults.grow(len.saturating_sub(content.len()), used)?;
        content.set_len(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        let State { tree, faults, .. } = &mut *state;
        faults.change()?;
        let content = tree.content_mut(self.node);
        if let Some(fault) = faults.sync() {
            content.lose_some(&mut faults.random);
            return Err(fault.into());
        }
        content.sync();
        Ok(())
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

struct SimLock {
    disk: SimDisk,
    node: NodeId,
    life: u64,
    path: PathBuf,
    is_shared: bool,
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimLock({})", self.path.display())
    }
}

impl DiskLock for SimLock {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life != self.life {
            return;
        }
        let holders = if self.is_shared { &mut state.shared } else { &mut state.locked };
        if let Some(position) = holders.iter().position(|node| *node == self.node) {
            holders.swap_remove(position);
        }
    }
}
