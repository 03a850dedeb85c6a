//! Health as a client sees it: a linearizable read with a deadline, which a quorum must answer.

use tonic::Code;
use wire::etcdserverpb::RangeRequest;

use crate::{connection::Client, error::ClientError};

/// The key that is read, as `etcdctl endpoint health` does. It need not exist.
pub const HEALTH_KEY: &str = "health";

/// A member that answered a linearizable read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Which member answered.
    pub member: base::MemberId,
    /// Of which cluster.
    pub cluster: base::ClusterId,
    /// Its key-space revision.
    pub revision: base::Revision,
}

impl Client {
    /// Reads one key linearizably: success means that this member has a leader and a quorum.
    /// "Permission denied" is an answer too, given after the quorum was asked.
    ///
    /// # Errors
    /// Any; then the member is not healthy.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let request = RangeRequest {
            key: HEALTH_KEY.as_bytes().into(),
            limit: 1,
            keys_only: true,
            ..Default::default()
        };
        let answer = self.call("health", |to| {
            let request = request.clone();
            async move { to.keys().range(request).await }
        });
        let header = match answer.await {
            Ok((answer, _)) => answer.header.unwrap_or_default(),
            Err(ClientError::Refused { code: Code::PermissionDenied, .. }) => Default::default(),
            Err(error) => return Err(error),
        };
        Ok(Health {
            member: header.member_id.into(),
            cluster: header.cluster_id.into(),
            revision: header.revision.into(),
        })
    }
}
