//! The redb file: opening, the durable commit of a buffer, read transactions, the compact copy.

mod compact;
mod sizes;

use std::{
    fmt,
    io::ErrorKind,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use disk::{Disk, Open};
use redb::{
    AccessGuard, Database, ReadOnlyTable, ReadableDatabase, Table, TableDefinition,
    WriteTransaction,
};

pub(crate) use self::compact::CompactFailure;
use self::sizes::Usage;
use crate::{
    BackendError, Bucket, Options, Sizes, error::from_io, layer::BucketLayer, layer::Layer,
    storage::Storage,
};

pub(crate) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A bucket's table.
pub(crate) const fn table(bucket: Bucket) -> Definition {
    TableDefinition::new(bucket.name())
}

/// The file and what is known of it. Owned by the backend's thread, the only writer.
#[derive(Debug)]
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    cache_bytes: usize,
    sync: bool,
    file: OpenFile,
    sizes: Sizes,
}

/// A redb file in use.
#[derive(Debug)]
struct OpenFile {
    database: Arc<Database>,
    storage: Storage,
    usage: Usage,
}

impl Store {
    /// Opens the file; makes it if there is none.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: &Options,
    ) -> Result<Self, redb::Error> {
        let (cache_bytes, sync) = (options.cache_bytes, options.sync);
        compact::remove_leftover(&*disk, path)?;
        remove_if_there(&*disk, &new_path(path))?;
        if !disk.exists(path).map_err(from_io)? {
            // The name appears with a whole database behind it, so an empty or half-made file
            // under it is always damage and never a fresh start.
            NewFile::make(&*disk, &new_path(path), options.cache_bytes, sync)?
                .finish(Usage::default())?;
            disk.rename(&new_path(path), path).map_err(from_io)?;
        }
        let file = OpenFile::open(&*disk, path, cache_bytes, sync)?;
        let path = path.to_owned();
        let mut store = Self { disk, path, cache_bytes, sync, file, sizes: Sizes::default() };
        store.measure();
        Ok(store)
    }

    /// Makes all rows of a buffer durable in one transaction.
    pub(crate) fn commit(&mut self, layer: &Layer) -> Result<(), redb::Error> {
        let transaction = begin(&self.file.database)?;
        let mut usage = self.file.usage;
        for bucket in Bucket::ALL {
            let rows = layer.bucket(bucket);
            if !rows.is_empty() {
                apply(&mut transaction.open_table(table(bucket))?, rows, &mut usage)?;
            }
        }
        sizes::save(&transaction, usage)?;
        transaction.commit()?;
        self.file.usage = usage;
        self.measure();
        Ok(())
    }

    /// A read transaction of what is committed.
    pub(crate) fn stored(&self) -> Result<Stored, redb::Error> {
        Stored::begin(&self.file.database, &self.file.storage)
    }

    /// Lets no further change reach the file.
    pub(crate) fn seal(&self) {
        self.file.storage.seal();
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn measure(&mut self) {
        match self.file.storage.used_bytes() {
            Ok(total_bytes) => self.sizes.total_bytes = total_bytes,
            // The commit stands; the old number serves until the next one.
            Err(error) => tracing::warn!(%error, "cannot tell the size of the backend file"),
        }
        self.sizes.in_use_bytes = self.file.usage.in_use_bytes.min(self.sizes.total_bytes);
    }
}

impl OpenFile {
    fn open(
        disk: &dyn Disk,
        path: &Path,
        cache_bytes: usize,
        sync: bool,
    ) -> Result<Self, redb::Error> {
        let file = disk.open(path, Open::Write).map_err(from_io)?;
        if file.is_empty().map_err(from_io)? {
            return Err(redb::Error::Corrupted("the file is empty".to_owned()));
        }
        let storage = Storage::new(file, sync);
        let mut builder = Database::builder();
        let database = builder.set_cache_size(cache_bytes).create_with_backend(storage.clone())?;
        let usage = sizes::load(&database)?;
        Ok(Self { database: Arc::new(database), storage, usage })
    }
}

