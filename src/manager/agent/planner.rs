//! The seam to the pure part: plan and check in one call.

use crate::{
    control::entry,
    plan::{Goal, History, NoteKind, Observation, Plan},
    spec::ClusterSpec,
};

/// The plan with the safety rules' verdicts among its notes.
pub(crate) fn plan_checked(
    goal: &Goal,
    spec: &ClusterSpec,
    observation: &Observation,
    history: &History,
) -> Plan {
    let mut plan = crate::plan::plan(goal, spec, observation, history);
    plan.notes.extend(crate::check::check(&plan, spec, observation, history));
    plan
}

/// The planner's word for a committed goal.
pub(crate) fn wanted_goal(goal: &entry::Goal) -> Goal {
    match goal {
        entry::Goal::Converge(_) => Goal::Converge,
        entry::Goal::Stop { nodes } => Goal::Stop(nodes.clone()),
        entry::Goal::Start { nodes } => Goal::Start(nodes.clone()),
        entry::Goal::Restart { node, pid } => Goal::Restart { node: node.clone(), pid: *pid },
    }
}

/// All notes of a kind in one line.
pub(crate) fn notes_text(plan: &Plan, kind: NoteKind) -> String {
    let notes = plan.notes.iter().filter(|note| note.kind == kind);
    notes.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
