//! Defragmentation: all rows are copied to a new file, which then takes the old one's name.
//! Readers of the old file go on reading it; it disappears with the last of them.

use std::{
    io::ErrorKind,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use disk::{Disk, Open};
use redb::{Database, WriteTransaction};

use super::{Store, Stored, begin, sizes, sizes::Usage, table};
use crate::{Bucket, error::from_io, storage::Storage};

/// Rows are copied in transactions of about so many bytes, to bound redb's memory.
const CHUNK_BYTES: usize = 8 << 20;

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
        let (database, storage, usage) = self.copy_to(&copy_path).map_err(|error| {
            // Best effort: the next open removes it anyway.
            if let Err(error) = remove_leftover(&*self.disk, &self.path) {
                tracing::warn!(%error, "an unfinished copy of the backend stays on the disk");
            }
            CompactFailure::Kept(error)
        })?;
        self.disk
            .rename(&copy_path, &self.path)
            .map_err(|error| CompactFailure::Unknown(from_io(error)))?;
        self.storage.seal();
        self.database = Arc::new(database);
        self.storage = storage;
        self.usage = usage;
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<(Database, Storage, Usage), redb::Error> {
        remove_leftover(&*self.disk, &self.path)?;
        let file = self.disk.open(path, Open::CreateNew).map_err(from_io)?;
        let storage = Storage::new(file, 0, self.sync);
        let database = Database::builder()
            .set_cache_size(self.cache_bytes)
            .create_with_backend(storage.clone())?;
        let stored = self.stored()?;
        for bucket in Bucket::ALL {
            copy_bucket(&database, &stored, bucket)?;
        }
        let mut usage = self.usage;
        usage.written_bytes = storage.written_bytes();
        let transaction = begin(&database)?;
        sizes::save(&transaction, &mut usage)?;
        transaction.commit()?;
        Ok((database, storage, usage))
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
    rows: &mut super::StoredRows,
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
    match disk.remove_file(&copy_path(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(from_io(error)),
        _ => Ok(()),
    }
}
