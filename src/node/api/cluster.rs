//! The Cluster service: who the members are, and changes of them.

use std::sync::Arc;

use base::MemberId;
use state::{ApiError, membership};
use tonic::{Request, Response, Status};
use wire::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, ResponseHeader, cluster_server::Cluster,
};

use super::{
    guard::{OnLearner, admit},
    status::refuse,
};
use crate::server::{Server, Standing, parse_peer_urls};

/// Serves the membership.
#[derive(Debug)]
pub(super) struct ClusterService {
    server: Arc<Server>,
}

impl ClusterService {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// Upstream leaves the revision of this service's headers at zero.
    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: 0, ..self.server.header() })
    }
}

fn shown(member: membership::Member) -> Member {
    Member {
        id: member.id.get(),
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.is_learner,
    }
}

fn all_shown(members: Vec<membership::Member>) -> Vec<Member> {
    members.into_iter().map(shown).collect()
}

fn checked_urls(urls: &[String]) -> Result<Vec<String>, Status> {
    parse_peer_urls(urls).map_err(|_reason| refuse(&ApiError::MemberBadUrls))
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
        let members = all_shown(self.server.membership().members());
        Ok(Response::new(MemberListResponse { header: self.header(), members }))
    }

    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        let urls = checked_urls(&peer_ur_ls)?;
        let standing = if is_learner { Standing::Learner } else { Standing::Voter };
        let added = self.server.add_member(&urls, standing).await;
        let (member, members) = added.map_err(|error| refuse(&error))?;
        Ok(Response::new(MemberAddResponse {
            header: self.header(),
            member: Some(shown(member)),
            members: all_shown(members),
        }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let id = MemberId::new(request.get_ref().id);
        let left = self.server.remove_member(id).await.map_err(|error| refuse(&error))?;
        let members = all_shown(left);
        Ok(Response::new(MemberRemoveResponse { header: self.header(), members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        checked_urls(&peer_ur_ls)?;
        // Their order stays the client's, as in etcd.
        let urls = peer_ur_ls.iter().map(|url| url.trim().to_owned()).collect();
        let updated = self.server.update_member(MemberId::new(id), urls).await;
        let members = all_shown(updated.map_err(|error| refuse(&error))?);
        Ok(Response::new(MemberUpdateResponse { header: self.header(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        admit(&self.server, &request, OnLearner::Refuses)?;
        let id = MemberId::new(request.get_ref().id);
        let promoted = self.server.promote_member(id).await;
        let members = all_shown(promoted.map_err(|error| refuse(&error))?);
        Ok(Response::new(MemberPromoteResponse { header: self.header(), members }))
    }
}
