//! What all transactions share: the path through their branches, the checks before anything is
//! done, and the evaluation of those that only read. Facts: surface A.3.

use wire::etcdserverpb::{
    RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, request_op::Request,
    response_op::Response,
};

use super::{ReadError, View};
use crate::{error::ApiError, lease::Lessor};

/// Which branch each transaction takes, outermost first, then nested ones in the order they stand
/// on the path. Decided before anything is written.
#[derive(Debug)]
pub(crate) struct Path(Vec<bool>);

/// Reads a [`Path`] along the way.
#[derive(Debug)]
pub(crate) struct Steps<'p>(std::slice::Iter<'p, bool>);

impl Path {
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps(self.0.iter())
    }
}

impl Steps<'_> {
    /// The branch of the next transaction met, and its operations.
    pub(crate) fn enter<'r>(&mut self, request: &'r TxnRequest) -> (bool, &'r [RequestOp]) {
        let succeeded = *self.0.next().expect("the path was made from the same request");
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }
}

impl View<'_> {
    /// Decides all compares against the state as it is.
    pub(crate) fn path(&self, request: &TxnRequest) -> Result<Path, ReadError> {
        let mut path = Vec::with_capacity(1);
        self.path_into(request, &mut path)?;
        Ok(Path(path))
    }

    fn path_into(&self, request: &TxnRequest, path: &mut Vec<bool>) -> Result<(), ReadError> {
        let succeeded = self.holds(&request.compare)?;
        path.push(succeeded);
        let ops = if succeeded { &request.success } else { &request.failure };
        for op in ops {
            if let Some(Request::RequestTxn(nested)) = &op.request {
                self.path_into(nested, path)?;
            }
        }
        Ok(())
    }

    /// Everything that could fail is found here, before the first write: all puts on the path
    /// first, then all ranges, as etcd orders them.
    pub(crate) fn check(
        &self,
        request: &TxnRequest,
        path: &Path,
        lessor: &Lessor,
    ) -> Result<(), ApiError> {
        each(request, &mut path.steps(), &mut |op| self.check_put(op, lessor))?;
        self.check_ranges(request, path)
    }

    fn check_ranges(&self, request: &TxnRequest, path: &Path) -> Result<(), ApiError> {
        each(request, &mut path.steps(), &mut |op| self.check_range(op))
    }

    fn check_put(&self, op: &RequestOp, lessor: &Lessor) -> Result<(), ApiError> {
        let Some(Request::RequestPut(put)) = &op.request else { return Ok(()) };
        if (put.ignore_value || put.ignore_lease) && self.find(&put.key).is_none() {
            return Err(ApiError::KeyNotFound);
        }
        if put.lease != 0 && lessor.lookup(put.lease).is_none() {
            return Err(ApiError::LeaseNotFound);
        }
        Ok(())
    }

    /// Unlike in a plain range, a negative revision is a past one here.
    fn check_range(&self, op: &RequestOp) -> Result<(), ApiError> {
        let Some(Request::RequestRange(range)) = &op.request else { return Ok(()) };
        match range.revision {
            0 => Ok(()),
            revision if revision > self.revision => Err(ApiError::FutureRevision),
            revision if revision < self.compacted => Err(ApiError::Compacted),
            _ => Ok(()),
        }
    }

    /// Evaluates a transaction that only reads.
    pub(crate) fn txn(&self, request: &TxnRequest) -> Result<TxnResponse, ReadError> {
        let path = self.path(request)?;
        self.check_ranges(request, &path)?;
        let (succeeded, ops) = path.steps().enter(request);
        let mut responses = Vec::with_capacity(ops.len());
        for op in ops {
            let Some(Request::RequestRange(range)) = &op.request else {
                return Err(ApiError::Other("a write in a read-only transaction".to_owned()).into());
            };
            let response = Some(Response::ResponseRange(self.range(range)?));
            responses.push(ResponseOp { response });
        }
        let header = ResponseHeader { revision: self.revision, ..Default::default() };
        Ok(TxnResponse { header: Some(header), succeeded, responses })
    }
}

/// Calls `check` with every operation on the path that is not itself a transaction.
fn each(
    request: &TxnRequest,
    steps: &mut Steps<'_>,
    check: &mut dyn FnMut(&RequestOp) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let (_, ops) = steps.enter(request);
    for op in ops {
        if let Some(Request::RequestTxn(nested)) = &op.request {
            each(nested, steps, check)?;
        } else {
            check(op)?;
        }
    }
    Ok(())
}
