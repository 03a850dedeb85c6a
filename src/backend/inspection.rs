//! Looks into a backend file without changing a byte of it: redb works on a view whose writes stay in memory, so that
//! a file that a start would repair can be read and judged as well.

use std::{
    collections::BTreeMap,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use disk::{Disk, DiskFile, Open};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use crate::{
    Bucket, Visit,
    error::from_io,
    store::{self, table},
};

/// Writes are kept in such pieces.
const PIECE_BYTES: usize = 4096;
/// What a repair may write in memory. It writes allocator tables only: some thousandths of the file.
const KEPT_BYTES_MAX: usize = 512 * 1024 * 1024;
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A backend file that passed all checks, open for reading.
pub struct Inspection {
    database: Database,
    /// Its page accounts are to be rebuilt at the next start; the rows are whole.
    pub needs_repair: bool,
    /// Length of the file.
    pub file_bytes: u64,
    /// What it takes on the disk, holes apart.
    pub used_bytes: u64,
    /// Bytes that the rows need.
    pub in_use_bytes: u64,
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection").field("file_bytes", &self.file_bytes).finish_non_exhaustive()
    }
}

/// Why a file cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is none.
    #[error("there is no file")]
    Absent,
    /// The disk does not give it.
    #[error("cannot read the backend file")]
    Unreadable(#[source] io::Error),
    /// It fails its checks; the text says which.
    #[error("the backend file is corrupt: {0}")]
    Corrupt(String),
}

impl Inspection {
    /// Opens a file that no other process writes to, and checks every page of it. Takes as long as reading it.
    ///
    /// # Errors
    /// See [`InspectError`].
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, InspectError> {
        let file = disk.open(path, Open::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => InspectError::Absent,
            _ => InspectError::Unreadable(error),
        })?;
        let file_bytes = file.len().map_err(InspectError::Unreadable)?;
        let used_bytes = file.allocated_bytes().map_err(InspectError::Unreadable)?.min(file_bytes);
        if file_bytes == 0 {
            return Err(InspectError::Corrupt("it is empty".to_owned()));
        }
        let opened = guarded(|| open(file))?;
        let (database, needs_repair, in_use_bytes) = opened.map_err(|error| fault(&error))?;
        Ok(Self { database, needs_repair, file_bytes, used_bytes, in_use_bytes })
    }

    /// Visits all rows of a bucket in ascending order, until `visit` breaks.
    ///
    /// # Errors
    /// `Unreadable`, `Corrupt`.
    pub fn scan(&self, bucket: Bucket, visit: &mut Visit<'_>) -> Result<(), InspectError> {
        guarded(|| {
            let rows = self.database.begin_read()?.open_table(table(bucket))?;
            for row in rows.iter()? {
                let (key, value) = row?;
                if visit(key.value(), value.value()).is_break() {
                    break;
                }
            }
            Ok::<_, redb::Error>(())
        })?
        .map_err(|error| fault(&error))
    }

    /// Rows in a bucket, and the key of the last.
    ///
    /// # Errors
    /// `Unreadable`, `Corrupt`.
    pub fn extent(&self, bucket: Bucket) -> Result<(u64, Option<Vec<u8>>), InspectError> {
        guarded(|| {
            let rows = self.database.begin_read()?.open_table(table(bucket))?;
            let last = rows.last()?.map(|(key, _)| key.value().to_vec());
            Ok::<_, redb::Error>((rows.len()?, last))
        })?
        .map_err(|error| fault(&error))
    }
}

fn open(file: Box<dyn DiskFile>) -> Result<(Database, bool, u64), redb::Error> {
    let repaired = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&repaired);
    let view = View::new(file).map_err(from_io)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
    let mut database = builder.create_with_backend(view)?;
    if !database.check_integrity()? {
        let what = "pages do not match their checksums, or are not accounted for";
        return Err(redb::Error::Corrupted(what.to_owned()));
    }
    let in_use = store::in_use_bytes(&database)?;
    for bucket in Bucket::ALL {
        database.begin_read()?.open_table(table(bucket))?;
    }
    Ok((database, repaired.load(Ordering::Relaxed), in_use))
}

