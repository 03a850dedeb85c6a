//! Checks of a client's request before it is proposed, as etcd's API layer makes them. Facts: surface A.3.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use wire::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op::Request,
};

use crate::error::ApiError;

/// What a server is configured to accept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most operations in one transaction, a nested one's included (`--max-txn-ops`).
    pub max_txn_ops: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_txn_ops: 128 }
    }
}

/// Checks a range read. Unknown sort options are accepted, as in etcd 3.5.
///
/// # Errors
/// `EmptyKey`.
pub fn range(request: &RangeRequest) -> Result<(), ApiError> {
    key(&request.key)
}

/// Checks a put.
///
/// # Errors
/// `EmptyKey`, `ValueProvided`, `LeaseProvided`.
pub fn put(request: &PutRequest) -> Result<(), ApiError> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(ApiError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(ApiError::LeaseProvided);
    }
    Ok(())
}

/// Checks a deletion.
///
/// # Errors
/// `EmptyKey`.
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), ApiError> {
    key(&request.key)
}

/// Checks a transaction and everything in it.
///
/// # Errors
/// `TooManyOps`, `EmptyKey`, `KeyNotFound` (an operation without content), `DuplicateKey`, and
/// what the operations' own checks say.
pub fn txn(request: &TxnRequest, limits: &Limits) -> Result<(), ApiError> {
    operations(request, limits.max_txn_ops)?;
    branch(&request.success)?;
    branch(&request.failure)?;
    Ok(())
}

/// Whether the transaction only reads, so that it need not enter the log. A nested one counts as a write.
#[must_use]
pub fn txn_is_read_only(request: &TxnRequest) -> bool {
    both(request).all(|op| matches!(op.request, Some(Request::RequestRange(_))))
}

/// Whether a read-only transaction may be answered without a barrier: all its ranges are serializable.
#[must_use]
pub fn txn_is_serializable(request: &TxnRequest) -> bool {
    both(request)
        .all(|op| matches!(&op.request, Some(Request::RequestRange(range)) if range.serializable))
}

fn both(request: &TxnRequest) -> impl Iterator<Item = &RequestOp> {
    request.success.iter().chain(&request.failure)
}

fn key(key: &[u8]) -> Result<(), ApiError> {
    if key.is_empty() { Err(ApiError::EmptyKey) } else { Ok(()) }
}

fn operations(request: &TxnRequest, budget: usize) -> Result<(), ApiError> {
    let count = request.compare.len().max(request.success.len()).max(request.failure.len());
    let nested = budget.checked_sub(count).ok_or(ApiError::TooManyOps)?;
    for compare in &request.compare {
        key(&compare.key)?;
    }
    for op in both(request) {
        match &op.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Request::RequestTxn(request)) => operations(request, nested)?,
            None => return Err(ApiError::KeyNotFound),
        }
    }
    Ok(())
}

/// What one branch changes: keys put, and intervals deleted, its nested transactions' included.
#[derive(Default)]
struct Changes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals,
}

impl<'a> Changes<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), ApiError> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(ApiError::DuplicateKey);
        }
        Ok(())
    }
}

fn branch(ops: &[RequestOp]) -> Result<Changes<'_>, ApiError> {
    let mut changes = Changes::default();
    for op in ops {
        if let Some(Request::RequestDeleteRange(request)) = &op.request {
            changes.deletes.insert(&request.key, &request.range_end);
        }
    }
    for op in ops {
        if let Some(Request::RequestTxn(request)) = &op.request {
            branch_nested(request, &mut changes)?;
        }
    }
    for op in ops {
        if let Some(Request::RequestPut(request)) = &op.request {
            changes.put(&request.key)?;
        }
    }
    Ok(changes)
}

/// The two branches of a nested transaction exclude each other, so both may put the same key.
fn branch_nested<'a>(request: &'a TxnRequest, changes: &mut Changes<'a>) -> Result<(), ApiError> {
    let success = branch(&request.success)?;
    let failure = branch(&request.failure)?;
    for key in &success.puts {
        changes.put(key)?;
    }
    for key in &failure.puts {
        if success.puts.contains(key) {
            continue;
        }
        changes.put(key)?;
    }
    changes.deletes.absorb(success.deletes);
    changes.deletes.absorb(failure.deletes);
    Ok(())
}

/// Deleted intervals `[begin, end)`, kept disjoint so that a look-up is logarithmic.
#[derive(Default)]
struct Intervals(BTreeMap<Vec<u8>, Vec<u8>>);

impl Intervals {
    /// Adds what a deletion covers. A range end of one zero byte ("everything from key on") is not
    /// understood here: the interval `[key, "\0")` is empty. That is etcd's behaviour, and clients
    /// may rely on put + delete-everything passing.
    fn insert(&mut self, key: &[u8], range_end: &[u8]) {
        if range_end.is_empty() {
            let mut end = key.to_vec();
            end.push(0);
            self.insert_interval(key.to_vec(), end);
        } else if key < range_end {
            self.insert_interval(key.to_vec(), range_end.to_vec());
        }
    }

    fn insert_interval(&mut self, mut begin: Vec<u8>, mut end: Vec<u8>) {
        while let Some((other, other_end)) = self
            .0
            .range::<Vec<u8>, _>(..=&end)
            .next_back()
            .filter(|(_, other_end)| **other_end >= begin)
            .map(|(other, other_end)| (other.clone(), other_end.clone()))
        {
            self.0.remove(&other);
            begin = begin.min(other);
            end = end.max(other_end);
        }
        self.0.insert(begin, end);
    }

    fn absorb(&mut self, other: Self) {
        for (begin, end) in other.0 {
            self.insert_interval(begin, end);
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.0.range::<[u8], _>(upto).next_back().is_some_and(|(_, end)| key < end.as_slice())
    }
}

#[cfg(test)]
mod tests;
