//! How many operations the store has executed, for metrics. Kept apart from the store, so that no count goes back when a
//! leader's snapshot replaces it.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::etcdserverpb::{TxnResponse, response_op::Response};

/// Operations since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys put.
    pub puts: u64,
    /// Keys deleted.
    pub deletes: u64,
    /// Ranges read.
    pub ranges: u64,
    /// Transactions of more than one operation.
    pub txns: u64,
    /// Keys in the index, with those whose deletion is not compacted yet.
    pub keys: u64,
}

/// The running counters.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    puts: AtomicU64,
    deletes: AtomicU64,
    ranges: AtomicU64,
    txns: AtomicU64,
}

impl Tally {
    pub(crate) fn counts(&self, keys: usize) -> Counts {
        Counts {
            puts: self.puts.load(Ordering::Relaxed),
            deletes: self.deletes.load(Ordering::Relaxed),
            ranges: self.ranges.load(Ordering::Relaxed),
            txns: self.txns.load(Ordering::Relaxed),
            keys: u64::try_from(keys).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn put(&self) {
        self.puts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn range(&self) {
        self.ranges.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn delete(&self, keys: i64) {
        self.deletes.fetch_add(u64::try_from(keys).unwrap_or(0), Ordering::Relaxed);
    }

    /// Counts what a transaction did, nested ones included.
    pub(crate) fn txn(&self, response: &TxnResponse) {
        if self.ops(response) > 1 {
            self.txns.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ops(&self, response: &TxnResponse) -> u64 {
        let mut ops = 0;
        for op in &response.responses {
            ops += match &op.response {
                Some(Response::ResponseTxn(nested)) => self.ops(nested),
                Some(Response::ResponsePut(_)) => {
                    self.put();
                    1
                }
                Some(Response::ResponseDeleteRange(delete)) => {
                    self.delete(delete.deleted);
                    1
                }
                Some(Response::ResponseRange(_)) => {
                    self.range();
                    1
                }
                None => 0,
            };
        }
        ops
    }
}
