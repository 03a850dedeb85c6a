//! The handle: what the apply thread writes to and readers read from.

mod control;
mod flusher;

use std::{fmt, ops::Bound, path::Path, sync::Arc, thread::JoinHandle};

use bytes::Bytes;
use disk::Disk;
use parking_lot::{Mutex, RwLock};

use self::control::Control;
use crate::{
    BackendError, Bucket, Options, Sizes, View, WriteBatch,
    layer::{Layer, newest},
    merge::{self, Visit},
    store::{Store, Stored},
};

/// A handle of an open backend; clones share it. When the last one is dropped, what was written
/// is flushed and the thread ends, as with [`Backend::close`].
#[derive(Clone)]
pub struct Backend {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
}

/// What the handle and the backend's thread share.
struct Shared {
    options: Options,
    control: Control,
    live: RwLock<Live>,
}

/// The three places of a row, newest first. Readers take them under one lock, as one cut.
struct Live {
    /// Gathers what is written.
    active: Layer,
    /// Is being committed.
    flushing: Option<Arc<Layer>>,
    /// What is committed; `None` after the close.
    stored: Option<Arc<Stored>>,
}

/// Ends and joins the backend's thread when dropped.
struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Backend {
    /// Opens the backend file; makes it, with all buckets, if there is none. Its folder must
    /// exist, and the caller holds the lock of the data dir.
    ///
    /// # Errors
    /// `Open`.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, options: Options) -> Result<Self, BackendError> {
        let failed =
            |source| BackendError::Open { path: path.to_owned(), source: Arc::new(source) };
        let store = Store::open(disk, path, &options).map_err(failed)?;
        let stored = Arc::new(store.stored().map_err(failed)?);
        let live = Live { active: Layer::default(), flushing: None, stored: Some(stored) };
        let control = Control::new(&options, store.sizes());
        let shared = Arc::new(Shared { options, control, live: RwLock::new(live) });
        let handle = flusher::start(Arc::clone(&shared), store)
            .map_err(|error| failed(crate::error::from_io(error)))?;
        let thread = Thread { shared: Arc::clone(&shared), handle: Mutex::new(Some(handle)) };
        Ok(Self { shared, thread: Arc::new(thread) })
    }

    /// Takes over a batch. Readers see all of it at once; it is durable when a later `flush`
    /// returns, and never in part. Blocks while too much waits for the disk.
    ///
    /// # Errors
    /// `Dead`, `Closed`; the batch is then lost.
    pub fn write(&self, batch: WriteBatch) -> Result<(), BackendError> {
        let mut turn = self.shared.control.writer()?;
        if batch.is_empty() {
            return Ok(());
        }
        let (rows, bytes) = {
            let mut live = self.shared.live.write();
            for change in batch.into_changes() {
                live.active.apply(change);
            }
            (live.active.rows(), live.active.bytes())
        };
        turn.written(rows, bytes);
        Ok(())
    }

    /// The value of a row.
    ///
    /// # Errors
    /// `Read`, `Dead`, `Closed`.
    pub fn get(&self, bucket: Bucket, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        self.shared.control.check()?;
        let stored = {
            let live = self.shared.live.read();
            if let Some(held) = live.active.bucket(bucket).get(key) {
                return Ok(held.cloned());
            }
            if let Some(flushing) = &live.flushing
                && let Some(held) = flushing.bucket(bucket).get(key)
            {
                return Ok(held.cloned());
            }
            live.stored.clone().ok_or(BackendError::Closed)?
        };
        stored.get(bucket, key)
    }

    /// Visits the rows between two bounds in ascending order, until `visit` breaks; all as they
    /// were when the scan began. Writers wait only while the unflushed rows of the range are
    /// listed, never on `visit`.
    ///
    /// # Errors
    /// `Read`, `Dead`, `Closed`.
    pub fn scan(
        &self,
        bucket: Bucket,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), BackendError> {
        self.shared.control.check()?;
        if merge::is_empty_range(from, to) {
            return Ok(());
        }
        let (active, flushing, stored) = {
            let live = self.shared.live.read();
            let active: Vec<(Bytes, Option<Bytes>)> = live
                .active
                .bucket(bucket)
                .range(from, to)
                .map(|(key, value)| (key.clone(), value.cloned()))
                .collect();
            let stored = live.stored.clone().ok_or(BackendError::Closed)?;
            (active, live.flushing.clone(), stored)
        };
        let stored = stored.range(bucket, from, to).map_err(BackendError::read)?;
        let active = active.iter().map(|(key, value)| (key, value.as_ref()));
        match &flushing {
            None => merge::visit(active, stored, visit),
            Some(flushing) => {
                let flushing = flushing.bucket(bucket).range(from, to);
                merge::visit(newest(active, flushing), stored, visit)
            }
        }
    }

    /// Flushes, then keeps a view of all buckets that shows everything written before the call
    /// (and perhaps whole batches written meanwhile).
    ///
    /// # Errors
    /// `Dead`, `Closed`.
    pub fn view(&self) -> Result<View, BackendError> {
        self.flush()?;
        let stored = self.shared.live.read().stored.clone().ok_or(BackendError::Closed)?;
        Ok(View::new(stored))
    }

    /// Returns when all that was written before is durable.
    ///
    /// # Errors
    /// `Dead`, `Closed`.
    pub fn flush(&self) -> Result<(), BackendError> {
        self.shared.control.flush()
    }

    /// Size of the file as of the last commit. Costs nothing.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.shared.control.sizes()
    }

    /// Copies all rows to a new file without holes and puts it in the place of the old one.
    /// Reads go on; writes go on until the buffer is full. It needs room for the copy on the
    /// disk. Views taken before keep the old file's space until they are dropped.
    ///
    /// # Errors
    /// `Defragment`: nothing changed. `Dead`, `Closed`.
    pub fn defragment(&self) -> Result<(), BackendError> {
        self.shared.control.defragment()
    }

    /// Flushes and ends the thread; every later call answers `Closed`. The file may be moved or
    /// opened again afterwards, even while views are left: nothing writes to it any more. A
    /// second close answers like the first.
    ///
    /// # Errors
    /// `Dead`: what was not flushed is lost.
    pub fn close(&self) -> Result<(), BackendError> {
        self.thread.close()
    }

    /// Why the handle is dead, if it is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.control.failure()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("failure", &self.failure()).finish_non_exhaustive()
    }
}

impl Thread {
    fn close(&self) -> Result<(), BackendError> {
        self.shared.control.stop();
        // Held while joining, so that a second close does not return before the file is free.
        let mut handle = self.handle.lock();
        if let Some(handle) = handle.take() {
            if handle.join().is_err() {
                tracing::error!("the backend's thread panicked");
            }
            self.shared.release();
        }
        match self.shared.control.failure() {
            Some(reason) => Err(BackendError::Dead { reason: reason.into() }),
            None => Ok(()),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the backend was dropped without its last writes");
        }
    }
}

impl Shared {
    /// Lets go of the file. Where a reader still holds it, it can no longer be changed.
    fn release(&self) {
        let mut live = self.live.write();
        live.active = Layer::default();
        live.flushing = None;
        if let Some(stored) = live.stored.take() {
            let storage = stored.storage().clone();
            drop(stored);
            storage.seal();
        }
    }
}
