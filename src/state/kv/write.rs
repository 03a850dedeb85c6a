//! The single writer of the store. Called by the applier for each entry; [`Writer::publish`] ends a batch.

use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use backend::{Bucket, WriteBatch};
use bytes::Bytes;
use wire::{
    etcdserverpb::{
        DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, request_op::Request,
        response_op::Response,
    },
    mvccpb::KeyValue,
};

use super::{
    ReadError, Store, View,
    index::Span,
    record,
    revision::Rev,
    txn::{Path, Steps},
};
use crate::{
    error::{ApiError, StateError},
    lease::Lessor,
};

/// Meta row: the revision whose compaction was ordered.
pub(crate) const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";

/// The applier's end of the store.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<Store>,
    /// Everything the batch will write; the state machine's other parts add theirs.
    pub(crate) batch: WriteBatch,
    /// The key rows in `batch`, to be read before they are in the backend.
    pending: Vec<(Rev, Bytes)>,
    revision: i64,
    compacted: i64,
}

/// Splits what a write may come to: a refusal is an answer, anything else stops the node.
fn refusal<T>(result: Result<T, ReadError>) -> Result<Result<T, ApiError>, StateError> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(ReadError::Api(error)) => Ok(Err(error)),
        Err(ReadError::State(error)) => Err(error),
        // Compactions are ordered by the applier itself, and rows go only after that.
        Err(ReadError::Overtaken) => {
            Err(StateError::Damaged("a row was compacted under the applier".to_owned()))
        }
    }
}

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..Default::default() })
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let revision = store.published.load(Ordering::Acquire);
        let compacted = store.compacted.load(Ordering::Acquire);
        let (batch, pending) = (WriteBatch::default(), Vec::new());
        Self { store, batch, pending, revision, compacted }
    }

    /// The current revision, writes of this batch included.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// The state as the applier sees it.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            store: &self.store,
            pending: &self.pending,
            revision: self.revision,
            compacted: self.compacted,
        }
    }

    /// Hands the batch to the backend, then lets readers see it.
    pub(crate) fn publish(&mut self) -> Result<(), StateError> {
        self.store.backend.write(std::mem::take(&mut self.batch))?;
        self.pending.clear();
        self.store.published.store(self.revision, Ordering::Release);
        self.store.compacted.store(self.compacted, Ordering::Release);
        Ok(())
    }

    /// Answers a read that came through the log.
    pub(crate) fn range(
        &self,
        request: &RangeRequest,
    ) -> Result<Result<RangeResponse, ApiError>, StateError> {
        refusal(self.view().range(request))
    }

    pub(crate) fn put(
        &mut self,
        request: &PutRequest,
        lessor: &Lessor,
        wanted: bool,
    ) -> Result<Result<PutResponse, ApiError>, StateError> {
        if request.lease != 0 && lessor.lookup(request.lease).is_none() {
            return Ok(Err(ApiError::LeaseNotFound));
        }
        if (request.ignore_value || request.ignore_lease)
            && self.view().find(&request.key).is_none()
        {
            return Ok(Err(ApiError::KeyNotFound));
        }
        let mut transaction = Transaction::begin(self, lessor, wanted);
        let answer = refusal(transaction.put(request));
        transaction.end();
        answer
    }

    pub(crate) fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
        lessor: &Lessor,
        wanted: bool,
    ) -> Result<Result<DeleteRangeResponse, ApiError>, StateError> {
        let mut transaction = Transaction::begin(self, lessor, wanted);
        let answer = refusal(transaction.delete_range(request));
        transaction.end();
        answer
    }

    /// Deletes single keys in one revision, in the given order.
    pub(crate) fn delete_keys(&mut self, keys: &[Bytes], lessor: &Lessor) {
        let mut transaction = Transaction::begin(self, lessor, false);
        for key in keys {
            transaction.delete(key);
        }
        transaction.end();
    }

    pub(crate) fn txn(
        &mut self,
        request: &TxnRequest,
        lessor: &Lessor,
        wanted: bool,
    ) -> Result<Result<TxnResponse, ApiError>, StateError> {
        let path = match refusal(self.view().path(request))? {
            Ok(path) => path,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = self.view().check(request, &path, lessor) {
            return Ok(Err(error));
        }
        let mut transaction = Transaction::begin(self, lessor, wanted);
        let answer = transaction.run_checked(request, &path);
        transaction.end();
        let mut answer = refusal(answer)?;
        if let Ok(response) = &mut answer {
            response.header = header(self.revision);
        }
        Ok(answer)
    }

    /// Orders a compaction. It is noted in meta before any row goes; the rows go later, in steps.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), ApiError> {
        if revision <= self.compacted {
            return Err(ApiError::Compacted);
        }
        if revision > self.revision {
            return Err(ApiError::FutureRevision);
        }
        self.compacted = revision;
        let scheduled = Bytes::copy_from_slice(&Rev::new(revision, 0).encode());
        self.batch.put(Bucket::Meta, Bytes::from_static(SCHEDULED_COMPACTION), scheduled);
        Ok(())
    }
}

