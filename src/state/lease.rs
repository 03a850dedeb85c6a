//! Leases: which exist, with what time to live, and which keys hang on them. Written by the applier only.
//!
//! There is no clock here: expiry is the leader's business and arrives as a revoke entry.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use backend::{Backend, Bucket, WriteBatch};
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use std::ops::{Bound, ControlFlow};
use wire::leasepb;

use crate::error::{ApiError, StateError};

/// Largest time to live that can be asked for, in seconds.
const TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// Shared with whoever answers lease requests.
#[derive(Debug, Default)]
pub struct Lessor {
    inner: RwLock<Leases>,
}

#[derive(Debug, Default)]
struct Leases {
    leases: BTreeMap<i64, Lease>,
    /// Looked up only, never walked: its order does not matter.
    by_key: HashMap<Arc<[u8]>, i64>,
}

#[derive(Debug, Default)]
struct Lease {
    terms: LeaseTerms,
    keys: BTreeSet<Arc<[u8]>>,
}

/// What was granted, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseTerms {
    /// Time to live after each renewal.
    pub ttl: i64,
    /// Time left at the last checkpoint; zero if there was none.
    pub remaining_ttl: i64,
}

/// How leases are granted; the same on all members, or their states part.
#[derive(Debug, Clone, Copy)]
pub struct LeaseOptions {
    /// Smaller requests are raised to this: 1.5 election timeouts, rounded up to seconds.
    pub ttl_min_seconds: i64,
    /// Whether checkpoints survive a restart.
    pub persist_checkpoints: bool,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { ttl_min_seconds: 2, persist_checkpoints: false }
    }
}

impl Lessor {
    /// The terms of a lease, if it exists.
    #[must_use]
    pub fn lookup(&self, id: i64) -> Option<LeaseTerms> {
        self.inner.read().leases.get(&id).map(|lease| lease.terms)
    }

    /// All leases, by id.
    #[must_use]
    pub fn list(&self) -> Vec<(i64, LeaseTerms)> {
        self.inner.read().leases.iter().map(|(id, lease)| (*id, lease.terms)).collect()
    }

    /// The keys that a lease's end will delete, in order.
    #[must_use]
    pub fn keys(&self, id: i64) -> Vec<Bytes> {
        let inner = self.inner.read();
        let keys = inner.leases.get(&id).map(|lease| &lease.keys);
        keys.into_iter().flatten().map(|key| Bytes::copy_from_slice(key)).collect()
    }

    /// The lease that a key hangs on; zero is none.
    #[must_use]
    pub fn of_key(&self, key: &[u8]) -> i64 {
        self.inner.read().by_key.get(key).copied().unwrap_or(0)
    }

    /// Reads the bucket anew. Keys are attached afterwards, as the key space is loaded.
    pub(crate) fn load(&self, backend: &Backend) -> Result<(), StateError> {
        let mut leases = BTreeMap::new();
        let mut damaged = None;
        backend.scan(Bucket::Lease, Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
            let id = key.try_into().map(i64::from_be_bytes);
            let (Ok(id), Ok(stored)) = (id, leasepb::Lease::decode(value)) else {
                damaged = Some(format!("lease row {key:02x?}"));
                return ControlFlow::Break(());
            };
            let terms = LeaseTerms { ttl: stored.ttl, remaining_ttl: stored.remaining_ttl };
            leases.insert(id, Lease { terms, keys: BTreeSet::new() });
            ControlFlow::Continue(())
        })?;
        if let Some(what) = damaged {
            return Err(StateError::Damaged(what));
        }
        *self.inner.write() = Leases { leases, by_key: HashMap::new() };
        Ok(())
    }

    pub(crate) fn grant(
        &self,
        id: i64,
        ttl_seconds: i64,
        options: &LeaseOptions,
        batch: &mut WriteBatch,
    ) -> Result<LeaseTerms, ApiError> {
        if id == 0 {
            return Err(ApiError::LeaseNotFound);
        }
        if ttl_seconds > TTL_SECONDS_MAX {
            return Err(ApiError::LeaseTtlTooLarge);
        }
        let mut inner = self.inner.write();
        if inner.leases.contains_key(&id) {
            return Err(ApiError::LeaseExists);
        }
        let ttl = ttl_seconds.max(options.ttl_min_seconds);
        let terms = LeaseTerms { ttl, remaining_ttl: 0 };
        inner.leases.insert(id, Lease { terms, keys: BTreeSet::new() });
        persist(id, terms, batch);
        Ok(terms)
    }

    /// Notes how much time a lease has left; unknown leases stop the walk as in etcd.
    pub(crate) fn checkpoint(
        &self,
        id: i64,
        remaining_ttl: i64,
        options: &LeaseOptions,
        batch: &mut WriteBatch,
    ) -> Result<(), ApiError> {
        let mut inner = self.inner.write();
        let lease = inner.leases.get_mut(&id).ok_or(ApiError::LeaseNotFound)?;
        lease.terms.remaining_ttl = remaining_ttl;
        if options.persist_checkpoints {
            persist(id, lease.terms, batch);
        }
        Ok(())
    }

    /// Forgets a lease. Its keys must have been deleted before, which detaches them.
    pub(crate) fn remove(&self, id: i64, batch: &mut WriteBatch) {
        self.inner.write().leases.remove(&id);
        batch.delete(Bucket::Lease, row_key(id));
    }

    /// Hangs a key on a lease, or on none (zero), instead of what it hung on before.
    pub(crate) fn bind(&self, key: &[u8], id: i64) {
        if id == 0 && self.inner.read().by_key.is_empty() {
            return;
        }
        let mut inner = self.inner.write();
        let Leases { leases, by_key } = &mut *inner;
        if let Some(old) = by_key.remove(key)
            && let Some(lease) = leases.get_mut(&old)
        {
            lease.keys.remove(key);
        }
        // A lease that is missing was revoked behind a restored store's back: etcd only logs it.
        if let Some(lease) = leases.get_mut(&id) {
            let key: Arc<[u8]> = Arc::from(key);
            lease.keys.insert(Arc::clone(&key));
            by_key.insert(key, id);
        }
    }
}

