//! The key-value store: all revisions since the last compaction, after etcd's MVCC. Facts: surface A.3, F.5.
//!
//! One applier writes (see [`write`]); any number of readers read at the same time. A writing
//! transaction changes the in-memory index at once but under a revision that readers do not look
//! at yet; its rows go to the backend with the batch; only then is the revision published. So a
//! reader sees whole transactions, and finds the row of everything it sees.

mod compact;
mod compare;
mod hash;
mod history;
mod index;
mod load;
mod range;
mod record;
mod revision;
mod tally;
mod txn;
pub(crate) mod write;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use backend::Backend;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use wire::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};

pub use self::{compact::CompactStep, hash::HashKv, tally::Counts};
use self::{compact::Compaction, index::Index, revision::Rev, tally::Tally};
use crate::error::{ApiError, StateError};

/// Compacted revision of a store that never was.
pub(crate) const NEVER_COMPACTED: i64 = -1;
/// How often a read is started again because compaction or a snapshot took rows from under it.
const READ_ATTEMPTS: usize = 32;

/// Handle to the store, shared by all who read it. It outlives a replacement of the backend.
#[derive(Debug)]
pub struct Kv {
    store: RwLock<Arc<Store>>,
    pub(crate) tally: Tally,
}

/// The store over one backend.
#[derive(Debug)]
pub(crate) struct Store {
    backend: Backend,
    index: RwLock<Index>,
    /// Newest revision that readers may see.
    published: AtomicI64,
    /// Revisions below this are gone.
    compacted: AtomicI64,
    /// Held while rows are removed, and by hashes while they take their cut.
    compaction: Mutex<Compaction>,
}

/// Why a read came to nothing.
#[derive(Debug)]
pub(crate) enum ReadError {
    Api(ApiError),
    State(StateError),
    /// Compaction overtook the read: start again.
    Overtaken,
}

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<backend::BackendError> for ReadError {
    fn from(error: backend::BackendError) -> Self {
        Self::State(StateError::Backend(error))
    }
}

/// A cut of the store, at which ranges and compares are evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    store: &'a Store,
    /// Rows of the applier's batch that the backend does not have yet, in revision order.
    pending: &'a [(Rev, Bytes)],
    /// The current revision, as far as this view is concerned.
    revision: i64,
    compacted: i64,
}

impl Store {
    fn view(&self) -> View<'_> {
        // Compacted first: what is compacted later is noticed while reading.
        let compacted = self.compacted.load(Ordering::Acquire);
        let revision = self.published.load(Ordering::Acquire);
        View { store: self, pending: &[], revision, compacted }
    }
}

impl View<'_> {
    /// The row of `rev`, which the index showed for a read at revision `at`.
    fn row(&self, rev: Rev, at: i64) -> Result<Bytes, ReadError> {
        if let Ok(position) = self.pending.binary_search_by_key(&rev, |(rev, _)| *rev) {
            return Ok(self.pending[position].1.clone());
        }
        if let Some(row) = self.store.backend.get(backend::Bucket::Key, &rev.encode())? {
            return Ok(row);
        }
        self.check_not_overtaken(at)?;
        let text = format!("the row of revision {}.{} is missing", rev.main, rev.sub);
        Err(ReadError::State(StateError::Damaged(text)))
    }

    fn check_not_overtaken(&self, at: i64) -> Result<(), ReadError> {
        if self.store.compacted.load(Ordering::Acquire) > at {
            return Err(ReadError::Overtaken);
        }
        Ok(())
    }
}

impl Kv {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store: RwLock::new(store), tally: Tally::default() }
    }

    pub(crate) fn replace(&self, store: Arc<Store>) {
        *self.store.write() = store;
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store.read())
    }

    /// The current revision. An empty store is at 1.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.store.read().published.load(Ordering::Acquire)
    }

    /// The compacted revision, which is still readable; -1 if there never was a compaction.
    #[must_use]
    pub fn compacted(&self) -> i64 {
        self.store.read().compacted.load(Ordering::Acquire)
    }

    /// Reads a range at the current or a past revision. The header carries the current revision only.
    ///
    /// # Errors
    /// `FutureRevision`, `Compacted`; `Other` if the backend fails.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ApiError> {
        self.tally.range();
        self.read(&mut |view| view.range(request))
    }

    /// Evaluates a transaction for which [`crate::validate::txn_is_read_only`] holds.
    ///
    /// # Errors
    /// `FutureRevision`, `Compacted`; `Other` if the backend fails or if there is a write in it.
    pub fn txn_read_only(&self, request: &TxnRequest) -> Result<TxnResponse, ApiError> {
        let response = self.read(&mut |view| view.txn(request))?;
        self.tally.txn(&response);
        Ok(response)
    }

    /// What was executed since the process started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts(self.store().index.read().len())
    }

    fn read<T>(
        &self,
        evaluate: &mut dyn FnMut(&View<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ApiError> {
        for _ in 0..READ_ATTEMPTS {
            let store = self.store();
            match evaluate(&store.view()) {
                Ok(answer) => return Ok(answer),
                Err(ReadError::Api(error)) => return Err(error),
                Err(ReadError::Overtaken) => {}
                // A closed backend is no failure if another took its place meanwhile.
                Err(ReadError::State(_)) if !Arc::ptr_eq(&store, &self.store()) => {}
                Err(ReadError::State(error)) => {
                    return Err(ApiError::Other(base::ErrorChain(&error).to_string()));
                }
            }
        }
        Err(ApiError::Compacted)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