/// The changes of one entry: one main revision, a sub revision each.
struct Transaction<'w> {
    writer: &'w mut Writer,
    lessor: &'w Lessor,
    /// Whether somebody waits for the answer: if not, nothing is read just for it.
    wanted: bool,
    /// Revision before the transaction.
    before: i64,
    changes: i64,
}

impl<'w> Transaction<'w> {
    fn begin(writer: &'w mut Writer, lessor: &'w Lessor, wanted: bool) -> Self {
        let before = writer.revision;
        Self { writer, lessor, wanted, before, changes: 0 }
    }

    /// Readers see nothing of it before the batch is published, so there is nothing to undo.
    fn end(self) {
        debug_assert!(self.writer.revision == self.before + i64::from(self.changes > 0));
    }

    /// The revision of the next change. From the first one on, the transaction reads itself.
    fn next_rev(&mut self) -> Rev {
        let rev = Rev::new(self.before + 1, self.changes);
        self.changes += 1;
        self.writer.revision = rev.main;
        rev
    }

    fn run_checked(&mut self, request: &TxnRequest, path: &Path) -> Result<TxnResponse, ReadError> {
        self.run(request, &mut path.steps())
    }

    fn run(
        &mut self,
        request: &TxnRequest,
        steps: &mut Steps<'_>,
    ) -> Result<TxnResponse, ReadError> {
        let (succeeded, ops) = steps.enter(request);
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            let response = match &op.request {
                Some(Request::RequestRange(_)) if !self.wanted => None,
                Some(Request::RequestRange(range)) => {
                    Some(Response::ResponseRange(self.writer.view().range(range)?))
                }
                Some(Request::RequestPut(put)) => Some(Response::ResponsePut(self.put(put)?)),
                Some(Request::RequestDeleteRange(delete)) => {
                    Some(Response::ResponseDeleteRange(self.delete_range(delete)?))
                }
                Some(Request::RequestTxn(nested)) => {
                    Some(Response::ResponseTxn(self.run(nested, steps)?))
                }
                None => None,
            };
            responses.push(ResponseOp { response });
        }
        // Nested responses have an empty header; the outermost gets its revision from the caller.
        Ok(TxnResponse { header: Some(ResponseHeader::default()), succeeded, responses })
    }

    fn put(&mut self, request: &PutRequest) -> Result<PutResponse, ReadError> {
        let (mut value, mut lease) = (request.value.clone(), request.lease);
        let mut prev_kv = None;
        let prev_wanted = request.prev_kv && self.wanted;
        if prev_wanted || request.ignore_value || request.ignore_lease {
            let current = self.writer.view().current(&request.key)?;
            // The key was there when the transaction was checked. If the transaction itself deleted
            // it since (Go members panic then), what is to be kept is nothing.
            if request.ignore_value {
                value = current.as_ref().map(|kv| kv.value.clone()).unwrap_or_default();
            }
            if request.ignore_lease {
                lease = current.as_ref().map_or(0, |kv| kv.lease);
            }
            if prev_wanted {
                prev_kv = current;
            }
        }
        let rev = self.next_rev();
        let found = self.writer.store.index.write().put(&request.key, rev);
        let row = record::encode(&KeyValue {
            key: request.key.clone(),
            create_revision: found.created,
            mod_revision: rev.main,
            version: found.version,
            value,
            lease,
        });
        self.push_row(rev, Bytes::copy_from_slice(&rev.encode()), row);
        self.lessor.bind(&request.key, lease);
        Ok(PutResponse { header: header(rev.main), prev_kv })
    }

    fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, ReadError> {
        let view = self.writer.view();
        let span = Span::new(&request.key, &request.range_end);
        let (mut keys, mut found) = (Vec::new(), Vec::new());
        let deleted = view.walk(span, view.revision, &mut |key, at| {
            keys.push(Bytes::copy_from_slice(key));
            found.push(at);
            ControlFlow::Continue(())
        })?;
        let mut prev_kvs = Vec::new();
        if request.prev_kv && self.wanted {
            for found in &found {
                prev_kvs.push(view.record(found, view.revision)?);
            }
        }
        for key in &keys {
            self.delete(key);
        }
        let header = header(self.writer.revision);
        Ok(DeleteRangeResponse { header, deleted, prev_kvs })
    }

    /// Deletes one key, if it exists.
    fn delete(&mut self, key: &Bytes) {
        let rev = Rev::new(self.before + 1, self.changes);
        if !self.writer.store.index.write().tombstone(key, rev) {
            return;
        }
        let rev = self.next_rev();
        let row = record::encode(&KeyValue { key: key.clone(), ..Default::default() });
        self.push_row(rev, Bytes::copy_from_slice(&rev.encode_tombstone()), row);
        self.lessor.bind(key, 0);
    }

    fn push_row(&mut self, rev: Rev, key: Bytes, row: Bytes) {
        self.writer.pending.push((rev, row.clone()));
        self.writer.batch.put(Bucket::Key, key, row);
    }
}
