//! Reigns: an agent that raft has made the leader decides from its committed entry on, and no longer
//! than it leads. All agents heed what is committed.

use tokio::time::Instant;

use super::{Active, RESUMED_MAX, Reconciler, hold::Hold};
use crate::{
    agent::voice::Voice,
    control::{
        ControlError, Leadership,
        entry::{Entry, Goal},
    },
};

impl Reconciler {
    /// Follows what is committed: keepers for the nodes of this host, and an end to their pauses when
    /// an operator has come and may have mended what was wrong.
    pub(super) async fn heed(&mut self) {
        let state = self.cluster.control.state();
        let spec = self.cluster.spec().ok().flatten();
        self.cluster.keep_nodes(spec.as_deref()).await;
        let is_hot = state.goal.is_some();
        self.cluster.hot.send_if_modified(|hot| std::mem::replace(hot, is_hot) != is_hot);
        if std::mem::replace(&mut self.heeded, state.goal_number) == state.goal_number {
            return;
        }
        if !matches!(state.goal, Some(Goal::Stop { .. })) {
            for (name, node) in self.cluster.nodes() {
                if let Err(reason) = node.keeper.nudge().await {
                    tracing::warn!("{name}: {reason}");
                }
            }
        }
    }

    /// Begins a reign when raft has made this agent the leader, by a committed entry, and ends it
    /// when it leads no more.
    pub(super) async fn check_reign(&mut self) -> Result<(), ControlError> {
        let control = self.cluster.control.clone();
        let Leadership::Own(term) = control.leadership() else {
            self.step_down();
            return Ok(());
        };
        if self.cluster.reign() == Some(term) {
            return Ok(());
        }
        self.step_down();
        let Some((member, _)) = control.membership() else { return Ok(()) };
        let state = control.commit(Entry::Reign { member, term }).await?;
        self.cluster.set_reign(Some(term));
        self.hold = self.cluster.many.is_some().then(|| Hold::of(&state, Instant::now())).flatten();
        if state.goal.is_some() {
            let deadline = Instant::now() + RESUMED_MAX;
            self.active = Some(Active { voice: Voice::to_log(), deadline, has_told: false });
            tracing::info!("goes on with what the last agent had begun");
        }
        Ok(())
    }

    /// Whoever leads next goes on with the goal; who asked for it follows the committed state.
    pub(super) fn step_down(&mut self) {
        if self.cluster.reign().is_some() {
            tracing::info!("this agent does not lead any more");
        }
        self.cluster.set_reign(None);
        self.active = None;
    }
}
