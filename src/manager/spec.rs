//! `cluster.toml` made into a [`ClusterSpec`]: read by the command line and the agent, handed to generate and plan.

mod address;
pub mod agent_file;
mod build;
mod collisions;
mod diagnostic;
pub mod edit;
mod flags;
mod keys;
mod load;
mod nodes;
mod places;
mod raw;
mod reference;
mod running;
mod suggest;
mod tls;
mod types;
mod update;

#[cfg(test)]
mod tests;

pub use diagnostic::{Code, Diagnostic, Severity, SpecErrors};
pub use load::{Loaded, despite_mistakes, load, parse, state_dir};
pub(crate) use nodes::INCARNATION_FIRST;
pub use reference::{agent_reference, reference};
pub use tls::{MANAGER_SHOWS, MANAGER_TRUSTS};
pub use types::{
    AgentSpec, Binary, ClusterSpec, HookSpec, LogSpec, NodeSpec, Running, Supervise, Update,
};
