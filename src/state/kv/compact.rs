//! Removes, in steps, what a compaction made unreadable: first from the index, then rows. Driven by the node between other work.

use std::{ops::Bound, ops::ControlFlow, sync::atomic::Ordering};

use backend::{Bucket, WriteBatch};
use bytes::Bytes;

use super::{Kv, Store, revision::Rev};
use crate::error::StateError;

/// Meta row: the revision whose compaction was carried out.
pub(crate) const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
/// Histories pruned under one lock of the index.
const PRUNE_STEPS: usize = 2048;

/// What a step of the compaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompactStep {
    /// There is nothing to compact.
    Idle,
    /// There is more to do: call again, after a pause.
    More,
    /// The compaction of this revision is complete; `Backend::flush` makes that durable.
    Finished(i64),
}

/// Progress of the worker.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// Revision up to which all is removed.
    finished: i64,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    target: i64,
    /// Rows up to `target` that stay. Sorted once pruning is over.
    keep: Vec<Rev>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Histories after this key are still to be pruned.
    Index(Option<Box<[u8]>>),
    /// Rows from this revision on are still to be looked at.
    Rows(Rev),
}

impl Compaction {
    pub(crate) fn new(finished: i64) -> Self {
        Self { finished, run: None }
    }
}

impl Kv {
    /// The newest revision whose compaction is complete; -1 if there was none.
    #[must_use]
    pub fn compaction_finished(&self) -> i64 {
        self.store().compaction.lock().finished
    }

    /// Does a bit of the ordered compaction, if there is one: looks at up to `rows` rows. Readers and the
    /// applier are not held up.
    ///
    /// # Errors
    /// The backend's. A step that fails because a snapshot replaced the store is [`CompactStep::More`].
    pub fn compact_step(&self, rows: usize) -> Result<CompactStep, StateError> {
        let store = self.store();
        match store.compact_step(rows.max(1)) {
            Err(_) if !std::sync::Arc::ptr_eq(&store, &self.store()) => Ok(CompactStep::More),
            result => result,
        }
    }
}

impl Store {
    fn compact_step(&self, rows: usize) -> Result<CompactStep, StateError> {
        let mut compaction = self.compaction.lock();
        let Compaction { finished, run } = &mut *compaction;
        let ordered = self.compacted.load(Ordering::Acquire);
        if run.is_none() {
            if ordered <= *finished {
                return Ok(CompactStep::Idle);
            }
            *run = Some(Run { target: ordered, keep: Vec::new(), phase: Phase::Index(None) });
        }
        let Some(running) = run else { return Ok(CompactStep::Idle) };
        let next = match &running.phase {
            Phase::Index(after) => {
                let last = self.index.write().compact(
                    running.target,
                    after.as_deref(),
                    PRUNE_STEPS,
                    &mut running.keep,
                );
                if let Some(last) = last {
                    Phase::Index(Some(last))
                } else {
                    running.keep.sort_unstable();
                    Phase::Rows(Rev::default())
                }
            }
            Phase::Rows(from) => {
                let Some(next) = self.remove_rows(running, *from, rows)? else {
                    *finished = running.target;
                    *run = None;
                    return Ok(CompactStep::Finished(*finished));
                };
                Phase::Rows(next)
            }
        };
        running.phase = next;
        Ok(CompactStep::More)
    }

    /// Removes what is not kept among the next `rows` rows; none if there are no more. The end is
    /// noted in the same batch as the last removals.
    fn remove_rows(&self, run: &Run, from: Rev, rows: usize) -> Result<Option<Rev>, StateError> {
        let end = Rev::new(run.target.saturating_add(1), 0).encode();
        let mut keep = run.keep[run.keep.partition_point(|rev| *rev < from)..].iter().peekable();
        let mut batch = WriteBatch::default();
        let (mut seen, mut last) = (0, None);
        let mut damaged = None;
        self.backend.scan(
            Bucket::Key,
            Bound::Included(&from.encode()),
            Bound::Excluded(&end),
            &mut |key, _| {
                let Some((rev, _)) = Rev::decode(key) else {
                    damaged = Some(format!("key row {key:02x?}"));
                    return ControlFlow::Break(());
                };
                while keep.next_if(|kept| **kept < rev).is_some() {}
                if keep.peek() != Some(&&rev) {
                    batch.delete(Bucket::Key, Bytes::copy_from_slice(key));
                }
                last = Some(Rev::new(rev.main, rev.sub + 1));
                seen += 1;
                if seen == rows { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )?;
        if let Some(what) = damaged {
            return Err(StateError::Damaged(what));
        }
        let next = if seen == rows { last } else { None };
        if next.is_none() {
            let finished = Bytes::copy_from_slice(&Rev::new(run.target, 0).encode());
            batch.put(Bucket::Meta, Bytes::from_static(FINISHED_COMPACTION), finished);
        }
        self.backend.write(batch)?;
        Ok(next)
    }
}
