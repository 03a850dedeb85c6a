//! The decision what to do next, as a pure function: facts and wishes in, a [`Plan`] out. No clock, no IO, no chance.
//! `observe` fills the facts, `check` judges the plan, `execute` carries out its first step, and all of it again.

mod action;
mod change;
mod converge;
mod document;
pub(crate) mod kinds;
mod membership;
mod moves;
mod note;
mod observation;
pub mod render;
mod restart;
mod resting;
mod survey;
mod table;
mod texts;
mod verbs;
mod world;
mod zones;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use action::{Action, Plan, Step, Tolerance};
pub use note::{Note, NoteKind, Rule};
pub(crate) use observation::not_asked;
pub use observation::{
    AgentState, DataDir, Fact, Goal, Health, History, Member, MemberStatus, NodeObservation,
    NodeRecord, Observation, Process, Role, RunningProcess,
};

use crate::spec::ClusterSpec;
use survey::Survey;

/// What to do to reach the goal, in order, by what is known now.
#[must_use]
pub fn plan(goal: &Goal, spec: &ClusterSpec, observation: &Observation, history: &History) -> Plan {
    let survey = Survey::new(spec, observation, history);
    let world = match goal {
        Goal::Converge => converge::converge(&survey),
        Goal::Stop(nodes) => verbs::stop(&survey, nodes),
        Goal::Start(nodes) => verbs::start(&survey, nodes),
        Goal::Restart { node, pid } => verbs::restart(&survey, node, *pid),
    };
    let mut plan = Plan { steps: world.steps, notes: world.notes };
    add_agent(&mut plan, observation, &survey);
    plan.notes.sort_by_key(|note| note.kind);
    plan
}

/// Nothing happens without an agent: it comes first.
fn add_agent(plan: &mut Plan, observation: &Observation, survey: &Survey<'_>) {
    match &observation.agent {
        Fact::Known(AgentState::Running) => {}
        Fact::Known(AgentState::Absent) => {
            let mut world = survey.world();
            world.step(Action::StartAgent, "no agent answers for this cluster on this machine");
            plan.steps.splice(0..0, world.steps);
        }
        Fact::Unknown(reason) => plan.notes.push(Note {
            kind: NoteKind::Wait,
            rule: None,
            node: None,
            text: format!("whether an agent runs is unknown: {reason}"),
            remedy: "see that its socket answers".to_owned(),
        }),
    }
}
