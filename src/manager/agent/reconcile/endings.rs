//! How a turn and a goal end, and how that is told.

use wire::agentpb::progress::Outcome;

use super::Turn;
use crate::{
    agent::planner::notes_text,
    control::{
        ControlError,
        entry::{Goal, Settlement},
    },
    plan::{NoteKind, Plan},
};

pub(super) fn without_steps(goal: &Goal, plan: &Plan, late: bool) -> Turn {
    if plan.is_converged() {
        let reached = match goal {
            Goal::Converge(_) => "converged",
            Goal::Stop { .. } => "stopped; membership and data are as they were",
            Goal::Start { .. } => "started",
            Goal::Restart { .. } => "restarted",
        };
        return Turn::Over(Settlement::Reached, reached.to_owned());
    }
    if plan.has(NoteKind::Blocked) {
        return Turn::Over(Settlement::Failed, notes_text(plan, NoteKind::Blocked));
    }
    let waiting = notes_text(plan, NoteKind::Wait);
    if late {
        return Turn::Over(Settlement::Failed, format!("out of time: {waiting}"));
    }
    Turn::Wait(waiting)
}

/// A goal's end as its listener is told.
pub(crate) fn outcome_of(settlement: Settlement) -> Outcome {
    match settlement {
        Settlement::Reached => Outcome::Converged,
        Settlement::Failed | Settlement::Deferred => Outcome::Failed,
        Settlement::Refused => Outcome::Refused,
        Settlement::Held | Settlement::Postponed => Outcome::Held,
    }
}

/// What is told to who asked for what could not be put on record.
pub(crate) fn unrecorded(error: &ControlError) -> (Outcome, String) {
    let text = base::ErrorChain(error).to_string();
    match error {
        ControlError::Unanswered(_) => {
            let after =
                "it may still be put on record when they answer again: look at the status then";
            (Outcome::NoQuorum, format!("{text}; {after}"))
        }
        _ => (Outcome::Failed, text),
    }
}

/// A rejected entry concerns its proposer only; a log that cannot be written ends the agent.
pub(super) fn only_fatal(error: ControlError) -> Result<(), ControlError> {
    match error {
        // Its proposer was told; the loop goes on and sees for itself who leads.
        error if !error.is_fatal() => Ok(()),
        fatal => Err(fatal),
    }
}
