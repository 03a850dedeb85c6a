//! Follows a request to its end, also when the agent that leads is gone before: the end is committed,
//! and every agent sees it.

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::StreamExt;
use wire::agentpb::{
    Progress,
    progress::{Kind, Outcome},
};

use super::{
    gateway::ProgressStream,
    reconcile::{outcome_of, superseded_by},
};
use crate::control::{Control, entry::Goal, state::ControlState};

/// Passes the lines of a request on to who asked, to the very last.
pub(crate) async fn relay(
    control: Control,
    mut lines: ProgressStream,
    listener: mpsc::Sender<Progress>,
    deadline: Instant,
) {
    let mut goal = 0;
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            // Whoever carries it out notices that nobody listens.
            () = listener.closed() => return,
        };
        let Some(Ok(progress)) = line else { break };
        goal = goal.max(progress.goal);
        let is_end = progress.kind() == Kind::End;
        if listener.send(progress).await.is_err() || is_end {
            return;
        }
    }
    let (outcome, text) = conclude(&control, goal, &listener, deadline).await;
    let last = Progress { outcome: outcome.into(), goal, ..line(Kind::End, text) };
    // Nobody listens any more: then nobody needs it.
    drop(listener.send(last).await);
}

/// What became of a goal whose agent is gone.
async fn conclude(
    control: &Control,
    goal: u64,
    listener: &mpsc::Sender<Progress>,
    deadline: Instant,
) -> (Outcome, String) {
    if goal == 0 {
        let text = "the leading agent was lost before the request was on record: look at the status, \
            then ask again";
        return (Outcome::Failed, text.to_owned());
    }
    let note = "the leading agent was lost; the next one goes on".to_owned();
    drop(listener.send(line(Kind::Note, note)).await);
    let mut states = control.watch();
    let is_over =
        |state: &std::sync::Arc<ControlState>| state.goal.is_none() || state.goal_number != goal;
    tokio::select! {
        state = states.wait_for(is_over) => match state {
            Ok(state) => verdict(&state, goal),
            Err(_gone) => (Outcome::Failed, "this agent ends; the others go on".to_owned()),
        },
        () = tokio::time::sleep_until(deadline) => {
            (Outcome::Failed, "out of time; the agents go on with it".to_owned())
        }
        () = listener.closed() => (Outcome::Held, String::new()),
    }
}

fn verdict(state: &ControlState, goal: u64) -> (Outcome, String) {
    match state.settled.as_ref().filter(|settled| settled.number == goal) {
        Some(settled) => (outcome_of(settled.outcome), settled.reason.clone()),
        None => match &state.goal {
            Some(Goal::Converge(terms)) => (Outcome::Held, superseded_by(terms.revision)),
            _ => (Outcome::Held, "another request took over".to_owned()),
        },
    }
}

fn line(kind: Kind, text: String) -> Progress {
    Progress { kind: kind.into(), text, ..Progress::default() }
}
