//! Keeps the next segment ready: zero-filled, so that a sync need not commit new blocks.
//!
//! TRAP: a recycled segment is full of old frames. It is zeroed anew, and synced, under a name that
//! neither we nor etcd would write to; only then it becomes `N.tmp`. The CRC chain is the second
//! guard, not the first.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use disk::{Disk, DiskFile, Open};

use crate::error::{WalError, io_error};

/// A released segment that waits to be zeroed.
pub(crate) const RECYCLED: &str = "recycled.tmp";
/// The file that is being zeroed.
const FILLING: &str = "filling.tmp";
/// Zeroes are written and synced in such pieces, so that the log's own syncs need not wait long.
const PIECE_BYTES: usize = 1024 * 1024;

/// Makes the next segment.
#[derive(Debug)]
pub(crate) struct Spare {
    job: Job,
    background: bool,
    /// Names alternate, as etcd's do: the one last handed out may not be renamed yet.
    count: u8,
    state: State,
}

#[derive(Debug, Clone)]
struct Job {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    sync: bool,
}

#[derive(Debug)]
enum State {
    Idle,
    Filling { thread: JoinHandle<Result<u64, WalError>>, stop: Arc<AtomicBool> },
    Filled(Result<u64, WalError>),
}

/// An empty segment that is durable but for its final name.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Bytes of zeroes in it.
    pub(crate) zeroed_to: u64,
}

impl Spare {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, config: &crate::WalConfig) -> Self {
        let job = Job { disk, dir: dir.to_owned(), bytes: config.segment_bytes, sync: config.sync };
        Self { job, background: config.background, count: 0, state: State::Idle }
    }

    /// Takes care of what an earlier writer left half done.
    pub(crate) fn adopt_leftovers(&self) -> Result<(), WalError> {
        let Job { disk, dir, .. } = &self.job;
        for item in disk.list(dir).map_err(io_error("list", dir))? {
            let stem = item.name.strip_suffix(".tmp");
            if stem.is_none_or(|stem| stem.parse::<u8>().is_err()) {
                continue;
            }
            let recycled = dir.join(RECYCLED);
            if disk.exists(&recycled).map_err(io_error("look for", &recycled))? {
                disk.remove_file(&item.path).map_err(io_error("remove", &item.path))?;
            } else {
                disk.rename(&item.path, &recycled).map_err(io_error("recycle", &item.path))?;
            }
        }
        Ok(())
    }

    /// Begins to fill the next segment, unless that is under way or done.
    pub(crate) fn start(&mut self) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        if !self.background {
            self.state = State::Filled(self.job.fill(&stop));
            return;
        }
        let (job, stopped) = (self.job.clone(), Arc::clone(&stop));
        let spawned = std::thread::Builder::new()
            .name("wal-fill".to_owned())
            .spawn(move || job.fill(&stopped));
        match spawned {
            Ok(thread) => self.state = State::Filling { thread, stop },
            // The cut will make a segment that is not filled.
            Err(error) => tracing::warn!(%error, "no thread to fill the next WAL segment"),
        }
    }

    /// Hands out the next segment, waiting for it if need be.
    pub(crate) fn take(&mut self) -> Result<Prepared, WalError> {
        let zeroed_to = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.job.make_empty()?,
            State::Filled(outcome) => outcome?,
            State::Filling { thread, .. } => {
                thread.join().unwrap_or_else(|_panic| Err(fill_died(&self.job.dir)))?
            }
        };
        let path = self.job.dir.join(format!("{}.tmp", self.count % 2));
        self.count = (self.count + 1) % 2;
        let filling = self.job.filling();
        let disk = &self.job.disk;
        disk.rename(&filling, &path).map_err(io_error("rename", &filling))?;
        let file = disk.open(&path, Open::Write).map_err(io_error("open", &path))?;
        Ok(Prepared { path, file, zeroed_to })
    }
}

fn fill_died(dir: &Path) -> WalError {
    io_error("zero-fill a segment in", dir)(io::Error::other("the thread panicked"))
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let State::Filling { thread, stop } = std::mem::replace(&mut self.state, State::Idle) {
            stop.store(true, Ordering::Relaxed);
            if thread.join().is_err() {
                tracing::error!("the thread that fills WAL segments panicked");
            }
        }
    }
}

impl Job {
    fn filling(&self) -> PathBuf {
        self.dir.join(FILLING)
    }

    /// Opens the file to fill; a recycled one if there is one.
    fn open(&self) -> Result<Box<dyn DiskFile>, WalError> {
        let (recycled, filling) = (self.dir.join(RECYCLED), self.filling());
        match self.disk.rename(&recycled, &filling) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("rename", &recycled)(error)),
        }
        self.disk.open(&filling, Open::Create).map_err(io_error("open", &filling))
    }

    /// Overwrites everything with zeroes and makes that durable; returns the length.
    fn fill(&self, stop: &AtomicBool) -> Result<u64, WalError> {
        let path = self.filling();
        let file = self.open()?;
        let failed = |error| io_error("zero-fill", &path)(error);
        let zeroes = vec![0; PIECE_BYTES];
        let mut done = 0;
        while done < self.bytes && !stop.load(Ordering::Relaxed) {
            let left = usize::try_from(self.bytes - done).unwrap_or(PIECE_BYTES);
            let piece = &zeroes[..left.min(PIECE_BYTES)];
            file.write_at(piece, done).map_err(failed)?;
            self.sync(&*file).map_err(failed)?;
            done += crate::encode::widen(piece.len());
        }
        file.set_len(done).map_err(failed)?;
        self.sync(&*file).map_err(failed)?;
        Ok(done)
    }

    /// In a hurry: a segment without content, for which blocks come as it grows.
    fn make_empty(&self) -> Result<u64, WalError> {
        let path = self.filling();
        let file = self.open()?;
        let failed = |error| io_error("empty", &path)(error);
        file.set_len(0).map_err(failed)?;
        self.sync(&*file).map_err(failed)?;
        Ok(0)
    }

    fn sync(&self, file: &dyn DiskFile) -> io::Result<()> {
        if self.sync { file.sync() } else { Ok(()) }
    }
}
