//! etcd's `.snap` files: the metadata of a snapshot and the v2 store as JSON, with a checksum.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use disk::Disk;
use prost::Message;
use wire::{raftpb, snappb, walpb};

use crate::{
    error::{WalError, io_error},
    name::parse_pair,
};

const SUFFIX: &str = ".snap";
const DRAFT_SUFFIX: &str = ".snap.tmp";

/// A folder of `.snap` files, named `TERM-INDEX.snap`.
#[derive(Debug, Clone)]
pub struct SnapDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// A `.snap` file as [`SnapDir::examine`] finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapReport {
    /// The file.
    pub path: PathBuf,
    /// As its name says.
    pub term: u64,
    /// As its name says.
    pub index: u64,
    /// Its length; 0 if it cannot be read.
    pub bytes: u64,
    /// What is in it.
    pub content: Result<raftpb::Snapshot, SnapFault>,
}

/// Why a `.snap` file is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapFault {
    /// Its content is not what was written.
    Corrupt(String),
    /// The disk does not give it.
    Unreadable(String),
}

impl SnapDir {
    /// Names the folder; it must exist once something is saved.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    /// Writes a snapshot's file durably. Its mark in the log comes after.
    ///
    /// # Errors
    /// The disk fails; then the file is there whole or not at all.
    pub fn save(&self, snapshot: &raftpb::Snapshot) -> Result<(), WalError> {
        let content = Bytes::from(snapshot.encode_to_vec());
        let crc = crc32c::crc32c(&content);
        let file = snappb::Snapshot { crc, data: Some(content) }.encode_to_vec();
        let path = self.path(snapshot.metadata.term, snapshot.metadata.index);
        disk::replace(&*self.disk, &path, &file).map_err(io_error("write", &path))
    }

    /// The newest readable snapshot that has a mark in the log. Damaged files on the way are
    /// renamed to `.broken`; files without a mark are passed over.
    ///
    /// # Errors
    /// The disk fails: whether a newer snapshot exists is unknown then.
    pub fn newest(&self, marks: &[walpb::Snapshot]) -> Result<Option<raftpb::Snapshot>, WalError> {
        for (term, index) in self.list()?.into_iter().rev() {
            if !marks.iter().any(|mark| (mark.term, mark.index) == (term, index)) {
                tracing::info!(term, index, "passed over a .snap file without a mark in the WAL");
                continue;
            }
            let path = self.path(term, index);
            let content = disk::read(&*self.disk, &path).map_err(io_error("read", &path))?;
            match decode(content, term, index) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(what) => self.set_aside(&path, &what)?,
            }
        }
        Ok(None)
    }

    /// All files, oldest first, with what is in them or what is wrong with them. Changes nothing.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn examine(&self) -> Result<Vec<SnapReport>, WalError> {
        let report = |(term, index)| {
            let path = self.path(term, index);
            let read = disk::read(&*self.disk, &path);
            let bytes = read.as_ref().map_or(0, |content| crate::encode::widen(content.len()));
            let content = match read {
                Ok(content) => decode(content, term, index).map_err(SnapFault::Corrupt),
                Err(error) => Err(SnapFault::Unreadable(error.to_string())),
            };
            SnapReport { path, term, index, bytes, content }
        };
        Ok(self.list()?.into_iter().map(report).collect())
    }

    /// Removes the oldest files until `keep` are left, and drafts of crashed saves; 0 means no
    /// limit. Returns how many snapshots went.
    ///
    /// # Errors
    /// The disk fails.
    pub fn purge(&self, keep: usize) -> Result<usize, WalError> {
        for item in self.disk.list(&self.dir).map_err(io_error("list", &self.dir))? {
            if parse_pair(&item.name, DRAFT_SUFFIX).is_some() {
                self.disk.remove_file(&item.path).map_err(io_error("remove", &item.path))?;
            }
        }
        let snapshots = self.list()?;
        let surplus = if keep == 0 { 0 } else { snapshots.len().saturating_sub(keep) };
        for (term, index) in snapshots.into_iter().take(surplus) {
            let path = self.path(term, index);
            self.disk.remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(surplus)
    }

    /// Term and index of all files, oldest first.
    fn list(&self) -> Result<Vec<(u64, u64)>, WalError> {
        let items = match self.disk.list(&self.dir) {
            Ok(items) => items,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io_error("list", &self.dir)(error)),
        };
        let mut snapshots: Vec<_> =
            items.iter().filter_map(|item| parse_pair(&item.name, SUFFIX)).collect();
        snapshots.sort_unstable();
        Ok(snapshots)
    }

    fn path(&self, term: u64, index: u64) -> PathBuf {
        self.dir.join(format!("{term:016x}-{index:016x}{SUFFIX}"))
    }

    fn set_aside(&self, path: &Path, what: &str) -> Result<(), WalError> {
        let mut broken = path.as_os_str().to_owned();
        broken.push(".broken");
        tracing::error!(path = %path.display(), what, "a damaged .snap file is renamed to .broken");
        self.disk.rename(path, Path::new(&broken)).map_err(io_error("rename", path))
    }
}

/// Decodes a file; the error says what is wrong with it.
fn decode(content: Vec<u8>, term: u64, index: u64) -> Result<raftpb::Snapshot, String> {
    let not_decoded = |error: prost::DecodeError| format!("it does not decode: {error}");
    let file = snappb::Snapshot::decode(Bytes::from(content)).map_err(not_decoded)?;
    let content = file.data.unwrap_or_default();
    if content.is_empty() || file.crc == 0 {
        return Err("it is empty".to_owned());
    }
    if crc32c::crc32c(&content) != file.crc {
        return Err("its checksum does not match".to_owned());
    }
    let snapshot = raftpb::Snapshot::decode(content).map_err(not_decoded)?;
    let found = (snapshot.metadata.term, snapshot.metadata.index);
    if found != (term, index) {
        return Err(format!("it holds snapshot {} of term {}", found.1, found.0));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests;
