//! The Maintenance service, as far as this build serves it: status, alarms, hashes, moving the leader.

use std::{pin::Pin, sync::Arc};

use base::MemberId;
use futures::Stream;
use state::{ApiError, Response as Applied};
use tonic::{Request, Response, Status};
use wire::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse,
    InternalRaftRequest, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse,
    StatusRequest, StatusResponse, maintenance_server::Maintenance,
};

use super::{
    guard::{OnLearner, admit},
    status::refuse,
};
use crate::server::Server;

/// Serves maintenance calls.
#[derive(Debug)]
pub(super) struct MaintenanceService {
    server: Arc<Server>,
}

impl MaintenanceService {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// Go's text of an alarm, trailing space included.
    fn alarm_text(alarm: &AlarmMember) -> String {
        let kind = AlarmType::try_from(alarm.alarm).unwrap_or_default();
        let member = if alarm.member_id == 0 {
            String::new()
        } else {
            format!("memberID:{} ", alarm.member_id)
        };
        let kind = match kind {
            AlarmType::None => String::new(),
            kind => format!("alarm:{} ", kind.as_str_name()),
        };
        member + &kind
    }

    fn status_now(&self) -> StatusResponse {
        let raft = self.server.raft_status();
        let sizes = self.server.backend().sizes();
        let mut errors = Vec::new();
        if raft.leader.is_none() {
            errors.push(ApiError::NoLeader.to_string());
        }
        errors.extend(self.server.alarms().list().iter().map(Self::alarm_text));
        StatusResponse {
            header: Some(self.server.header()),
            version: crate::VERSION.to_owned(),
            db_size: i64::try_from(sizes.total_bytes).unwrap_or(i64::MAX),
            leader: raft.leader.map_or(0, MemberId::get),
            raft_index: self.server.commit().get(),
            raft_term: raft.term.get(),
            raft_applied_index: self.server.applied().get(),
            errors,
            db_size_in_use: i64::try_from(sizes.in_use_bytes).unwrap_or(i64::MAX),
            is_learner: self.server.membership().is_learner(self.server.member_id()),
        }
    }
}

/// What this build does not do yet, said plainly (docs/compatibility.md lists it).
fn not_served(call: &str) -> Status {
    Status::unimplemented(format!("etcd-node: {call} is not served by this version"))
}

fn off_the_runtime(error: &tokio::task::JoinError) -> Status {
    Status::internal(format!("the hash was not finished: {error}"))
}

type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = SnapshotStream;

    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let request =
            InternalRaftRequest { alarm: Some(request.into_inner()), ..Default::default() };
        let outcome = async { self.server.propose(request).await };
        let applied = outcome.await.map_err(|error| refuse(&error))?;
        let Applied::Alarm(mut response) = applied else {
            return Err(Status::internal("the state machine gave an answer of another kind"));
        };
        self.server.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        admit(&self.server, &request, OnLearner::Answers)?;
        Ok(Response::new(self.status_now()))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let kv = Arc::clone(self.server.kv());
        let hash = tokio::task::spawn_blocking(move || kv.hash_all())
            .await
            .map_err(|error| off_the_runtime(&error))?
            .map_err(|error| refuse(&error))?;
        Ok(Response::new(HashResponse { header: Some(self.server.header()), hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let revision = request.into_inner().revision;
        let kv = Arc::clone(self.server.kv());
        let hash = tokio::task::spawn_blocking(move || kv.hash_kv(revision))
            .await
            .map_err(|error| off_the_runtime(&error))?
            .map_err(|error| refuse(&error))?;
        let mut header = self.server.header();
        header.revision = hash.current.get();
        Ok(Response::new(HashKvResponse {
            header: Some(header),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
        }))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let target = MemberId::new(request.into_inner().target_id);
        self.server.move_leader(target).await.map_err(|error| refuse(&error))?;
        // Upstream sends no header here.
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Err(not_served("Defragment"))
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotStream>, Status> {
        Err(not_served("Snapshot"))
    }

    async fn downgrade(
        &self,
        _: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        Err(not_served("Downgrade"))
    }
}
