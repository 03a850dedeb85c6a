//! What a node is started with, made from the spec and the lineage record: environment, command line, their text forms.

pub mod clients;
mod environment;
mod launch;
mod lineage;
pub mod render;

#[cfg(test)]
mod tests;

pub use environment::{command_line, environment, launch};
pub use launch::{Change, Launch};
pub(crate) use lineage::first_incarnation;
pub use lineage::{InitialState, Joined, Lineage};
