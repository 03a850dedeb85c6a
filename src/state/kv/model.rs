//! A second, dumb implementation of the key space's semantics: a list of all changes ever made,
//! replayed for every question. The real one must answer the same.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use wire::{
    etcdserverpb::{
        Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
        compare::TargetUnion, request_op::Request, response_op::Response,
    },
    mvccpb::KeyValue,
};

use crate::error::ApiError;

/// One change; `after` is none for a deletion.
#[derive(Debug, Clone)]
struct Change {
    main: i64,
    sub: i64,
    key: Bytes,
    after: Option<KeyValue>,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    changes: Vec<Change>,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    leases: BTreeSet<i64>,
}

type State = BTreeMap<Bytes, KeyValue>;

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..Default::default() })
}

fn length(list: &[KeyValue]) -> i64 {
    i64::try_from(list.len()).unwrap()
}

impl Model {
    pub(crate) fn new(leases: &[i64]) -> Self {
        let leases = leases.iter().copied().collect();
        Self { changes: Vec::new(), revision: 1, compacted: -1, leases }
    }

    fn state(&self, at: i64) -> State {
        let mut state = State::new();
        for change in self.changes.iter().filter(|change| change.main <= at) {
            match &change.after {
                Some(kv) => drop(state.insert(change.key.clone(), kv.clone())),
                None => drop(state.remove(&change.key)),
            }
        }
        state
    }

    fn select(state: &State, key: &Bytes, end: &Bytes) -> Vec<KeyValue> {
        let inside = |candidate: &Bytes| match end.as_ref() {
            b"" => candidate == key,
            b"\0" => candidate >= key,
            _ => candidate >= key && candidate < end,
        };
        state.iter().filter(|(name, _)| inside(name)).map(|(_, kv)| kv.clone()).collect()
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ApiError> {
        if request.revision > self.revision {
            return Err(ApiError::FutureRevision);
        }
        let at = if request.revision <= 0 { self.revision } else { request.revision };
        if at < self.compacted {
            return Err(ApiError::Compacted);
        }
        let mut kvs = Self::select(&self.state(at), &request.key, &request.range_end);
        let count = length(&kvs);
        if request.count_only {
            kvs.clear();
            return Ok(RangeResponse { header: header(self.revision), kvs, more: false, count });
        }
        let r = request;
        let filters =
            [r.min_mod_revision, r.max_mod_revision, r.min_create_revision, r.max_create_revision];
        let mut cut = false;
        if let Ok(limit) = usize::try_from(r.limit)
            && limit > 0
            && r.sort_order == 0
            && filters == [0; 4]
        {
            // No more than this is fetched, whatever it is sorted by.
            cut = kvs.len() > limit + 1;
            kvs.truncate(limit + 1);
        }
        kvs.retain(|kv| r.max_mod_revision == 0 || kv.mod_revision <= r.max_mod_revision);
        kvs.retain(|kv| r.min_mod_revision == 0 || kv.mod_revision >= r.min_mod_revision);
        kvs.retain(|kv| r.max_create_revision == 0 || kv.create_revision <= r.max_create_revision);
        kvs.retain(|kv| r.min_create_revision == 0 || kv.create_revision >= r.min_create_revision);
        let order = |a: &KeyValue, b: &KeyValue| match r.sort_target {
            0 => a.key.cmp(&b.key),
            1 => a.version.cmp(&b.version),
            2 => a.create_revision.cmp(&b.create_revision),
            3 => a.mod_revision.cmp(&b.mod_revision),
            _ => a.value.cmp(&b.value),
        };
        match r.sort_order {
            2 => kvs.sort_by(|a, b| order(b, a)),
            _ => kvs.sort_by(order),
        }
        let limit = usize::try_from(r.limit).unwrap_or(0);
        let more = cut || limit > 0 && kvs.len() > limit;
        if more {
            kvs.truncate(limit);
        }
        if r.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        Ok(RangeResponse { header: header(self.revision), kvs, more, count })
    }

    pub(crate) fn put(&mut self, request: &PutRequest) -> Result<PutResponse, ApiError> {
        if request.lease != 0 && !self.leases.contains(&request.lease) {
            return Err(ApiError::LeaseNotFound);
        }
        if (request.ignore_value || request.ignore_lease) && !self.exists(&request.key) {
            return Err(ApiError::KeyNotFound);
        }
        let (before, mut sub) = (self.revision, 0);
        Ok(self.put_in(request, before, &mut sub))
    }

    fn exists(&self, key: &Bytes) -> bool {
        self.state(self.revision).contains_key(key)
    }

    fn put_in(&mut self, request: &PutRequest, before: i64, sub: &mut i64) -> PutResponse {
        let previous = self.state(self.revision).remove(&request.key);
        let old = previous.clone().unwrap_or_default();
        let main = before + 1;
        let kv = KeyValue {
            key: request.key.clone(),
            create_revision: if previous.is_some() { old.create_revision } else { main },
            mod_revision: main,
            version: old.version + 1,
            value: if request.ignore_value { old.value } else { request.value.clone() },
            lease: if request.ignore_lease { old.lease } else { request.lease },
        };
        self.push(main, sub, request.key.clone(), Some(kv));
        let prev_kv = previous.filter(|_| request.prev_kv);
        PutResponse { header: header(main), prev_kv }
    }

    fn push(&mut self, main: i64, sub: &mut i64, key: Bytes, after: Option<KeyValue>) {
        self.changes.push(Change { main, sub: *sub, key, after });
        *sub += 1;
        self.revision = main;
    }

    pub(crate) fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let (before, mut sub) = (self.revision, 0);
        self.delete_in(request, before, &mut sub)
    }

