//! Random KV calls, and how their answers are compared.

use bytes::Bytes;
use proptest::{prelude::*, sample::select};
use prost::Message;
use tonic::Status;
use wire::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp,
    ResponseHeader, TxnRequest, TxnResponse, compare::TargetUnion, request_op::Request,
    response_op::Response,
};

use crate::harness::api::Api;

/// One call; revisions in it are relative to the store's revision at that moment.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Range(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    /// Always physical: while a compaction runs, 3.5.1's own HashKV depends on how far it is.
    Compact {
        behind: i64,
    },
}

/// What came back, without what may differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Ok { revision: i64, body: String },
    Refused { code: i32, message: String },
}

/// Six keys: with so few, even Go's unstable sort keeps ties in key order.
fn key() -> impl Strategy<Value = Bytes> {
    select(vec![&b"a"[..], b"ab", b"abc", b"b", b"b\0", b"\xff\xff"]).prop_map(Bytes::from_static)
}

fn maybe_key() -> impl Strategy<Value = Bytes> {
    prop_oneof![30 => key(), 1 => Just(Bytes::new())]
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => Just(Bytes::new()),
        3 => Just(Bytes::from_static(b"\0")),
        3 => key(),
        2 => Just(Bytes::from_static(b"c")),
    ]
}

/// Relative revision: 0 is "now" (sent as 0), else an offset from the current one, resolved in `run`.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0_i64), 4 => 1_i64..12, 1 => Just(-1_i64)]
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let bounds = (0_i64..30, 0_i64..30, 0_i64..30, 0_i64..30, any::<u8>());
    let options = (0_i64..4, revision(), 0_i32..3, 0_i32..5, any::<[bool; 3]>());
    (maybe_key(), range_end(), options, bounds).prop_map(|(key, range_end, options, bounds)| {
        let (limit, revision, sort_order, sort_target, [serializable, keys_only, count_only]) =
            options;
        let (min_mod, max_mod, min_create, max_create, which) = bounds;
        let pick = |bit: u8, bound: i64| if which & bit == bit { bound } else { 0 };
        RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            serializable,
            keys_only,
            count_only: count_only && keys_only,
            min_mod_revision: pick(0b11, min_mod),
            max_mod_revision: pick(0b1100, max_mod),
            min_create_revision: pick(0b11_0000, min_create),
            max_create_revision: pick(0b1100_0000, max_create),
        }
    })
}

fn put() -> impl Strategy<Value = PutRequest> {
    let value = select(vec![&b""[..], b"1", b"2", b"value", b"zz"]).prop_map(Bytes::from_static);
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let lease = prop_oneof![25 => Just(0_i64), 1 => Just(77_i64)];
    (maybe_key(), value, lease, flags).prop_map(|(key, value, lease, flags)| {
        let (prev_kv, ignore_value, ignore_lease) = flags;
        PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
    })
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (maybe_key(), range_end(), any::<bool>())
        .prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest { key, range_end, prev_kv })
}

fn compare() -> impl Strategy<Value = Compare> {
    let union = prop_oneof![
        (0_i64..5).prop_map(TargetUnion::Version),
        (0_i64..40).prop_map(TargetUnion::CreateRevision),
        (0_i64..40).prop_map(TargetUnion::ModRevision),
        select(vec![&b""[..], b"1", b"2"]).prop_map(|v| TargetUnion::Value(Bytes::from_static(v))),
        (0_i64..2).prop_map(TargetUnion::Lease),
    ];
    let end = prop_oneof![5 => Just(Bytes::new()), 1 => range_end()];
    (0_i32..4, 0_i32..5, maybe_key(), prop::option::weighted(0.9, union), end).prop_map(
        |(result, target, key, target_union, range_end)| Compare {
            result,
            target,
            key,
            target_union,
            range_end,
        },
    )
}

fn simple_op() -> impl Strategy<Value = Request> {
    prop_oneof![
        3 => range().prop_map(Request::RequestRange),
        4 => put().prop_map(Request::RequestPut),
        2 => delete().prop_map(Request::RequestDeleteRange),
    ]
}

fn ops(op: impl Strategy<Value = Request>) -> impl Strategy<Value = Vec<RequestOp>> {
    let op = prop::option::weighted(0.98, op).prop_map(|request| RequestOp { request });
    prop::collection::vec(op, 0..4)
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let compares = || prop::collection::vec(compare(), 0..3);
    let flat = (compares(), ops(simple_op()), ops(simple_op()))
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure });
    let nested = prop_oneof![
        4 => simple_op(),
        1 => flat.prop_map(Request::RequestTxn),
    ]
    .boxed();
    (compares(), ops(nested.clone()), ops(nested)).prop_map(|(compare, success, failure)| {
        let mut txn = TxnRequest { compare, success, failure };
        if deletes(&txn) {
            keep_nothing(&mut txn);
        }
        txn
    })
}

