//! The backend's own table: format version, and how much the rows and the file measure. It is
//! kept in the transaction of the rows it counts.

use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

/// Format of the file. A later version must read this one.
const FORMAT: u64 = 1;
const TABLE: TableDefinition<'static, &str, u64> = TableDefinition::new("backend");

/// What a row takes in a leaf besides its bytes: two offsets of 4 bytes.
const ROW_LEAF_BYTES: u64 = 8;

/// What the rows and the file measure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// 0 in a file that is being made.
    pub(super) format: u64,
    rows: u64,
    row_bytes: u64,
    /// How far the file was written before this transaction.
    pub(super) written_bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, key: usize, value: usize) {
        self.rows += 1;
        self.row_bytes += length(key, value);
    }

    pub(super) fn subtract(&mut self, key: usize, value: usize) {
        self.rows = self.rows.saturating_sub(1);
        self.row_bytes = self.row_bytes.saturating_sub(length(key, value));
    }

    /// Bytes of a tree that holds the rows, with some percent for branches and part-filled leaves.
    pub(super) fn in_use_bytes(&self) -> u64 {
        let leaves = self.row_bytes.saturating_add(self.rows.saturating_mul(ROW_LEAF_BYTES));
        leaves.saturating_add(leaves / 16)
    }
}

fn length(key: usize, value: usize) -> u64 {
    u64::try_from(key.saturating_add(value)).unwrap_or(u64::MAX)
}

/// Reads the table; `None` if the file has none (it is being made, or is not ours).
pub(super) fn load(database: &Database) -> Result<Option<Usage>, redb::Error> {
    let table = match database.begin_read()?.open_table(TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
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
        return Err(redb::Error::Corrupted(format!(
            "the file has format {format}; this version reads {FORMAT}"
        )));
    }
    Ok(Some(Usage {
        format,
        rows: number("rows")?,
        row_bytes: number("row_bytes")?,
        written_bytes: number("written_bytes")?,
    }))
}

/// Writes the table, with the current format.
pub(super) fn save(transaction: &WriteTransaction, usage: &mut Usage) -> Result<(), redb::Error> {
    usage.format = FORMAT;
    let mut table = transaction.open_table(TABLE)?;
    for (name, number) in [
        ("format", usage.format),
        ("rows", usage.rows),
        ("row_bytes", usage.row_bytes),
        ("written_bytes", usage.written_bytes),
    ] {
        table.insert(name, number)?;
    }
    Ok(())
}
