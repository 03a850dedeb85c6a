//! What a node is started with, made from the spec and the lineage record: environment, command line, their text forms.

mod launch;
mod lineage;

pub use launch::{Change, Launch};
pub use lineage::{InitialState, Lineage};