/// redb trusts some of what it reads: where that ends in a panic, the file is damaged.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, InspectError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        InspectError::Corrupt(format!("redb cannot make sense of it ({text})"))
    })
}

fn fault(error: &redb::Error) -> InspectError {
    match error {
        redb::Error::Io(io) if io.raw_os_error().is_some() => {
            InspectError::Unreadable(io::Error::new(io.kind(), io.to_string()))
        }
        error => InspectError::Corrupt(error.to_string()),
    }
}

/// A file as redb would change it, while it stays as it is.
#[derive(Debug)]
struct View {
    file: Box<dyn DiskFile>,
    kept: Mutex<Kept>,
}

/// What differs from the file.
#[derive(Debug)]
struct Kept {
    len: u64,
    /// Of the file's bytes, those before this still count: it was never cut shorter.
    file_len: u64,
    pieces: BTreeMap<u64, Box<[u8]>>,
}

impl View {
    fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let len = file.len()?;
        let kept = Mutex::new(Kept { len, file_len: len, pieces: BTreeMap::new() });
        Ok(Self { file, kept })
    }

    fn read_piece(&self, kept: &Kept, number: u64) -> io::Result<Box<[u8]>> {
        let mut piece = vec![0; PIECE_BYTES].into_boxed_slice();
        let start = number * widen(PIECE_BYTES);
        let there = kept.file_len.saturating_sub(start).min(widen(PIECE_BYTES));
        let there = usize::try_from(there).map_err(io::Error::other)?;
        self.file.read_at(&mut piece[..there], start)?;
        Ok(piece)
    }
}

/// The pieces that a range lies in: number, place within the piece, place within the range.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + widen(done);
        let within = usize::try_from(at % widen(PIECE_BYTES)).unwrap_or(0);
        let end = (done + PIECE_BYTES - within).min(len);
        let range = done..end;
        done = end;
        Some((at / widen(PIECE_BYTES), within, range))
    })
}

impl redb::StorageBackend for View {
    fn len(&self) -> io::Result<u64> {
        Ok(self.kept.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let kept = self.kept.lock();
        if offset.saturating_add(widen(out.len())) > kept.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_in_file = offset.saturating_add(widen(out.len())) <= kept.file_len;
        if kept.pieces.is_empty() && is_in_file {
            self.file.read_at(out, offset)?;
            return Ok(());
        }
        for (number, within, range) in pieces(offset, out.len()) {
            let target = &mut out[range];
            let source = match kept.pieces.get(&number) {
                Some(piece) => piece.clone(),
                None => self.read_piece(&kept, number)?,
            };
            target.copy_from_slice(&source[within..within + target.len()]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut kept = self.kept.lock();
        if len < kept.len {
            kept.file_len = kept.file_len.min(len);
            let last = len / widen(PIECE_BYTES);
            let rest = usize::try_from(len % widen(PIECE_BYTES)).map_err(io::Error::other)?;
            kept.pieces.retain(|number, _| *number <= last);
            if let Some(piece) = kept.pieces.get_mut(&last) {
                piece[rest..].fill(0);
            }
        }
        kept.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut kept = self.kept.lock();
        for (number, within, range) in pieces(offset, bytes.len()) {
            let mut piece = match kept.pieces.remove(&number) {
                Some(piece) => piece,
                None => self.read_piece(&kept, number)?,
            };
            let source = &bytes[range];
            piece[within..within + source.len()].copy_from_slice(source);
            kept.pieces.insert(number, piece);
        }
        kept.len = kept.len.max(offset.saturating_add(widen(bytes.len())));
        if kept.pieces.len() > KEPT_BYTES_MAX / PIECE_BYTES {
            return Err(io::Error::other("its repair needs too much memory to be tried here"));
        }
        Ok(())
    }
}

fn widen(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