fn all_ops(txn: &TxnRequest) -> impl Iterator<Item = &Request> {
    txn.success.iter().chain(&txn.failure).filter_map(|op| op.request.as_ref())
}

fn deletes(txn: &TxnRequest) -> bool {
    all_ops(txn).any(|request| match request {
        Request::RequestDeleteRange(_) => true,
        Request::RequestTxn(inner) => deletes(inner),
        _ => false,
    })
}

/// A put that keeps the value or lease of a key deleted before it in the same transaction ends a real etcd
/// with a panic (docs/compatibility.md): such transactions are not for the oracle.
fn keep_nothing(txn: &mut TxnRequest) {
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut op.request {
            Some(Request::RequestPut(put)) => {
                put.ignore_value = false;
                put.ignore_lease = false;
            }
            Some(Request::RequestTxn(inner)) => keep_nothing(inner),
            _ => {}
        }
    }
}

/// Any call.
pub(super) fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => range().prop_map(Call::Range),
        8 => put().prop_map(Call::Put),
        3 => delete().prop_map(Call::Delete),
        6 => txn().prop_map(Call::Txn),
        1 => (-1_i64..15).prop_map(|behind| Call::Compact { behind }),
    ]
}

/// Turns a relative revision into the one to send.
fn resolve(relative: i64, now: i64) -> i64 {
    if relative == 0 { 0 } else { (now - relative).max(0) }
}

fn resolve_ops(ops: &mut [RequestOp], now: i64) {
    for op in ops {
        match &mut op.request {
            Some(Request::RequestRange(range)) => range.revision = resolve(range.revision, now),
            Some(Request::RequestTxn(txn)) => resolve_txn(txn, now),
            _ => {}
        }
    }
}

fn resolve_txn(txn: &mut TxnRequest, now: i64) {
    resolve_ops(&mut txn.success, now);
    resolve_ops(&mut txn.failure, now);
}

/// Runs one call.
pub(super) async fn run(api: &mut Api, call: &Call, now: i64) -> Answer {
    match call.clone() {
        Call::Range(mut range) => {
            range.revision = resolve(range.revision, now);
            answer(api.kv.range(range).await, |body| &mut body.header)
        }
        Call::Put(put) => answer(api.kv.put(put).await, |body| &mut body.header),
        Call::Delete(delete) => answer(api.kv.delete_range(delete).await, |body| &mut body.header),
        Call::Txn(mut txn) => {
            resolve_txn(&mut txn, now);
            let result = api.kv.txn(txn).await.map(|mut response| {
                strip_nested(response.get_mut());
                response
            });
            answer(result, |body| &mut body.header)
        }
        Call::Compact { behind } => {
            let request = CompactionRequest { revision: now - behind, physical: true };
            answer(api.kv.compact(request).await, |body| &mut body.header)
        }
    }
}

/// HashKV as an answer.
pub(super) async fn hash(api: &mut Api, revision: i64) -> Answer {
    match api.hash_kv(revision).await {
        Ok((hash, compacted)) => Answer::Ok { revision: compacted, body: hash.to_string() },
        Err(status) => refused(&status),
    }
}

fn refused(status: &Status) -> Answer {
    Answer::Refused { code: status.code().into(), message: status.message().to_owned() }
}

fn answer<M: Message + std::fmt::Debug>(
    result: Result<tonic::Response<M>, Status>,
    header: impl Fn(&mut M) -> &mut Option<ResponseHeader>,
) -> Answer {
    match result {
        Err(status) => refused(&status),
        Ok(response) => {
            let mut body = response.into_inner();
            let revision = header(&mut body).as_ref().map_or(-1, |header| header.revision);
            if let Some(header) = header(&mut body) {
                header.cluster_id = u64::from(header.cluster_id != 0);
                header.member_id = u64::from(header.member_id != 0);
                header.raft_term = u64::from(header.raft_term != 0);
            }
            Answer::Ok { revision, body: format!("{body:?}") }
        }
    }
}

/// Headers inside a transaction carry only a revision; whatever else must be zero on both sides.
fn strip_nested(txn: &mut TxnResponse) {
    for op in &mut txn.responses {
        if let Some(Response::ResponseTxn(inner)) = &mut op.response {
            strip_nested(inner);
        }
    }
}
