//! Who leads: moving leadership, and remembering since when.

use std::sync::Arc;

use base::MemberId;
use state::ApiError;

use super::Server;

impl Server {
    /// Moves leadership to a voter and waits for it, for one election timeout.
    ///
    /// # Errors
    /// `NotLeader`, `BadLeaderTransferee`, `TimeoutLeaderTransfer`.
    pub async fn move_leader(&self, target: MemberId) -> Result<(), ApiError> {
        if !self.is_leader() {
            return Err(ApiError::NotLeader);
        }
        let voter = self.membership.member(target).is_some_and(|member| !member.is_learner);
        if !voter {
            return Err(ApiError::BadLeaderTransferee);
        }
        let mut status = self.raft_status.clone();
        self.raft.transfer_leader(target);
        let moved = status.wait_for(|status| status.leader == Some(target));
        match tokio::time::timeout(self.settings.election, moved).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ApiError::Stopped),
            Err(_) => Err(ApiError::TimeoutLeaderTransfer),
        }
    }
}

/// Notes when a leader appears, counts changes, and has the version looked at once this member leads.
pub(super) async fn watch(server: Arc<Server>) {
    let mut status = server.raft_status.clone();
    let mut leader = None;
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().leader;
        if now == leader {
            continue;
        }
        if let Some(id) = now {
            *server.leader_elected.lock() = Some(server.clock.now());
            server.metrics.leader_changes.add(1);
            tracing::info!(leader = %id, "a leader is known");
        } else {
            tracing::info!("no leader is known");
        }
        leader = now;
    }
}
