//! Tests of the request checks, the quirks marked [V] in surface A.3 among them.

use wire::etcdserverpb::Compare;

use super::*;

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put_op(key: &'static str) -> RequestOp {
    op(Request::RequestPut(PutRequest { key: key.into(), ..Default::default() }))
}

fn delete_op(key: &'static str, range_end: &'static str) -> RequestOp {
    op(Request::RequestDeleteRange(DeleteRangeRequest {
        key: key.into(),
        range_end: range_end.into(),
        ..Default::default()
    }))
}

fn range_op(key: &'static str, serializable: bool) -> RequestOp {
    op(Request::RequestRange(RangeRequest { key: key.into(), serializable, ..Default::default() }))
}

fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest { success, failure, ..Default::default() }))
}

fn check(success: Vec<RequestOp>) -> Result<(), ApiError> {
    txn(&TxnRequest { success, ..Default::default() }, &Limits::default())
}

#[test]
fn empty_keys_are_refused_everywhere() {
    assert_eq!(range(&RangeRequest::default()), Err(ApiError::EmptyKey));
    assert_eq!(put(&PutRequest::default()), Err(ApiError::EmptyKey));
    assert_eq!(delete_range(&DeleteRangeRequest::default()), Err(ApiError::EmptyKey));
    assert_eq!(check(vec![put_op("")]), Err(ApiError::EmptyKey));
    let compare = TxnRequest { compare: vec![Compare::default()], ..Default::default() };
    assert_eq!(txn(&compare, &Limits::default()), Err(ApiError::EmptyKey));
}

#[test]
fn ignore_flags_exclude_what_they_ignore() {
    let request = PutRequest { key: "k".into(), ignore_value: true, ..Default::default() };
    assert_eq!(put(&request), Ok(()));
    assert_eq!(
        put(&PutRequest { value: "v".into(), ..request.clone() }),
        Err(ApiError::ValueProvided)
    );
    assert_eq!(
        put(&PutRequest { ignore_lease: true, lease: 1, ..request }),
        Err(ApiError::LeaseProvided)
    );
}

#[test]
fn an_operation_without_content_is_key_not_found() {
    assert_eq!(check(vec![RequestOp::default()]), Err(ApiError::KeyNotFound));
}

#[test]
fn the_budget_of_operations_is_shared_with_nested_transactions() {
    let limits = Limits { max_txn_ops: 3 };
    let outer = |nested: usize| TxnRequest {
        success: vec![txn_op(vec![range_op("k", false); nested], vec![]), range_op("k", false)],
        ..Default::default()
    };
    assert_eq!(txn(&outer(1), &limits), Ok(()));
    assert_eq!(txn(&outer(2), &limits), Err(ApiError::TooManyOps));
    let wide = TxnRequest { failure: vec![range_op("k", false); 4], ..Default::default() };
    assert_eq!(txn(&wide, &limits), Err(ApiError::TooManyOps));
}

#[test]
fn a_key_changed_twice_is_a_duplicate() {
    assert_eq!(check(vec![put_op("a"), put_op("b")]), Ok(()));
    assert_eq!(check(vec![put_op("a"), put_op("a")]), Err(ApiError::DuplicateKey));
    assert_eq!(check(vec![put_op("a"), delete_op("a", "")]), Err(ApiError::DuplicateKey));
    assert_eq!(check(vec![put_op("b"), delete_op("a", "c")]), Err(ApiError::DuplicateKey));
    assert_eq!(check(vec![put_op("c"), delete_op("a", "c")]), Ok(()));
    assert_eq!(check(vec![delete_op("a", "c"), delete_op("b", "d"), delete_op("b", "")]), Ok(()));
    assert_eq!(
        check(vec![delete_op("x", "z"), delete_op("a", "c"), delete_op("b", "d"), put_op("c")]),
        Err(ApiError::DuplicateKey)
    );
}

#[test]
fn branches_of_one_level_are_checked_separately() {
    let request =
        TxnRequest { success: vec![put_op("a")], failure: vec![put_op("a")], ..Default::default() };
    assert_eq!(txn(&request, &Limits::default()), Ok(()));
}

#[test]
fn only_the_two_branches_of_a_nested_transaction_may_coincide() {
    let nested = || txn_op(vec![put_op("a")], vec![put_op("a")]);
    assert_eq!(check(vec![nested()]), Ok(()));
    assert_eq!(check(vec![nested(), put_op("a")]), Err(ApiError::DuplicateKey));
    assert_eq!(check(vec![nested(), nested()]), Err(ApiError::DuplicateKey));
    assert_eq!(check(vec![nested(), delete_op("a", "")]), Err(ApiError::DuplicateKey));
    assert_eq!(
        check(vec![txn_op(vec![delete_op("a", "c")], vec![]), put_op("b")]),
        Err(ApiError::DuplicateKey)
    );
}

#[test]
fn delete_everything_is_not_seen_by_the_duplicate_check() {
    assert_eq!(check(vec![put_op("b"), delete_op("a", "\0")]), Ok(()));
    assert_eq!(check(vec![put_op("b"), delete_op("\0", "\0")]), Ok(()));
}

#[test]
fn a_transaction_of_ranges_is_read_only_and_a_nested_one_is_a_write() {
    let of = |success| TxnRequest { success, ..Default::default() };
    assert!(txn_is_read_only(&of(vec![])) && txn_is_serializable(&of(vec![])));
    let mixed = of(vec![range_op("a", true), range_op("b", false)]);
    assert!(txn_is_read_only(&mixed) && !txn_is_serializable(&mixed));
    assert!(txn_is_serializable(&of(vec![range_op("a", true)])));
    assert!(!txn_is_read_only(&of(vec![txn_op(vec![range_op("a", true)], vec![])])));
    assert!(!txn_is_read_only(&of(vec![put_op("a")])));
}