    fn delete_in(
        &mut self,
        request: &DeleteRangeRequest,
        before: i64,
        sub: &mut i64,
    ) -> DeleteRangeResponse {
        let kvs = Self::select(&self.state(self.revision), &request.key, &request.range_end);
        for kv in &kvs {
            self.push(before + 1, sub, kv.key.clone(), None);
        }
        let deleted = length(&kvs);
        let prev_kvs = if request.prev_kv { kvs } else { Vec::new() };
        DeleteRangeResponse { header: header(self.revision), deleted, prev_kvs }
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, ApiError> {
        let before = self.clone();
        let ops = before.flatten(request);
        for op in &ops {
            let Some(Request::RequestPut(put)) = &op.request else { continue };
            if (put.ignore_value || put.ignore_lease) && !self.exists(&put.key) {
                return Err(ApiError::KeyNotFound);
            }
            if put.lease != 0 && !self.leases.contains(&put.lease) {
                return Err(ApiError::LeaseNotFound);
            }
        }
        for op in &ops {
            let Some(Request::RequestRange(range)) = &op.request else { continue };
            if range.revision != 0 && range.revision > self.revision {
                return Err(ApiError::FutureRevision);
            }
            if range.revision != 0 && range.revision < self.compacted {
                return Err(ApiError::Compacted);
            }
        }
        let mut sub = 0;
        let mut response = self.run(request, &before, &mut sub);
        response.header = header(self.revision);
        Ok(response)
    }

    /// The operations on the path that `self` decides.
    fn flatten(&self, request: &TxnRequest) -> Vec<RequestOp> {
        let mut ops = Vec::new();
        for op in self.branch(request) {
            match &op.request {
                Some(Request::RequestTxn(nested)) => ops.extend(self.flatten(nested)),
                _ => ops.push(op.clone()),
            }
        }
        ops
    }

    fn branch<'r>(&self, request: &'r TxnRequest) -> &'r [RequestOp] {
        let holds = request.compare.iter().all(|compare| self.holds(compare));
        if holds { &request.success } else { &request.failure }
    }

    fn run(&mut self, request: &TxnRequest, before: &Self, sub: &mut i64) -> TxnResponse {
        let succeeded = request.compare.iter().all(|compare| before.holds(compare));
        let mut responses = Vec::new();
        for op in before.branch(request) {
            let response = match op.request.as_ref().unwrap() {
                Request::RequestRange(r) => Response::ResponseRange(self.range(r).unwrap()),
                Request::RequestPut(p) => {
                    Response::ResponsePut(self.put_in(p, before.revision, sub))
                }
                Request::RequestDeleteRange(d) => {
                    Response::ResponseDeleteRange(self.delete_in(d, before.revision, sub))
                }
                Request::RequestTxn(t) => Response::ResponseTxn(self.run(t, before, sub)),
            };
            responses.push(ResponseOp { response: Some(response) });
        }
        TxnResponse { header: header(0), succeeded, responses }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let kvs = Self::select(&self.state(self.revision), &compare.key, &compare.range_end);
        if kvs.is_empty() {
            return compare.target != 3 && Self::holds_for(compare, &KeyValue::default());
        }
        kvs.iter().all(|kv| Self::holds_for(compare, kv))
    }

    fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
        let union = compare.target_union.clone();
        let ordering = match (compare.target, union) {
            (0, Some(TargetUnion::Version(number))) => kv.version.cmp(&number),
            (0, _) => kv.version.cmp(&0),
            (1, Some(TargetUnion::CreateRevision(number))) => kv.create_revision.cmp(&number),
            (1, _) => kv.create_revision.cmp(&0),
            (2, Some(TargetUnion::ModRevision(number))) => kv.mod_revision.cmp(&number),
            (2, _) => kv.mod_revision.cmp(&0),
            (3, Some(TargetUnion::Value(value))) => kv.value.cmp(&value),
            (3, _) => kv.value.cmp(&Bytes::new()),
            (_, Some(TargetUnion::Lease(number))) => kv.lease.cmp(&number),
            (..) => kv.lease.cmp(&0),
        };
        match compare.result {
            0 => ordering.is_eq(),
            1 => ordering.is_gt(),
            2 => ordering.is_lt(),
            _ => ordering.is_ne(),
        }
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), ApiError> {
        if revision <= self.compacted {
            return Err(ApiError::Compacted);
        }
        if revision > self.revision {
            return Err(ApiError::FutureRevision);
        }
        self.compacted = revision;
        Ok(())
    }

    /// The rows that hold the state at `revision`.
    fn live_at(&self, revision: i64) -> BTreeSet<(i64, i64)> {
        let mut newest: BTreeMap<&Bytes, &Change> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.main <= revision) {
            newest.insert(&change.key, change);
        }
        let live = newest.values().filter(|change| change.after.is_some());
        live.map(|change| (change.main, change.sub)).collect()
    }

    /// CRC-32C over the rows up to `revision`, those left out that a compaction may have removed.
    pub(crate) fn hash(&self, revision: i64) -> Result<u32, ApiError> {
        if revision > 0 && revision < self.compacted {
            return Err(ApiError::Compacted);
        }
        if revision > self.revision {
            return Err(ApiError::FutureRevision);
        }
        let revision = if revision <= 0 { self.revision } else { revision };
        let mut keep = self.live_at(revision);
        if keep.is_empty() {
            keep = self.live_at(self.compacted);
        }
        let mut bytes = b"key".to_vec();
        for change in self.changes.iter().filter(|change| change.main <= revision) {
            let kept = keep.contains(&(change.main, change.sub));
            let tombstone = change.after.is_none();
            if change.main <= self.compacted && !kept {
                continue;
            }
            if change.main == self.compacted && tombstone {
                continue;
            }
            bytes.extend(change.main.to_be_bytes());
            bytes.push(b'_');
            bytes.extend(change.sub.to_be_bytes());
            bytes.extend(tombstone.then_some(b't'));
            let bare = KeyValue { key: change.key.clone(), ..Default::default() };
            bytes.extend(change.after.as_ref().unwrap_or(&bare).encode_to_vec());
        }
        Ok(crc32c::crc32c(&bytes))
    }
}
