//! Lets redb work on a [`DiskFile`], and knows how far the file was ever written.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use disk::DiskFile;

/// A file in redb's hands. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    file: Arc<dyn DiskFile>,
    state: Arc<State>,
    sync: bool,
}

#[derive(Debug)]
struct State {
    /// End of the highest write.
    written_bytes: AtomicU64,
    /// Set when the file may belong to another handle by now: no change may reach it any more.
    sealed: AtomicBool,
}

impl Storage {
    /// `written_bytes` is where the file's content ends, as far as known.
    pub(crate) fn new(file: Box<dyn DiskFile>, written_bytes: u64, sync: bool) -> Self {
        let state =
            State { written_bytes: AtomicU64::new(written_bytes), sealed: AtomicBool::new(false) };
        Self { file: file.into(), state: Arc::new(state), sync }
    }

    /// End of the content: the highest write, or what an earlier process told of.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.state.written_bytes.load(Ordering::Relaxed)
    }

    /// Remembers what an earlier process wrote.
    pub(crate) fn raise_written_bytes(&self, bytes: u64) {
        self.state.written_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Refuses every further change. Readers go on.
    pub(crate) fn seal(&self) {
        self.state.sealed.store(true, Ordering::SeqCst);
    }

    fn check_open(&self) -> io::Result<()> {
        if self.state.sealed.load(Ordering::SeqCst) {
            return Err(io::Error::other("the backend file was closed"));
        }
        Ok(())
    }
}

impl redb::StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.file.read_at(out, offset)? < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_open()?;
        self.file.set_len(len)?;
        self.state.written_bytes.fetch_min(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_open()?;
        if self.sync { self.file.sync() } else { Ok(()) }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_open()?;
        self.file.write_at(bytes, offset)?;
        let end = offset.saturating_add(u64::try_from(bytes.len()).map_err(io::Error::other)?);
        self.raise_written_bytes(end);
        Ok(())
    }
}
