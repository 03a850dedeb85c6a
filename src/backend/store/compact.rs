//! Defragmentation: all rows are copied to a new file, which then takes the old one's name.
//! Readers of the old file go on reading it; it disappears with the last of them.

use std::{
    ops::Bound,
    path::{Path, PathBuf},
};

use disk::Disk;
use redb::{Database, WriteTransaction};

use super::{NewFile, OpenFile, Store, Stored, StoredRows, begin, remove_if_there, table};
use crate::{Bucket, error::from_io};

/// Rows are copied in transactions of about so many bytes, to bound redb's memory.
const CHUNK_BYTES: usize = 8 << 20;
/// redb's memory for the copy, besides that for the file in use.
const COPY_CACHE_BYTES: usize = 4 << 20;

/// What became of a copy.
pub(crate) enum CompactFailure {
    /// The old file is as it was and in use.
    Kept(redb::Error),
    /// It is not known which file has the name: nothing may be written any more.
    Unknown(redb::Error),
}

impl Store {
    /// Replaces the file by a compact copy of what is committed.
    pub(crate) fn compact(&mut self) -> Result<(), CompactFailure> {
        let copy_path = copy_path(&self.path);
        self.copy_to(&copy_path).map_err(|error| {
            // Best effort: the next open removes it anyway.
            if let Err(error) = remove_leftover(&*self.disk, &self.path) {
                tracing::warn!(%error, "an unfinished copy of the backend stays on the disk");
            }
            CompactFailure::Kept(error)
        })?;
        self.disk
            .rename(&copy_path, &self.path)
            .map_err(|error| CompactFailure::Unknown(from_io(error)))?;
        let copy = OpenFile::open(&*self.disk, &self.path, self.cache_bytes, self.sync)
            .map_err(CompactFailure::Unknown)?;
        self.file.storage.seal();
        self.file = copy;
        self.measure();
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<(), redb::Error> {
        remove_leftover(&*self.disk, &self.path)?;
        let cache_bytes = self.cache_bytes.min(COPY_CACHE_BYTES);
        let copy = NewFile::make(&*self.disk, path, cache_bytes, self.sync)?;
        let stored = self.stored()?;
        for bucket in Bucket::ALL {
            copy_bucket(&copy.0, &stored, bucket)?;
        }
        copy.finish(self.file.usage)
    }
}

fn copy_bucket(database: &Database, stored: &Stored, bucket: Bucket) -> Result<(), redb::Error> {
    let mut rows = stored.range(bucket, Bound::Unbounded, Bound::Unbounded)?;
    let mut more = true;
    while more {
        let transaction = begin(database)?;
        more = copy_chunk(&transaction, &mut rows, bucket)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Appends rows up to the chunk's size; whether there may be more.
fn copy_chunk(
    transaction: &WriteTransaction,
    rows: &mut StoredRows,
    bucket: Bucket,
) -> Result<bool, redb::Error> {
    let mut table = transaction.open_table(table(bucket))?;
    let mut end = table.upper_bound_mut(Bound::<&[u8]>::Unbounded)?;
    let mut copied = 0;
    while copied < CHUNK_BYTES {
        let Some(row) = rows.next_row()? else {
            end.close()?;
            return Ok(false);
        };
        end.insert_before(row.key(), row.value())?;
        copied += row.key().len() + row.value().len();
    }
    end.close()?;
    Ok(true)
}

fn copy_path(path: &Path) -> PathBuf {
    path.with_extension("defragment")
}

/// Removes the copy that a crash or a failure left.
pub(super) fn remove_leftover(disk: &dyn Disk, path: &Path) -> Result<(), redb::Error> {
    remove_if_there(disk, &copy_path(path))
}
