//! HashKV and Hash: checksums by which members compare their states, byte for byte as etcd's. Facts: surface A.7.

use std::{
    ops::{Bound, ControlFlow},
    sync::atomic::Ordering,
};

use backend::{Bucket, View};
use base::Revision;

use super::{Kv, Store, revision::Rev};
use crate::error::{ApiError, StateError};

/// Meta rows that differ between members in step; `Hash` leaves them out.
const UNHASHED: [&[u8]; 2] = [b"consistent_index", b"term"];
/// Histories looked at under one lock of the index.
const WALK_STEPS: usize = 4096;

/// A checksum of the key space's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// CRC-32C.
    pub hash: u32,
    /// Compacted revision when it was taken; -1 if there was none. Only hashes with equal ones compare.
    pub compact_revision: i64,
    /// The revision that was hashed.
    pub revision: i64,
    /// The store's current revision.
    pub current: Revision,
}

impl Kv {
    /// Hashes all readable history up to `revision`; zero means the current one.
    ///
    /// # Errors
    /// `FutureRevision`, `Compacted`; `Other` if the backend fails.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, ApiError> {
        self.store().hash_kv(revision)
    }

    /// Hashes everything the backend holds.
    ///
    /// # Errors
    /// `Other` if the backend fails.
    pub fn hash_all(&self) -> Result<u32, ApiError> {
        let view = self.store().backend.view().map_err(failure)?;
        let mut hash = 0;
        for bucket in Bucket::ALL {
            hash = crc32c::crc32c_append(hash, bucket.name().as_bytes());
            scan(&view, bucket, &mut |key, value| {
                if bucket != Bucket::Meta || !UNHASHED.contains(&key) {
                    hash = crc32c::crc32c_append(hash, key);
                    hash = crc32c::crc32c_append(hash, value);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(hash)
    }
}

impl Store {
    fn hash_kv(&self, revision: i64) -> Result<HashKv, ApiError> {
        // While this is held no row goes away; the view then is a cut of its own.
        let compaction = self.compaction.lock();
        let compact_revision = self.compacted.load(Ordering::Acquire);
        let current = self.published.load(Ordering::Acquire);
        if revision > 0 && revision < compact_revision {
            return Err(ApiError::Compacted);
        }
        if revision > current {
            return Err(ApiError::FutureRevision);
        }
        let revision = if revision <= 0 { current } else { revision };
        let kept = self.kept(revision, compact_revision);
        let view = self.backend.view().map_err(failure)?;
        drop(compaction);
        let mut hash = crc32c::crc32c(Bucket::Key.name().as_bytes());
        let mut damaged = false;
        scan(&view, Bucket::Key, &mut |key, value| {
            let Some((rev, tombstone)) = Rev::decode(key) else {
                damaged = true;
                return ControlFlow::Break(());
            };
            if rev.main > revision {
                return ControlFlow::Break(());
            }
            // Members need not agree on which compacted rows are still there.
            let removed = rev.main <= compact_revision && kept.binary_search(&rev).is_err();
            let skipped = removed || (tombstone && rev.main == compact_revision);
            if !skipped {
                hash = crc32c::crc32c_append(hash, key);
                hash = crc32c::crc32c_append(hash, value);
            }
            ControlFlow::Continue(())
        })?;
        if damaged {
            return Err(failure(StateError::Damaged("a key row has no revision".to_owned())));
        }
        let current = Revision::new(current);
        Ok(HashKv { hash, compact_revision, revision, current })
    }

    /// The rows up to the compacted revision that count: what a compaction at the hashed revision
    /// would keep of them. Where that keeps nothing at all, etcd hashes what it finds; that is, once
    /// it is done with it, what the last compaction kept.
    fn kept(&self, revision: i64, compact_revision: i64) -> Vec<Rev> {
        let mut any = false;
        let mut kept = Vec::new();
        self.each_kept(revision, &mut |rev| {
            any = true;
            if rev.main <= compact_revision {
                kept.push(rev);
            }
        });
        if !any {
            self.each_kept(compact_revision, &mut |rev| kept.push(rev));
        }
        kept.sort_unstable();
        kept
    }

    fn each_kept(&self, at: i64, visit: &mut dyn FnMut(Rev)) {
        let mut after: Option<Box<[u8]>> = None;
        loop {
            after = self.index.read().kept(at, after.as_deref(), WALK_STEPS, visit);
            if after.is_none() {
                return;
            }
        }
    }
}

/// Called with each row of a bucket.
type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

fn scan(view: &View, bucket: Bucket, visit: Visit<'_>) -> Result<(), ApiError> {
    view.scan(bucket, Bound::Unbounded, Bound::Unbounded, visit).map_err(failure)
}

fn failure(error: impl Into<StateError>) -> ApiError {
    ApiError::Other(base::ErrorChain(&error.into()).to_string())
}
