//! Builds the store from the backend at start: index, current revision, compaction, keys of leases. Facts: surface F.5.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::atomic::AtomicI64,
};

use backend::{Backend, Bucket};
use parking_lot::{Mutex, RwLock};

use super::{
    NEVER_COMPACTED, Store,
    compact::{Compaction, FINISHED_COMPACTION},
    history::Found,
    index::Index,
    record::Outline,
    revision::Rev,
    write::SCHEDULED_COMPACTION,
};
use crate::{error::StateError, lease::Lessor};

impl Store {
    /// Reads all rows. Leases must be loaded already; keys are attached to those that exist.
    pub(crate) fn load(backend: Backend, lessor: &Lessor) -> Result<Self, StateError> {
        let finished = stored_revision(&backend, FINISHED_COMPACTION)?.unwrap_or(NEVER_COMPACTED);
        let scheduled = stored_revision(&backend, SCHEDULED_COMPACTION)?.unwrap_or(finished);
        let loaded = Loaded::read(&backend)?;
        for (key, lease) in &loaded.leases {
            lessor.bind(key, *lease);
        }
        // Rows may all be older than the compacted revision: a deletion, compacted away, was the last write.
        let current = loaded.revision.max(finished).max(scheduled).max(1);
        Ok(Self {
            backend,
            index: RwLock::new(loaded.index),
            published: AtomicI64::new(current),
            // An interrupted compaction is resumed by the next step.
            compacted: AtomicI64::new(scheduled.max(finished)),
            compaction: Mutex::new(Compaction::new(finished)),
        })
    }
}

fn stored_revision(backend: &Backend, name: &[u8]) -> Result<Option<i64>, StateError> {
    let Some(bytes) = backend.get(Bucket::Meta, name)? else { return Ok(None) };
    match Rev::decode(&bytes) {
        Some((rev, _)) => Ok(Some(rev.main)),
        None => Err(StateError::Damaged(format!("meta row {}", String::from_utf8_lossy(name)))),
    }
}

#[derive(Default)]
struct Loaded {
    index: Index,
    revision: i64,
    /// The lease of each key that has one at its newest revision.
    leases: BTreeMap<Box<[u8]>, i64>,
}

impl Loaded {
    fn read(backend: &Backend) -> Result<Self, StateError> {
        let mut loaded = Self::default();
        let mut damaged = None;
        backend.scan(Bucket::Key, Bound::Unbounded, Bound::Unbounded, &mut |key, row| {
            let (Some((rev, tombstone)), Some(outline)) = (Rev::decode(key), Outline::read(row))
            else {
                damaged = Some(format!("key row {key:02x?}"));
                return ControlFlow::Break(());
            };
            loaded.take(rev, tombstone, outline);
            ControlFlow::Continue(())
        })?;
        match damaged {
            Some(what) => Err(StateError::Damaged(what)),
            None => Ok(loaded),
        }
    }

    fn take(&mut self, rev: Rev, tombstone: bool, outline: Outline<'_>) {
        self.revision = rev.main;
        if tombstone {
            self.index.restore_tombstone(outline.key, rev);
        } else {
            let Outline { created, version, .. } = outline;
            self.index.restore(outline.key, Found { modified: rev, created, version });
        }
        if outline.lease != 0 && !tombstone {
            self.leases.insert(Box::from(outline.key), outline.lease);
        } else if !self.leases.is_empty() {
            self.leases.remove(outline.key);
        }
    }
}
