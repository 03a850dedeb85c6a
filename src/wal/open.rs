//! Opens a log for appending: reads it from a snapshot mark, repairs a torn tail, and makes sure
//! that there is nothing behind the last record.

use std::{io, path::Path, sync::Arc};

use disk::{Disk, DiskFile, Open};
use prost::Message;
use wire::walpb;

use crate::{
    config::WalConfig,
    encode::Encoder,
    error::{WalError, io_error},
    name,
    read::{self, LogEnd, Source, Tail},
    replay::{Collector, Replay},
    segments::{self, Segments},
    spare::Spare,
    writer::{Wal, WriteTail},
};

/// No batch is larger.
const REWRITTEN_BYTES: u64 = 8 * 1024 * 1024;

impl Wal {
    /// Opens a log and reads what follows a snapshot mark. A torn tail is cut off after a copy of
    /// the segment was made beside it (`.broken`); nothing is changed if this fails otherwise.
    ///
    /// # Errors
    /// [`WalError::Missing`], [`WalError::MarkNotFound`], [`WalError::Locked`];
    /// [`WalError::Corrupt`] for damage that no crash explains; or the disk fails.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        from: &walpb::Snapshot,
        config: WalConfig,
    ) -> Result<(Self, Replay), WalError> {
        let names = name::list(&*disk, dir)?;
        let not_found =
            || WalError::MarkNotFound { dir: dir.to_owned(), index: from.index, term: from.term };
        let start =
            names.iter().rposition(|name| name.first_index <= from.index).ok_or_else(not_found)?;
        let (released, needed) = names.split_at(start);
        name::check_consecutive(dir, needed)?;
        let mut segments = Segments::new(dir, released);
        for name in needed {
            segments.push(*name, segments::lock(&*disk, &dir.join(name.to_string()))?);
        }
        let source = Source { disk: &*disk, dir, segments: needed, synced: config.sync };
        let mut collector = Collector::new(from);
        let end = read::read(source, &mut |record| collector.take(record))?;
        if !collector.mark_found {
            return Err(not_found());
        }
        let last = dir.join(segments.last().to_string());
        let metadata = decode_metadata(&end, &last)?;
        let spare = Spare::new(Arc::clone(&disk), dir, &config);
        spare.adopt_leftovers()?;
        let tail = position(&*disk, &last, &end)?;
        let replay = Replay {
            metadata,
            hard_state: collector.hard_state,
            entries: collector.entries,
            repaired: end.tail == Tail::Torn,
        };
        let wal = Self {
            dir: dir.to_owned(),
            metadata: end.metadata,
            state: replay.hard_state,
            last_index: collector.last_index,
            encoder: Encoder::new(end.crc),
            dead: false,
            disk,
            config,
            tail,
            segments,
            spare,
        };
        Ok((wal, replay))
    }
}

/// Decodes the metadata record of a log.
pub(crate) fn decode_metadata(end: &LogEnd, path: &Path) -> Result<walpb::Metadata, WalError> {
    walpb::Metadata::decode(end.metadata.clone()).map_err(|error| WalError::Corrupt {
        path: path.to_owned(),
        offset: 0,
        what: format!("its metadata does not decode: {error}"),
    })
}

/// Makes the last segment ready to be continued: zeroes or nothing behind the last record. If
/// remains stayed there, a later write could cover a part of them, and after a crash the rest
/// would look like damage, or worse, like records.
fn position(disk: &dyn Disk, path: &Path, end: &LogEnd) -> Result<WriteTail, WalError> {
    if end.tail == Tail::Torn {
        let mut broken = path.as_os_str().to_owned();
        broken.push(".broken");
        tracing::warn!(path = %path.display(), offset = end.offset, "cuts off a torn WAL record");
        disk::copy(disk, path, Path::new(&broken)).map_err(io_error("copy", path))?;
    }
    let file = disk.open(path, Open::Write).map_err(io_error("open", path))?;
    let mut zeroed_to = end.len;
    if end.tail != Tail::Zero {
        file.set_len(end.offset).map_err(io_error("truncate", path))?;
        zeroed_to = end.offset;
    }
    rewrite_end(&*file, end.offset).map_err(io_error("rewrite the end of", path))?;
    file.sync().map_err(io_error("sync", path))?;
    let dir = path.parent().unwrap_or(path);
    disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    Ok(WriteTail { path: path.to_owned(), file, offset: end.offset, zeroed_to, dirty: false })
}

/// What was read may stand in the page cache only: if a sync failed and the process died of it,
/// the kernel takes these pages for clean, and no later sync writes them. The last batch is within
/// these bytes; writing them once more makes the sync that follows true.
fn rewrite_end(file: &dyn DiskFile, end: u64) -> io::Result<()> {
    let start = end.saturating_sub(REWRITTEN_BYTES);
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    let count = file.read_at(&mut bytes, start)?;
    file.write_at(&bytes[..count], start)
}
