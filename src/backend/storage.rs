//! Lets redb work on a [`DiskFile`].

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use disk::DiskFile;

/// A file in redb's hands. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    file: Arc<dyn DiskFile>,
    /// Set when the file may belong to another handle by now: no change may reach it any more.
    sealed: Arc<AtomicBool>,
    sync: bool,
}

impl Storage {
    pub(crate) fn new(file: Box<dyn DiskFile>, sync: bool) -> Self {
        Self { file: file.into(), sealed: Arc::new(AtomicBool::new(false)), sync }
    }

    /// Space that the content takes. redb doubles its file when it grows; what was never written
    /// of it is a hole and does not count.
    pub(crate) fn used_bytes(&self) -> io::Result<u64> {
        Ok(self.file.allocated_bytes()?.min(self.file.len()?))
    }

    /// Refuses every further change. Readers go on.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    fn check_open(&self) -> io::Result<()> {
        if self.sealed.load(Ordering::SeqCst) {
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
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_open()?;
        if self.sync { self.file.sync() } else { Ok(()) }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_open()?;
        self.file.write_at(bytes, offset)
    }
}
