//! Appends to a log: one write and at most one sync a batch, and a new segment when one is full.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base::Index;
use bytes::Bytes;
use disk::{Disk, DiskFile};
use prost::Message;
use wire::{raftpb, walpb};

use crate::{
    config::WalConfig,
    encode::{Encoder, Kind, widen},
    error::{WalError, io_error},
    name::{self, SegmentName},
    segments::{self, Segments},
    spare::{Prepared, Spare},
};

/// Zeroes are laid ahead in such pieces where a segment was not zero-filled before its use.
const AHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// A log open for appending; the only writer.
///
/// After a failed write or sync nothing is known about the tail, and every later call fails: open
/// the log anew.
#[derive(Debug)]
pub struct Wal {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) config: WalConfig,
    /// Stands at the head of each segment.
    pub(crate) metadata: Bytes,
    /// The last one written; repeated at the head of each segment.
    pub(crate) state: raftpb::HardState,
    /// Index of the last entry written, or of a mark above it.
    pub(crate) last_index: u64,
    pub(crate) encoder: Encoder,
    pub(crate) tail: WriteTail,
    pub(crate) segments: Segments,
    pub(crate) spare: Spare,
    pub(crate) dead: bool,
}

/// The file that is appended to.
#[derive(Debug)]
pub(crate) struct WriteTail {
    /// Its name, for messages.
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the next record goes.
    pub(crate) offset: u64,
    /// Up to here the file has blocks, with zeroes behind `offset`.
    pub(crate) zeroed_to: u64,
    /// Whether something was written since the last sync.
    pub(crate) dirty: bool,
}

