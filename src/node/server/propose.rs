//! Requests through the log: admission, id, size, the wait for the apply, and the words of a timeout.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use base::{MemberId, limits};
use bytes::Bytes;
use consensus::Busy;
use prost::Message;
use state::{ApiError, Response, membership::Member};
use wire::{
    etcdserverpb::{
        AlarmRequest, AlarmType, InternalRaftRequest, RequestHeader, alarm_request::AlarmAction,
    },
    raftpb, v2pb,
};

use super::{Server, waiters::Outcome};

/// Counts proposals under way while it lives.
struct Pending<'a>(&'a AtomicU64);

impl<'a> Pending<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// Puts a request into the log and waits until this member has applied it.
    ///
    /// # Errors
    /// The state machine's refusal; `RequestTooLarge`, `TooManyRequests`, one of the timeouts (then it may still be
    /// applied later), `Stopped`.
    pub async fn propose(&self, mut request: InternalRaftRequest) -> Result<Response, ApiError> {
        let id = self.ids.next();
        request.header = Some(RequestHeader { id, ..Default::default() });
        let payload = request.encode_to_vec();
        if payload.len() > self.settings.max_request_bytes {
            return Err(ApiError::RequestTooLarge);
        }
        match self.through_the_log(id, |server| server.raft.propose(payload.into())).await? {
            Outcome::Applied(result) => result,
            Outcome::Members(_) => Err(ApiError::Other("the log gave another answer".to_owned())),
        }
    }

    /// Puts a request of API v2 into the log, as etcd does for its own attributes and the cluster version.
    ///
    /// # Errors
    /// As [`Server::propose`].
    pub(super) async fn propose_v2(&self, path: String, val: String) -> Result<Response, ApiError> {
        let id = self.ids.next();
        let request =
            v2pb::Request { id, method: "PUT".to_owned(), path, val, ..Default::default() };
        let payload: Bytes = request.encode_to_vec().into();
        match self.through_the_log(id, |server| server.raft.propose(payload)).await? {
            Outcome::Applied(result) => result,
            Outcome::Members(_) => Err(ApiError::Other("the log gave another answer".to_owned())),
        }
    }

    /// Puts a configuration change into the log and waits until it is applied; its id is set here.
    ///
    /// # Errors
    /// Its refusal at apply, or as [`Server::propose`].
    pub async fn propose_conf_change(
        &self,
        mut change: raftpb::ConfChange,
    ) -> Result<Vec<Member>, ApiError> {
        let id = self.ids.next();
        change.id = id;
        match self.through_the_log(id, |server| server.raft.propose_conf_change(change)).await? {
            Outcome::Members(result) => result,
            Outcome::Applied(_) => Err(ApiError::Other("the log gave another answer".to_owned())),
        }
    }

    async fn through_the_log(
        &self,
        id: u64,
        propose: impl FnOnce(&Self) -> Result<(), Busy>,
    ) -> Result<Outcome, ApiError> {
        self.admit()?;
        let start = self.clock.now();
        let _pending = Pending::new(&self.proposals_pending);
        let mut ticket = self.waiters.register(id);
        propose(self).map_err(|busy| self.refused(&busy))?;
        let waited =
            tokio::time::timeout(self.settings.request_timeout(), &mut ticket.outcome).await;
        match waited {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(ApiError::Stopped),
            Err(_) => {
                self.metrics.proposals_failed.add(1);
                Err(self.timeout_since(start))
            }
        }
    }

    /// Refuses when too much is committed and not applied, or the server is stopping.
    fn admit(&self) -> Result<(), ApiError> {
        let commit = self.raft.commit().get();
        if commit.saturating_sub(*self.applied.borrow()) > limits::UNAPPLIED_ENTRIES_MAX {
            return Err(ApiError::TooManyRequests);
        }
        if self.stop.borrow().is_some() { Err(ApiError::Stopped) } else { Ok(()) }
    }

    fn refused(&self, busy: &Busy) -> ApiError {
        self.metrics.proposals_failed.add(1);
        match busy {
            Busy::Full => ApiError::TooManyRequests,
            Busy::Stopped => ApiError::Stopped,
        }
    }

    /// The space check of the API: without room for `cost_bytes` the alarm is raised and the request refused.
    ///
    /// # Errors
    /// `NoSpace`.
    pub async fn admit_cost(&self, cost_bytes: i64) -> Result<(), ApiError> {
        if cost_bytes == 0 || self.quota.allows(self.backend.load().sizes().total_bytes, cost_bytes)
        {
            return Ok(());
        }
        self.raise_alarm(AlarmType::Nospace).await;
        Err(ApiError::NoSpace)
    }

    /// Raises an alarm of this member in the whole cluster, unless that is under way or done.
    pub(super) async fn raise_alarm(&self, kind: AlarmType) {
        let mine = self.member.get();
        let raised = |server: &Self| {
            server
                .alarms
                .list()
                .iter()
                .any(|alarm| alarm.alarm == i32::from(kind) && alarm.member_id == mine)
        };
        if raised(self) || self.raising_nospace.swap(true, Ordering::AcqRel) {
            return;
        }
        let alarm = AlarmRequest {
            action: AlarmAction::Activate.into(),
            member_id: mine,
            alarm: kind.into(),
        };
        let request = InternalRaftRequest { alarm: Some(alarm), ..Default::default() };
        tracing::warn!(alarm = kind.as_str_name(), "raising an alarm");
        if let Err(error) = self.propose(request).await {
            tracing::warn!(%error, alarm = kind.as_str_name(), "the alarm could not be raised");
        }
        self.raising_nospace.store(false, Ordering::Release);
    }

    /// Which of etcd's three texts a timeout gets (surface A.1).
    fn timeout_since(&self, start: Instant) -> ApiError {
        let elected = *self.leader_elected.lock();
        if let Some(elected) = elected {
            let lost = elected.checked_sub(2 * self.settings.election);
            if start < elected && lost.is_some_and(|lost| start > lost) {
                return ApiError::TimeoutLeaderFail;
            }
        }
        let connected = match self.raft_status.borrow().leader {
            None => true,
            Some(leader) if leader == self.member => self.quorum_connected_since(start),
            Some(leader) => self.connected_since(start, leader),
        };
        if connected { ApiError::Timeout } else { ApiError::TimeoutConnectionLost }
    }

    pub(super) fn connected_since(&self, start: Instant, peer: MemberId) -> bool {
        let since = self.transport.get().and_then(|transport| transport.active_since(peer));
        since.is_some_and(|since| since < start)
    }

    fn quorum_connected_since(&self, start: Instant) -> bool {
        let members = self.membership.members();
        let voters: Vec<_> = members.iter().filter(|member| !member.is_learner).collect();
        let connected = voters
            .iter()
            .filter(|member| member.id == self.member || self.connected_since(start, member.id))
            .count();
        connected > voters.len() / 2
    }
}
