//! Why and how a member stops.

use std::{sync::Arc, time::Duration};

use base::MemberId;
use tokio::sync::watch;

use super::{Server, apply};

/// Why it stops. The first reason stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A signal asked for it.
    Asked,
    /// This member was removed from the cluster for good.
    Removed,
    /// Going on could lose or fork data.
    Failed(String),
}

impl StopReason {
    /// Sets a reason unless there is one.
    pub(super) fn set(self, stop: &watch::Sender<Option<Self>>) {
        stop.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                *reason = Some(self);
            }
            first
        });
    }

    /// A failure, which is also logged: a human must look.
    pub(super) fn failed(stop: &watch::Sender<Option<Self>>, text: String) {
        tracing::error!(reason = %text, "this member stops");
        Self::Failed(text).set(stop);
    }
}

/// How long the apply thread may take for what is queued.
const APPLY_END: Duration = Duration::from_secs(10);

impl Server {
    /// Resolves with the reason once the member has to stop.
    pub async fn stopping(&self) -> StopReason {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::Asked),
            Err(_) => StopReason::Asked,
        }
    }

    /// Ends the member: raft, peers, apply thread and backend in this order. Requests that wait for an entry that is not
    /// applied by then are told that the server has stopped.
    pub async fn shut_down(self: &Arc<Self>, reason: StopReason) {
        reason.set(&self.stop);
        self.raft.stop();
        if let Some(transport) = self.transport.get() {
            transport.stop().await;
        }
        let server = Arc::clone(self);
        let ended = tokio::task::spawn_blocking(move || {
            let (done, ends) = crossbeam_channel::bounded(1);
            if server.apply.send_timeout(apply::Input::Stop(done), APPLY_END).is_ok() {
                // A thread that hangs must not keep the process.
                ends.recv_timeout(APPLY_END).unwrap_or_default();
            }
            server.backend.load().close()
        });
        let ended = ended.await;
        self.waiters.abandon();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the backend did not close in order"),
            Err(error) => tracing::error!(%error, "closing the backend"),
        }
    }

    /// A leader of several voters moves leadership to the voter it has been connected to longest: for a stop that was
    /// merely asked for, before the client ports close.
    pub async fn hand_over(&self) {
        if !self.is_leader() {
            return;
        }
        let Some(target) = self.longest_connected_voter() else { return };
        tracing::info!(%target, "handing leadership over before stopping");
        if let Err(error) = self.move_leader(target).await {
            tracing::warn!(%error, "leadership was not handed over");
        }
    }

    fn longest_connected_voter(&self) -> Option<MemberId> {
        let transport = self.transport.get()?;
        let members = self.membership.members();
        let others = members.iter().filter(|member| !member.is_learner && member.id != self.member);
        others
            .filter_map(|member| Some((transport.active_since(member.id)?, member.id)))
            .min()
            .map(|(_, id)| id)
    }
}