impl Wal {
    /// Makes a new log with the mark of the empty snapshot in it, and its folder if need be.
    ///
    /// # Errors
    /// [`WalError::AlreadyExists`] if there is one; or the disk fails, and then there is none.
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        metadata: walpb::Metadata,
        config: WalConfig,
    ) -> Result<Self, WalError> {
        if name::exists(&*disk, dir).map_err(io_error("look into", dir))? {
            return Err(WalError::AlreadyExists { dir: dir.to_owned() });
        }
        disk.create_dir_all(dir).map_err(io_error("create", dir))?;
        let mut spare = Spare::new(Arc::clone(&disk), dir, &config);
        spare.adopt_leftovers()?;
        let prepared = spare.take()?;
        let mut wal = Self {
            tail: WriteTail::new(prepared),
            segments: Segments::new(dir, &[]),
            dir: dir.to_owned(),
            metadata: metadata.encode_to_vec().into(),
            state: raftpb::HardState::default(),
            last_index: 0,
            encoder: Encoder::new(0),
            dead: false,
            disk,
            config,
            spare,
        };
        wal.encoder.chain();
        wal.encoder.payload(Kind::Metadata, &wal.metadata);
        wal.encoder.message(Kind::Snapshot, &walpb::Snapshot::default());
        wal.write_encoded()?;
        wal.sync()?;
        // The log exists from this rename on, whole.
        wal.publish(SegmentName { sequence: 0, first_index: 0 })?;
        Ok(wal)
    }

    /// Appends entries, then the state if there is one, in one write. It is synced if `sync` is
    /// set or there are entries, so `sync` may be false only if nothing but the commit index of
    /// the state changed. Nothing to write and `sync` set: syncs what was not yet.
    ///
    /// # Errors
    /// The disk fails, an entry is missing in the sequence, or the handle is dead. Then the batch
    /// may be in the log or not, and the handle is dead.
    pub fn append(
        &mut self,
        entries: &[raftpb::Entry],
        state: Option<&raftpb::HardState>,
        sync: bool,
    ) -> Result<(), WalError> {
        self.attempt(|wal| wal.append_batch(entries, state, sync))
    }

    /// Writes the mark of a snapshot whose `.snap` file is durable, and syncs.
    ///
    /// # Errors
    /// The disk fails or the handle is dead; the handle is dead then.
    pub fn mark_snapshot(&mut self, mark: &walpb::Snapshot) -> Result<(), WalError> {
        self.attempt(|wal| {
            wal.encoder.message(Kind::Snapshot, mark);
            wal.write_encoded()?;
            wal.last_index = wal.last_index.max(mark.index);
            wal.sync_or_cut(true)
        })
    }

    /// Lets go of the segments that hold only entries below `index`, of which a mark must have
    /// been written: a restart from that mark does not need them.
    pub fn release_before(&mut self, index: Index) {
        self.segments.release_before(index.get());
    }

    /// Removes or recycles released segments, oldest first, until `keep` segments are left; 0
    /// means no limit. Returns how many went.
    ///
    /// # Errors
    /// The disk fails. The log goes on.
    pub fn purge(&mut self, keep: usize) -> Result<usize, WalError> {
        if keep == 0 { Ok(0) } else { self.segments.purge(&*self.disk, keep) }
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WalError>,
    ) -> Result<(), WalError> {
        if self.dead {
            return Err(WalError::Dead { dir: self.dir.clone() });
        }
        self.dead = true;
        write(self)?;
        self.dead = false;
        Ok(())
    }

    fn append_batch(
        &mut self,
        entries: &[raftpb::Entry],
        state: Option<&raftpb::HardState>,
        sync: bool,
    ) -> Result<(), WalError> {
        let mut last = self.last_index;
        for (position, entry) in entries.iter().enumerate() {
            // The first may replace written ones; none may be missing.
            if entry.index > last + 1 || (position > 0 && entry.index != last + 1) {
                return Err(WalError::NotConsecutive { last, next: entry.index });
            }
            last = entry.index;
            self.encoder.entry(entry);
        }
        self.last_index = last;
        if let Some(state) = state.filter(|state| **state != raftpb::HardState::default()) {
            self.state = *state;
            self.encoder.message(Kind::State, state);
        }
        self.write_encoded()?;
        self.sync_or_cut(sync || !entries.is_empty())
    }

    /// Writes what the encoder holds behind the last record.
    fn write_encoded(&mut self) -> Result<(), WalError> {
        let bytes = self.encoder.bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let end = self.tail.offset + widen(bytes.len());
        self.lay_zeroes(end)?;
        let written = self.tail.file.write_at(self.encoder.bytes(), self.tail.offset);
        written.map_err(io_error("write", &self.tail.path))?;
        self.encoder.clear();
        self.tail.offset = end;
        self.tail.dirty = true;
        Ok(())
    }

    /// Extends the file with zeroes if the next write would, so that most syncs need not.
    fn lay_zeroes(&mut self, end: u64) -> Result<(), WalError> {
        if end <= self.tail.zeroed_to {
            return Ok(());
        }
        let to = (end + AHEAD_BYTES).min(self.config.segment_bytes).max(end);
        let zeroes = vec![0; usize::try_from(to - end).unwrap_or_default()];
        if !zeroes.is_empty() {
            let written = self.tail.file.write_at(&zeroes, end);
            written.map_err(io_error("extend", &self.tail.path))?;
        }
        self.tail.zeroed_to = to;
        Ok(())
    }

    fn sync_or_cut(&mut self, sync: bool) -> Result<(), WalError> {
        if self.tail.offset >= self.config.segment_bytes {
            return self.cut();
        }
        if self.tail.offset >= self.config.segment_bytes / 2 {
            self.spare.start();
        }
        if sync { self.sync() } else { Ok(()) }
    }

    /// Ends the segment and begins the next.
    fn cut(&mut self) -> Result<(), WalError> {
        let length_set = self.tail.file.set_len(self.tail.offset);
        length_set.map_err(io_error("cut", &self.tail.path))?;
        self.tail.dirty = true;
        self.sync()?;
        let next = SegmentName {
            sequence: self.segments.last().sequence + 1,
            first_index: self.last_index + 1,
        };
        let prepared = self.spare.take()?;
        self.tail = WriteTail::new(prepared);
        self.encoder.chain();
        self.encoder.payload(Kind::Metadata, &self.metadata);
        if self.state != raftpb::HardState::default() {
            self.encoder.message(Kind::State, &self.state);
        }
        self.write_encoded()?;
        self.sync()?;
        self.publish(next)
    }

    /// Gives a segment that is durable its final name.
    fn publish(&mut self, name: SegmentName) -> Result<(), WalError> {
        let path = &mut self.tail.path;
        let lock = segments::lock(&*self.disk, path)?;
        let target = self.dir.join(name.to_string());
        self.disk.rename(path, &target).map_err(io_error("rename", path))?;
        *path = target;
        self.segments.push(name, lock);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WalError> {
        if !self.config.sync || !self.tail.dirty {
            return Ok(());
        }
        let started = self.config.clock.now();
        self.tail.file.sync().map_err(io_error("sync", &self.tail.path))?;
        self.tail.dirty = false;
        if let Some(on_sync) = &self.config.on_sync {
            on_sync(self.config.clock.now().saturating_duration_since(started));
        }
        Ok(())
    }
}

impl WriteTail {
    fn new(prepared: Prepared) -> Self {
        let Prepared { path, file, zeroed_to } = prepared;
        Self { path, file, offset: 0, zeroed_to, dirty: false }
    }
}
