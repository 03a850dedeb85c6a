//! The space quota: what a request costs, and whether the backend still has room. Facts: surface A.3.

use base::limits::QUOTA_BACKEND_BYTES_DEFAULT;
use wire::etcdserverpb::{InternalRaftRequest, PutRequest, RequestOp, TxnRequest, request_op};

/// What a key costs beside its own bytes.
const KEY_OVERHEAD_BYTES: i64 = 256;
/// What a lease costs.
const LEASE_BYTES: i64 = 64;

/// Upper bound of the backend's size.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    bytes_max: Option<i64>,
}

impl Quota {
    /// From `--quota-backend-bytes`: zero means the default, a negative number switches it off.
    #[must_use]
    pub fn new(bytes: i64) -> Self {
        let bytes_max = match bytes {
            0 => Some(QUOTA_BACKEND_BYTES_DEFAULT),
            1.. => Some(bytes),
            _ => None,
        };
        Self { bytes_max }
    }

    /// Whether a request of this cost still fits a backend of this size.
    #[must_use]
    pub fn allows(&self, size_bytes: u64, cost_bytes: i64) -> bool {
        let Some(max) = self.bytes_max else { return true };
        let size = i64::try_from(size_bytes).unwrap_or(i64::MAX);
        cost_bytes == 0 || size.saturating_add(cost_bytes) < max
    }
}

/// Cost of a logged request in bytes; zero for what frees space or leaves it alone.
#[must_use]
pub fn cost(request: &InternalRaftRequest) -> i64 {
    if let Some(put) = &request.put {
        cost_put(put)
    } else if let Some(txn) = &request.txn {
        cost_txn(txn)
    } else if request.lease_grant.is_some() {
        LEASE_BYTES
    } else {
        0
    }
}

/// Cost of a put in bytes.
#[must_use]
pub fn cost_put(request: &PutRequest) -> i64 {
    KEY_OVERHEAD_BYTES.saturating_add(length(&request.key)).saturating_add(length(&request.value))
}

/// Cost of a transaction in bytes: its dearer branch. Nested transactions are not counted, as in etcd.
#[must_use]
pub fn cost_txn(request: &TxnRequest) -> i64 {
    branch(&request.success).max(branch(&request.failure))
}

fn branch(ops: &[RequestOp]) -> i64 {
    ops.iter()
        .map(|op| match &op.request {
            Some(request_op::Request::RequestPut(put)) => cost_put(put),
            _ => 0,
        })
        .fold(0, i64::saturating_add)
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str, value: &'static str) -> PutRequest {
        PutRequest { key: key.into(), value: value.into(), ..Default::default() }
    }

    fn op(request: request_op::Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    #[test]
    fn zero_is_the_default_and_negative_is_off() {
        assert!(Quota::new(0).allows(2_147_483_000, 257));
        assert!(!Quota::new(0).allows(2_147_483_647, 1));
        assert!(Quota::new(-1).allows(u64::MAX, i64::MAX));
        assert!(!Quota::new(1000).allows(743, 257), "reaching the quota is too much");
        assert!(Quota::new(1000).allows(742, 257));
        assert!(Quota::new(1).allows(5000, 0), "what costs nothing always passes");
    }

    #[test]
    fn a_transaction_costs_its_dearer_branch_without_nested_ones() {
        let nested = TxnRequest {
            success: vec![op(request_op::Request::RequestPut(put("kk", "v")))],
            ..Default::default()
        };
        assert_eq!(cost_txn(&nested), 256 + 3);
        let outer = TxnRequest {
            success: vec![op(request_op::Request::RequestTxn(nested.clone()))],
            failure: vec![],
            ..Default::default()
        };
        assert_eq!(cost_txn(&outer), 0);
        let request = InternalRaftRequest { txn: Some(nested), ..Default::default() };
        assert_eq!(cost(&request), 259);
        assert_eq!(cost(&InternalRaftRequest::default()), 0);
    }
}
