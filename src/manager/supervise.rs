//! Nodes as processes: start through a shim, adopt, learn how they ended, restart or hold.

pub mod child;
pub mod classify;
pub mod folders;
pub mod hook;
pub mod keeper;
mod logfile;
pub mod policy;
pub mod process;
pub mod record;
pub mod shim;
pub mod stamp;
pub mod state;
mod watch;

pub(crate) use logfile::{RotatingLog, aged};
