//! Takes a request in: refuses it, or makes it the goal by committed entries. What was under way is told that it was
//! superseded.

use std::sync::Arc;

use tokio::time::Instant;
use wire::agentpb::progress::Outcome;

use super::{
    Active, Reconciler, Request, Turn,
    endings::{only_fatal, unrecorded},
};
use crate::{
    control::{
        ControlError,
        entry::{Entry, Goal, Settlement, Terms},
        state::ControlState,
    },
    spec::Loaded,
};

impl Reconciler {
    /// Makes a request the goal, by committed entries.
    pub(super) async fn accept(&mut self, request: Request) -> Result<(), ControlError> {
        if self.cluster.reign().is_none() {
            let text = "this agent does not lead any more: ask again".to_owned();
            request.voice.end(Outcome::Failed, text).await;
            return Ok(());
        }
        if let Some(reason) = self.refusal(&request) {
            request.voice.end(Outcome::Refused, reason).await;
            return Ok(());
        }
        let goal = request.goal.clone();
        let state = match self.put_on_record(request.goal, request.spec).await {
            Ok(state) => state,
            Err(error) => {
                let (outcome, text) = unrecorded(&error);
                request.voice.end(outcome, text).await;
                return only_fatal(error);
            }
        };
        if let Some(before) = self.active.take() {
            before.voice.end(Outcome::Held, superseded(&goal, &state)).await;
        }
        request.voice.is_goal(state.goal_number);
        self.heed().await;
        self.moves_tried = 0;
        let deadline = Instant::now() + request.timeout;
        self.active = Some(Active { voice: request.voice, deadline, has_told: false });
        Ok(())
    }

    /// Why a request is not even put on record.
    fn refusal(&self, request: &Request) -> Option<String> {
        let state = self.cluster.control.state();
        if let Some(expected) = request.expect
            && expected != state.spec_revision()
        {
            return Some(format!(
                "the spec is at revision {}, not {expected}: somebody changed it; look at it and apply again",
                state.spec_revision()
            ));
        }
        match (&state.paused, &request.goal) {
            (Some(pause), Goal::Stop { .. } | Goal::Start { .. } | Goal::Restart { .. }) => {
                Some(format!("{pause}, so nodes are left as they are: etcd-manager resume first"))
            }
            _ => None,
        }
    }

    /// The spec, if it is another one, then the goal.
    async fn put_on_record(
        &self,
        goal: Goal,
        spec: Option<Loaded>,
    ) -> Result<Arc<ControlState>, ControlError> {
        if let Some(loaded) = spec {
            let state = self.cluster.control.state();
            let known = state.spec.as_ref();
            let source = loaded.spec.source.to_string_lossy().into_owned();
            if known.is_none_or(|known| known.digest != loaded.digest || known.source != source) {
                let entry = Entry::Spec {
                    base: state.spec_revision(),
                    text: loaded.text,
                    digest: loaded.digest,
                    source,
                };
                self.cluster.decree(entry).await?;
            }
        }
        let goal = match goal {
            Goal::Converge(terms) => {
                let revision = self.cluster.control.state().spec_revision();
                Goal::Converge(Terms { revision, ..terms })
            }
            other => other,
        };
        self.cluster.decree(Entry::Goal(goal)).await
    }

    /// Whether what is under way may not go on: it is paused, or the spec that it works towards is not the wanted one
    /// any more. It is never turned to another one.
    pub(super) fn forbidden(&self, state: &ControlState, goal: &Goal) -> Option<Turn> {
        if let Goal::Converge(terms) = goal
            && terms.revision != 0
            && terms.revision != state.spec_revision()
        {
            return Some(Turn::Over(Settlement::Held, superseded_by(state.spec_revision())));
        }
        let pause = state.paused.as_ref()?;
        Some(match goal {
            Goal::Converge(_) => {
                let revision = state.spec_revision();
                let reason = format!(
                    "revision {revision} is on record and not carried out: {pause}; it goes on after etcd-manager resume"
                );
                Turn::Over(Settlement::Postponed, reason)
            }
            _ => Turn::Over(
                Settlement::Held,
                format!("{pause}; ask again after etcd-manager resume"),
            ),
        })
    }
}

/// What who asked before is told.
fn superseded(by: &Goal, state: &ControlState) -> String {
    match by {
        Goal::Converge(_) => superseded_by(state.spec_revision()),
        other => format!("another request took over: {}", other.word()),
    }
}

/// The same, by an apply.
pub(crate) fn superseded_by(revision: u64) -> String {
    format!(
        "superseded: another apply took over, and works towards revision {revision} of the spec"
    )
}
