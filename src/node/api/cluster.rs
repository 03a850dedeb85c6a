//! The Cluster service, as far as this build serves it: who the members are.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wire::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, cluster_server::Cluster,
};

use super::{
    guard::{OnLearner, admit},
    status::refuse,
};
use crate::server::Server;

/// Serves the member list.
#[derive(Debug)]
pub(super) struct ClusterService {
    server: Arc<Server>,
}

impl ClusterService {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }
}

/// What this build does not do yet, said plainly (docs/compatibility.md lists it).
fn not_served(call: &str) -> Status {
    Status::unimplemented(format!("etcd-node: {call} is not served by this version"))
}

/// The members, by id, as the API shows them.
pub(super) fn members(server: &Server) -> Vec<Member> {
    let member = |member: state::membership::Member| Member {
        id: member.id.get(),
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.is_learner,
    };
    server.membership().members().into_iter().map(member).collect()
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        if request.get_ref().linearizable {
            self.server.linearizable_read().await.map_err(|error| refuse(&error))?;
        }
        // Upstream leaves the revision of this service's headers at zero.
        let mut header = self.server.header();
        header.revision = 0;
        let members = members(&self.server);
        Ok(Response::new(MemberListResponse { header: Some(header), members }))
    }

    async fn member_add(
        &self,
        _: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        Err(not_served("MemberAdd"))
    }

    async fn member_remove(
        &self,
        _: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        Err(not_served("MemberRemove"))
    }

    async fn member_update(
        &self,
        _: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        Err(not_served("MemberUpdate"))
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        Err(not_served("MemberPromote"))
    }
}
