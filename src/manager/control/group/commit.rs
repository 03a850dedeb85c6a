//! Proposes entries, and waits until they are applied here.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::oneshot;

use super::Control;
use crate::{
    control::{
        ControlError,
        entry::{Entry, Envelope},
        state::ControlState,
    },
    supervise::record::wall_ms,
};

/// Longest wait for a commit: one sync of the disk. A disk that takes longer is as good as dead.
const COMMIT_MAX: Duration = Duration::from_secs(30);
/// The same among several agents: an election and a round trip. After that it may still be committed.
const COMMIT_MANY_MAX: Duration = Duration::from_secs(8);

impl Control {
    /// Commits an entry that decides nothing; returns the state right after it.
    ///
    /// # Errors
    /// [`ControlError::Rejected`] if it has no effect; see [`ControlError::is_fatal`].
    pub async fn commit(&self, entry: Entry) -> Result<Arc<ControlState>, ControlError> {
        self.commit_in(None, entry).await
    }

    /// Commits an entry, as a decision of a reign if one is named.
    ///
    /// # Errors
    /// As [`Control::commit`].
    pub async fn commit_in(
        &self,
        reign: Option<u64>,
        entry: Entry,
    ) -> Result<Arc<ControlState>, ControlError> {
        let group = &self.group;
        let running = group.running.get().ok_or(ControlError::NoGroup)?;
        let is_alone = !running.is_many;
        let proposal = group.proposals.fetch_add(1, Ordering::Relaxed);
        let envelope = Envelope {
            version: entry.version(),
            proposal,
            incarnation: group.incarnation,
            at_ms: wall_ms(group.clock.wall()),
            reign,
            entry,
        };
        let payload = serde_json::to_vec(&envelope).map_err(ControlError::Encode)?;
        let (answer, answered) = oneshot::channel();
        group.shared.waiters.lock().insert(proposal, answer);
        let mut broken = group.shared.broken.subscribe();
        let is_broken = broken.wait_for(Option::is_some);
        if let Err(busy) = running.raft.propose(payload.into()) {
            group.shared.waiters.lock().remove(&proposal);
            return Err(match busy {
                consensus::Busy::Full if !is_alone => ControlError::Unanswered(busy.to_string()),
                _ => ControlError::Broken(self.reason(busy.to_string())),
            });
        }
        let limit = if is_alone { COMMIT_MAX } else { COMMIT_MANY_MAX };
        tokio::select! {
            answer = answered => match answer {
                Ok(Ok(state)) => Ok(state),
                Ok(Err(rejected)) => Err(rejected.into()),
                Err(_gone) => Err(ControlError::Broken(self.reason("the applier ended".into()))),
            },
            _ = is_broken => Err(ControlError::Broken(self.reason("it ended".into()))),
            () = tokio::time::sleep(limit) => {
                group.shared.waiters.lock().remove(&proposal);
                let text = format!("no commit within {limit:?}");
                if is_alone { Err(ControlError::Broken(text)) }
                else { Err(ControlError::Unanswered(text)) }
            }
        }
    }
}
