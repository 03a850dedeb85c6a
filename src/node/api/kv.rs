//! The KV service: reads after a read-index barrier, writes through the log.

use std::sync::Arc;

use state::{ApiError, Response as Applied, quota, validate};
use tonic::{Request, Response, Status};
use wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse,
    InternalRaftRequest, PutRequest, PutResponse, RangeRequest, RangeResponse, TxnRequest,
    TxnResponse, kv_server::Kv,
};

use super::{
    guard::{OnLearner, admit},
    status::refuse,
};
use crate::server::Server;

/// Serves KV from the member's state.
#[derive(Debug)]
pub(super) struct KvService {
    server: Arc<Server>,
}

impl KvService {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// Proposes a write, after the space check of its cost.
    async fn write(&self, request: InternalRaftRequest) -> Result<Applied, Status> {
        let outcome = async {
            self.server.admit_cost(quota::cost(&request)).await?;
            self.server.propose(request).await
        };
        outcome.await.map_err(|error| refuse(&error))
    }

    fn limits(&self) -> validate::Limits {
        validate::Limits { max_txn_ops: self.server.config().max_txn_ops }
    }

    async fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, ApiError> {
        if !validate::txn_is_serializable(request) {
            self.server.linearizable_read().await?;
        }
        self.server.kv().txn_read_only(request)
    }
}

/// An answer of another kind than the request's: a bug, told as such.
fn mismatch() -> Status {
    Status::internal("the state machine gave an answer of another kind")
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let on_learner =
            if request.get_ref().serializable { OnLearner::Answers } else { OnLearner::Refuses };
        admit(&self.server, &request, on_learner)?;
        let range = request.into_inner();
        validate::range(&range).map_err(|error| refuse(&error))?;
        let outcome = async {
            if !range.serializable {
                self.server.linearizable_read().await?;
            }
            let mut response = self.server.kv().range(&range)?;
            self.server.fill(&mut response.header);
            Ok(response)
        };
        outcome.await.map(Response::new).map_err(|error: ApiError| refuse(&error))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let put = request.into_inner();
        validate::put(&put).map_err(|error| refuse(&error))?;
        let request = InternalRaftRequest { put: Some(put), ..Default::default() };
        let Applied::Put(mut response) = self.write(request).await? else { return Err(mismatch()) };
        self.server.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let delete = request.into_inner();
        validate::delete_range(&delete).map_err(|error| refuse(&error))?;
        let request = InternalRaftRequest { delete_range: Some(delete), ..Default::default() };
        let Applied::DeleteRange(mut response) = self.write(request).await? else {
            return Err(mismatch());
        };
        self.server.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let txn = request.into_inner();
        validate::txn(&txn, &self.limits()).map_err(|error| refuse(&error))?;
        let mut response = if validate::txn_is_read_only(&txn) {
            self.read_txn(&txn).await.map_err(|error| refuse(&error))?
        } else {
            let request = InternalRaftRequest { txn: Some(txn), ..Default::default() };
            let Applied::Txn(response) = self.write(request).await? else {
                return Err(mismatch());
            };
            response
        };
        self.server.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let compaction = request.into_inner();
        let request = InternalRaftRequest { compaction: Some(compaction), ..Default::default() };
        let Applied::Compaction(mut response) = self.write(request).await? else {
            return Err(mismatch());
        };
        if compaction.physical {
            self.server
                .compaction_finished(compaction.revision)
                .await
                .map_err(|error| refuse(&error))?;
        }
        self.server.fill(&mut response.header);
        Ok(Response::new(response))
    }
}