/// A redb file that is being made, under a name of its own.
struct NewFile(Database);

impl NewFile {
    fn make(
        disk: &dyn Disk,
        path: &Path,
        cache_bytes: usize,
        sync: bool,
    ) -> Result<Self, redb::Error> {
        let file = disk.open(path, Open::CreateNew).map_err(from_io)?;
        let mut builder = Database::builder();
        let builder = builder.set_cache_size(cache_bytes);
        Ok(Self(builder.create_with_backend(Storage::new(file, sync))?))
    }

    /// Makes sure that all tables are there, and closes the file. Then it may be renamed.
    fn finish(self, usage: Usage) -> Result<(), redb::Error> {
        let transaction = begin(&self.0)?;
        for bucket in Bucket::ALL {
            transaction.open_table(table(bucket))?;
        }
        sizes::save(&transaction, usage)?;
        transaction.commit()?;
        Ok(self.0.close()?)
    }
}

/// What the rows need, as the file's own table says; an error if the file is no backend's.
pub(crate) fn in_use_bytes(database: &Database) -> Result<u64, redb::Error> {
    Ok(sizes::load(database)?.in_use_bytes)
}

fn new_path(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), redb::Error> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(from_io(error)),
        _ => Ok(()),
    }
}

/// Starts a transaction whose commit is durable and leaves the file quick to open after a crash.
fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Puts a bucket's changed rows into its table.
fn apply(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    rows: &BucketLayer,
    usage: &mut Usage,
) -> Result<(), redb::Error> {
    for (key, value) in rows.range(Bound::Unbounded, Bound::Unbounded) {
        let replaced = match value {
            Some(value) => {
                usage.add(key.len(), value.len());
                table.insert(key.as_ref(), value.as_ref())?
            }
            None => table.remove(key.as_ref())?,
        };
        if let Some(replaced) = replaced {
            usage.subtract(key.len(), replaced.value().len());
        }
    }
    Ok(())
}

/// A read transaction with all its tables open.
pub(crate) struct Stored {
    /// One for each of [`Bucket::ALL`].
    tables: Box<[ReadTable]>,
    /// Keeps the file open. Dropped after the tables.
    _database: Arc<Database>,
    storage: Storage,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").finish_non_exhaustive()
    }
}

impl Stored {
    fn begin(database: &Arc<Database>, storage: &Storage) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        let mut tables = Vec::with_capacity(Bucket::COUNT);
        for bucket in Bucket::ALL {
            tables.push(transaction.open_table(table(bucket))?);
        }
        Ok(Self {
            tables: tables.into(),
            _database: Arc::clone(database),
            storage: storage.clone(),
        })
    }

    /// The file's storage, to seal it.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn get(&self, bucket: Bucket, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        let found = self.tables[bucket.position()].get(key).map_err(BackendError::read)?;
        Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// The rows between two bounds, which must not cross.
    pub(crate) fn range(
        &self,
        bucket: Bucket,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<StoredRows, redb::StorageError> {
        Ok(StoredRows(self.tables[bucket.position()].range::<&[u8]>((from, to))?))
    }
}

/// Stored rows, ascending.
pub(crate) struct StoredRows(redb::Range<'static, &'static [u8], &'static [u8]>);

impl StoredRows {
    pub(crate) fn next_row(&mut self) -> Result<Option<StoredRow>, redb::StorageError> {
        let row = self.0.next().transpose()?;
        Ok(row.map(|(key, value)| StoredRow { key, value }))
    }
}

/// A stored row, still in redb's page.
pub(crate) struct StoredRow {
    key: AccessGuard<'static, &'static [u8]>,
    value: AccessGuard<'static, &'static [u8]>,
}

impl StoredRow {
    pub(crate) fn key(&self) -> &[u8] {
        self.key.value()
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.value.value()
    }
}
