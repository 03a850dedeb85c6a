//! gRPC connections to a member, with wire's own stubs: the same calls for ours and the real one.

use std::time::Duration;

use anyhow::{Context, Result};
use tonic::transport::{Channel, Endpoint};
use wire::etcdserverpb::{
    HashKvRequest, Member, MemberListRequest, PutRequest, RangeRequest, RangeResponse,
    cluster_client::ClusterClient, kv_client::KvClient, maintenance_client::MaintenanceClient,
};

/// The stubs of one member.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Key-value service.
    pub(crate) kv: KvClient<Channel>,
    /// Membership service.
    pub(crate) cluster: ClusterClient<Channel>,
    /// Maintenance service.
    pub(crate) maintenance: MaintenanceClient<Channel>,
}

impl Api {
    /// Stubs that connect at first use, and again when the connection was lost. Calls end after 10 s.
    ///
    /// # Errors
    /// If the URL is none.
    pub(crate) fn lazy(url: &str) -> Result<Self> {
        Self::with_timeout(url, Duration::from_secs(10))
    }

    /// The same with another limit for each call.
    ///
    /// # Errors
    /// If the URL is none.
    pub(crate) fn with_timeout(url: &str, limit: Duration) -> Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())
            .context("endpoint")?
            .timeout(limit)
            .connect_timeout(Duration::from_secs(1))
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Self {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            cluster: ClusterClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel),
        })
    }

    /// Writes a key.
    ///
    /// # Errors
    /// The member's refusal; then whether it was written is unknown.
    pub(crate) async fn put(&mut self, key: &str, value: &str) -> Result<i64, tonic::Status> {
        let request = PutRequest {
            key: key.as_bytes().to_vec().into(),
            value: value.as_bytes().to_vec().into(),
            ..Default::default()
        };
        let response = self.kv.put(request).await?.into_inner();
        Ok(response.header.map_or(0, |header| header.revision))
    }

    /// Reads a key, linearizably.
    ///
    /// # Errors
    /// The member's refusal.
    pub(crate) async fn get(&mut self, key: &str) -> Result<RangeResponse, tonic::Status> {
        let request = RangeRequest { key: key.as_bytes().to_vec().into(), ..Default::default() };
        Ok(self.kv.range(request).await?.into_inner())
    }

    /// HashKV at a revision (0: now): hash and compaction revision.
    ///
    /// # Errors
    /// The member's refusal.
    pub(crate) async fn hash_kv(&mut self, revision: i64) -> Result<(u32, i64), tonic::Status> {
        let answer = self.maintenance.hash_kv(HashKvRequest { revision }).await?.into_inner();
        Ok((answer.hash, answer.compact_revision))
    }

    /// The members as a quorum knows them, by id.
    ///
    /// # Errors
    /// The member's refusal.
    pub(crate) async fn members(&mut self) -> Result<Vec<Member>, tonic::Status> {
        let request = MemberListRequest { linearizable: true };
        Ok(self.cluster.member_list(request).await?.into_inner().members)
    }
}
