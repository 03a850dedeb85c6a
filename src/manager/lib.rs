//! The manager's library: the spec and what is generated from it, the pure plan with its safety checks, and the agent
//! that observes, executes and supervises.

pub mod agent;
pub mod archives;
pub mod check;
pub mod cli;
pub mod control;
mod execute;
#[cfg(test)]
mod expect;
pub mod generate;
mod guarded;
pub mod maintenance;
mod observe;
pub mod pki;
pub mod plan;
pub mod report;
pub mod spec;
pub mod supervise;
