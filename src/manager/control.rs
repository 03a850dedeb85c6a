//! The control group: the log of committed entries is the only command channel of the agents.

pub mod entry;
mod group;
pub mod state;

pub use group::{Control, ControlError};
