//! A stable cut of all buckets, for snapshots and hashes.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;

use crate::{
    BackendError, Bucket,
    merge::{self, Visit},
    store::Stored,
};

/// All buckets as they were at one moment; later writes do not show. It may outlive the
/// [`crate::Backend`] it came from. While it lives, the pages it shows are not reused, so the
/// file may grow.
#[derive(Debug, Clone)]
pub struct View {
    stored: Arc<Stored>,
}

impl View {
    pub(crate) const fn new(stored: Arc<Stored>) -> Self {
        Self { stored }
    }

    /// The value of a row.
    ///
    /// # Errors
    /// `Read`.
    pub fn get(&self, bucket: Bucket, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        self.stored.get(bucket, key)
    }

    /// Visits the rows between two bounds in ascending order, until `visit` breaks.
    ///
    /// # Errors
    /// `Read`.
    pub fn scan(
        &self,
        bucket: Bucket,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), BackendError> {
        if merge::is_empty_range(from, to) {
            return Ok(());
        }
        let stored = self.stored.range(bucket, from, to).map_err(BackendError::read)?;
        merge::visit(std::iter::empty(), stored, visit)
    }
}
