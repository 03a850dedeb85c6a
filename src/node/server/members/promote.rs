//! Promotion of a learner: only the leader knows how far its log is, so any other member asks the leader.

use std::time::Duration;

use base::{Index, MemberId};
use http::StatusCode;
use state::{ApiError, membership::Member};
use wire::raftpb::ConfChangeType;

use super::rules;
use crate::{
    peer::fetch::{FetchError, FetchedMember},
    server::Server,
};

/// How long the leader may take to apply what is committed before it looks at the learner.
const APPLY_LIMIT: Duration = Duration::from_secs(1);
/// Between two tries to find a leader that answers.
const RETRY: Duration = Duration::from_millis(100);

impl Server {
    /// Gives a learner its vote, wherever the leader is. Returns the members after it.
    ///
    /// # Errors
    /// `MemberNotFound`, `MemberNotLearner`, `LearnerNotReady`, `NotEnoughStarted`; `NoLeader`; as [`Server::propose`].
    pub async fn promote_member(&self, id: MemberId) -> Result<Vec<Member>, ApiError> {
        let result = match self.promote_as_leader(id).await {
            Err(ApiError::NotLeader) => {
                let forwarded = self.promote_by_leader(id);
                match tokio::time::timeout(self.settings.request_timeout(), forwarded).await {
                    Ok(answer) => answer,
                    Err(_) if self.raft_status.borrow().leader.is_none() => Err(ApiError::NoLeader),
                    Err(_) => Err(ApiError::Timeout),
                }
            }
            answer => answer,
        };
        self.metrics.promotions.count(&result);
        result
    }

    /// The same on the leader; what a member that does not lead asks it by `POST /members/promote/ID`.
    ///
    /// # Errors
    /// `NotLeader`; as [`Server::promote_member`].
    pub async fn promote_as_leader(&self, id: MemberId) -> Result<Vec<Member>, ApiError> {
        let judged = self.judge_promotion(id).await;
        judged.inspect_err(|error| {
            if *error != ApiError::NotLeader {
                tracing::warn!(member = %id, %error, "rejecting member promote request");
            }
        })?;
        let context = Some(Member::promote_context(id));
        self.change(ConfChangeType::ConfChangeAddNode, id, context).await
    }

    async fn judge_promotion(&self, id: MemberId) -> Result<(), ApiError> {
        self.wait_until_applied().await?;
        let (learner, leader) = self.positions(id).await?;
        let Some(learner) = learner else {
            // Raft's positions are a tick old: one that was added since has nothing yet.
            let known = self.membership.member(id).is_some();
            return Err(if known { ApiError::LearnerNotReady } else { ApiError::MemberNotFound });
        };
        if !rules::is_in_sync(learner, leader) {
            return Err(ApiError::LearnerNotReady);
        }
        if self.settings.strict_reconfig && !rules::may_promote(&self.membership.voters()) {
            return Err(ApiError::NotEnoughStarted);
        }
        Ok(())
    }

    async fn wait_until_applied(&self) -> Result<(), ApiError> {
        let commit = self.raft.commit().get();
        let mut applied = self.applied.subscribe();
        match tokio::time::timeout(APPLY_LIMIT, applied.wait_for(|index| *index >= commit)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ApiError::Stopped),
            Err(_) => Err(ApiError::TimeoutWaitApplied),
        }
    }

    /// How far the logs of that member and of this leader are, as raft knows it.
    async fn positions(&self, id: MemberId) -> Result<(Option<Index>, Index), ApiError> {
        let mut status = self.raft_status.clone();
        // A leader that has just been elected shows them with its next tick.
        let known = |status: &consensus::Status| {
            status.leader != Some(self.member) || !status.progress.is_empty()
        };
        let found = tokio::time::timeout(APPLY_LIMIT, status.wait_for(known)).await;
        let Ok(Ok(status)) = found else { return Err(ApiError::NotLeader) };
        let of = |wanted: MemberId| {
            let found = status.progress.iter().find(|(member, _)| *member == wanted);
            found.map(|(_, index)| *index)
        };
        match of(self.member) {
            Some(leader) if status.leader == Some(self.member) => Ok((of(id), leader)),
            _ => Err(ApiError::NotLeader),
        }
    }

    /// Asks whoever leads until there is an answer that counts.
    async fn promote_by_leader(&self, id: MemberId) -> Result<Vec<Member>, ApiError> {
        loop {
            let leader = self.raft_status.borrow().leader;
            if leader == Some(self.member) {
                match self.promote_as_leader(id).await {
                    Err(ApiError::NotLeader) => {}
                    answer => return answer,
                }
            } else if let Some(leader) = leader.and_then(|leader| self.membership.member(leader)) {
                for url in &leader.peer_urls {
                    if let Some(answer) = self.ask_to_promote(url, id).await {
                        return answer;
                    }
                }
            }
            if self.stop.borrow().is_some() {
                return Err(ApiError::Stopped);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The leader's answer; nothing if it should be asked again.
    async fn ask_to_promote(
        &self,
        url: &str,
        id: MemberId,
    ) -> Option<Result<Vec<Member>, ApiError>> {
        let limit = self.settings.request_timeout();
        let error = match self.fetcher.promote(url, id, limit).await {
            Ok(members) => return Some(Ok(members.into_iter().map(member).collect())),
            Err(error) => error,
        };
        let refusal = refusal(&error).or_else(|| {
            // A leader says of this check no more than 500.
            let refused =
                matches!(&error, FetchError::Status { status, .. } if status.is_server_error());
            let strict = self.settings.strict_reconfig;
            (refused && strict && !rules::may_promote(&self.membership.voters()))
                .then_some(ApiError::NotEnoughStarted)
        });
        if refusal.is_none() {
            let error = base::ErrorChain(&error);
            tracing::warn!(url, member = %id, %error, "the leader did not promote the member; asking again");
        }
        refusal.map(Err)
    }
}

/// What the leader says of the learner: asking again would not help.
fn refusal(error: &FetchError) -> Option<ApiError> {
    let FetchError::Status { status, text, .. } = error else { return None };
    match *status {
        StatusCode::NOT_FOUND => Some(ApiError::MemberNotFound),
        StatusCode::PRECONDITION_FAILED if text.contains("in sync with leader") => {
            Some(ApiError::LearnerNotReady)
        }
        StatusCode::PRECONDITION_FAILED if text.contains("can only promote a learner member") => {
            Some(ApiError::MemberNotLearner)
        }
        _ => None,
    }
}

fn member(fetched: FetchedMember) -> Member {
    let FetchedMember { id, peer_urls, is_learner, name, client_urls } = fetched;
    Member { id: MemberId::new(id), peer_urls, is_learner, name, client_urls }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaders_refusals_are_told_apart_by_status_and_text() {
        let of = |status: u16, text: &str| {
            refusal(&FetchError::Status {
                url: String::new(),
                status: StatusCode::from_u16(status).unwrap(),
                text: text.to_owned(),
            })
        };
        assert_eq!(of(404, "membership: ID not found"), Some(ApiError::MemberNotFound));
        let text = "etcdserver: can only promote a learner member which is in sync with leader";
        assert_eq!(of(412, text), Some(ApiError::LearnerNotReady));
        let text = "membership: can only promote a learner member";
        assert_eq!(of(412, text), Some(ApiError::MemberNotLearner));
        assert_eq!(of(412, "something else"), None);
        assert_eq!(of(500, "{\"message\":\"Internal Server Error\"}"), None);
    }
}
