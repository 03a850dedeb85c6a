//! Changes that become visible, and durable, together.

use bytes::Bytes;

use crate::Bucket;

/// One change of one row.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) bucket: Bucket,
    pub(crate) key: Bytes,
    /// `None` deletes the row.
    pub(crate) value: Option<Bytes>,
}

/// A list of changes for [`crate::Backend::write`]; of two to the same row the later counts.
///
/// The backend keeps the given `Bytes` until they are flushed. Whoever fills the batch sees to it
/// that they are of their own size: a slice of a large network buffer would keep the whole of it
/// alive (`Bytes::copy_from_slice` unties it).
#[derive(Debug, Default)]
pub struct WriteBatch {
    changes: Vec<Change>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { changes: Vec::new() }
    }

    /// An empty batch with room for so many changes.
    #[must_use]
    pub fn with_capacity(changes: usize) -> Self {
        Self { changes: Vec::with_capacity(changes) }
    }

    /// Sets a row.
    pub fn put(&mut self, bucket: Bucket, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change { bucket, key: key.into(), value: Some(value.into()) });
    }

    /// Deletes a row, if it is there.
    pub fn delete(&mut self, bucket: Bucket, key: impl Into<Bytes>) {
        self.changes.push(Change { bucket, key: key.into(), value: None });
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// The changes, oldest first.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}
