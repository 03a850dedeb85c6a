//! Carries out one step between its hooks and its lines of the journal.

use crate::{
    control::{ControlError, entry::Entry},
    execute::{Step, execute},
    plan::Action,
};

/// What came of a step.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: Result<String, String>,
    /// The operator's hook forbade it: it was not begun.
    pub(super) is_forbidden: bool,
}

/// Journals the intent, does it, journals the outcome.
pub(super) async fn carry_out(
    step: &Step<'_>,
    action: &Action,
    said: &str,
    reason: &str,
) -> Result<Done, ControlError> {
    let cluster = step.cluster;
    step.voice.step(format!("{said}: {reason}")).await;
    let intent = Entry::Intent {
        step: said.to_owned(),
        reason: reason.to_owned(),
        direct: action.is_direct(),
    };
    cluster.decree(intent).await?;
    let forbidden = step.before(action, (said, reason)).await;
    let is_forbidden = forbidden.is_err();
    let result = match forbidden {
        Ok(()) => execute(step, action).await,
        Err(error) => Err(error),
    };
    let (has_worked, text) = match &result {
        Ok(text) => (true, text.clone()),
        Err(text) => (false, text.clone()),
    };
    cluster.decree(Entry::Outcome { done: has_worked, text: text.clone() }).await?;
    let verb = if has_worked { "" } else { "failed: " };
    step.voice.step_done(format!("{said}: {verb}{text}")).await;
    if !is_forbidden && let Err(text) = step.after(action, (said, reason), &result).await {
        step.voice.note(text.clone()).await;
        let (node, restarts, ended_run) = (String::new(), 0, None);
        cluster.decree(Entry::Happened { node, text, restarts, ended_run }).await?;
    }
    Ok(Done { result, is_forbidden })
}
