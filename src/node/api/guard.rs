//! What every call passes first: the leader demanded by its metadata, and what a learner may answer.

use state::ApiError;
use tonic::{Request, Status};

use super::status::refuse;
use crate::server::Server;

/// Which calls a learner answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLearner {
    /// Serializable reads and Status.
    Answers,
    /// All else.
    Refuses,
}

/// Lets a call in, or says why not.
///
/// # Errors
/// `no leader` where the metadata says `hasleader: true` and none is known;
/// `rpc not supported for learner` on a learner.
pub(super) fn admit<T>(
    server: &Server,
    request: &Request<T>,
    on_learner: OnLearner,
) -> Result<(), Status> {
    if on_learner == OnLearner::Refuses && server.membership().is_learner(server.member_id()) {
        return Err(refuse(&ApiError::NotSupportedForLearner));
    }
    let wants_leader = request.metadata().get("hasleader").is_some_and(|value| value == "true");
    if wants_leader && server.raft_status().leader.is_none() {
        return Err(refuse(&ApiError::NoLeader));
    }
    Ok(())
}
