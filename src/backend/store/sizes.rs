//! The backend's own table: format version, and how much room the rows need. It is
//! kept in the transaction of the rows it measures.

use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

/// Format of the file. A later version must read this one.
const FORMAT: u64 = 1;
const TABLE: TableDefinition<'static, &str, u64> = TableDefinition::new("backend");

const PAGE_BYTES: u64 = 4096;
/// What a leaf takes for itself, and for each row: two offsets of 4 bytes.
const LEAF_HEADER_BYTES: u64 = 8;
const ROW_HEADER_BYTES: u64 = 8;
/// Leaves of so many rows or more are nearly full.
const ROWS_PER_LEAF_MANY: u64 = 16;

/// How much room the rows need.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// What the rows need in a tree.
    pub(super) in_use_bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, key: usize, value: usize) {
        self.in_use_bytes = self.in_use_bytes.saturating_add(tree_bytes(key, value));
    }

    pub(super) fn subtract(&mut self, key: usize, value: usize) {
        self.in_use_bytes = self.in_use_bytes.saturating_sub(tree_bytes(key, value));
    }
}

/// A row's share of a tree's pages, with some percent for branches. redb puts as many rows on a
/// page as fit; a row that fits on none gets a power of two of them.
fn tree_bytes(key: usize, value: usize) -> u64 {
    let length = u64::try_from(key.saturating_add(value)).unwrap_or(u64::MAX / 4);
    let length = length + ROW_HEADER_BYTES;
    match (PAGE_BYTES - LEAF_HEADER_BYTES) / length {
        0 => (length + LEAF_HEADER_BYTES).next_power_of_two(),
        few @ 1..ROWS_PER_LEAF_MANY => PAGE_BYTES / few,
        _ => length + length / 16,
    }
}

/// Reads the table.
pub(super) fn load(database: &Database) -> Result<Usage, redb::Error> {
    let table = match database.begin_read()?.open_table(TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(redb::Error::Corrupted("the file is not a backend's".to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let number = |name: &str| -> Result<u64, redb::Error> {
        table
            .get(name)?
            .map(|number| number.value())
            .ok_or_else(|| redb::Error::Corrupted(format!("{name} is missing")))
    };
    let format = number("format")?;
    if format != FORMAT {
        let what = format!("the file has format {format}; this version reads {FORMAT}");
        return Err(redb::Error::Corrupted(what));
    }
    Ok(Usage { in_use_bytes: number("in_use_bytes")? })
}

/// Writes the table, with the current format.
pub(super) fn save(transaction: &WriteTransaction, usage: Usage) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(TABLE)?;
    table.insert("format", FORMAT)?;
    table.insert("in_use_bytes", usage.in_use_bytes)?;
    Ok(())
}