fn row_key(id: i64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn persist(id: i64, terms: LeaseTerms, batch: &mut WriteBatch) {
    let stored = leasepb::Lease { id, ttl: terms.ttl, remaining_ttl: terms.remaining_ttl };
    batch.put(Bucket::Lease, row_key(id), Bytes::from(stored.encode_to_vec()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(ids: &[i64]) -> (Lessor, WriteBatch) {
        let (lessor, mut batch) = (Lessor::default(), WriteBatch::default());
        for id in ids {
            lessor.grant(*id, 60, &LeaseOptions::default(), &mut batch).unwrap();
        }
        (lessor, batch)
    }

    #[test]
    fn short_and_negative_times_are_raised_and_huge_ones_refused() {
        let (lessor, mut batch) = granted(&[]);
        let options = LeaseOptions::default();
        let mut grant = |id, ttl| lessor.grant(id, ttl, &options, &mut batch);
        assert_eq!(grant(1, 0).unwrap().ttl, 2);
        assert_eq!(grant(2, -5).unwrap().ttl, 2);
        assert_eq!(grant(3, 9_000_000_000).unwrap().ttl, 9_000_000_000);
        assert_eq!(grant(4, 9_000_000_001), Err(ApiError::LeaseTtlTooLarge));
        assert_eq!(grant(1, 10), Err(ApiError::LeaseExists));
        assert_eq!(grant(0, 10), Err(ApiError::LeaseNotFound));
        assert_eq!(lessor.list().len(), 3);
    }

    #[test]
    fn a_key_hangs_on_its_latest_lease_only() {
        let (lessor, _batch) = granted(&[1, 2]);
        lessor.bind(b"k", 1);
        lessor.bind(b"j", 1);
        assert_eq!(lessor.keys(1), [Bytes::from_static(b"j"), Bytes::from_static(b"k")]);
        lessor.bind(b"k", 2);
        assert_eq!((lessor.of_key(b"k"), lessor.keys(1).len()), (2, 1));
        lessor.bind(b"k", 0);
        assert_eq!((lessor.of_key(b"k"), lessor.keys(2).len()), (0, 0));
        lessor.bind(b"k", 77);
        assert_eq!(lessor.of_key(b"k"), 0, "an unknown lease holds nothing");
    }

    #[test]
    fn checkpoints_of_unknown_leases_are_errors() {
        let (lessor, mut batch) = granted(&[1]);
        let options = LeaseOptions { persist_checkpoints: true, ..LeaseOptions::default() };
        assert_eq!(lessor.checkpoint(1, 30, &options, &mut batch), Ok(()));
        assert_eq!(lessor.lookup(1), Some(LeaseTerms { ttl: 60, remaining_ttl: 30 }));
        assert_eq!(lessor.checkpoint(9, 30, &options, &mut batch), Err(ApiError::LeaseNotFound));
    }
}
