//! The decision what to do next, as a pure function: facts and wishes in, a [`Plan`] out. No clock, no IO, no chance.
//! `observe` fills the facts, `check` judges the plan, `execute` carries out its first step, and all of it again.

mod action;
mod note;
mod observation;

pub use action::{Action, Plan, Step, Tolerance};
pub use note::{Note, NoteKind, Rule};
pub use observation::{
    AgentState, DataDir, Fact, Goal, Health, History, Member, MemberStatus, NodeObservation,
    NodeRecord, Observation, Process, Role, RunningProcess,
};
