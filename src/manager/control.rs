//! The control group: the log of committed entries is the only command channel of the agents.
//!
//! ```text
//!  commit(entry) -> raft owner -> WAL, synced -> applier: fold -> published state
//!                                                  └─> answer to the proposer
//! ```

mod applier;
pub mod entry;
mod error;
mod fold;
mod group;
pub mod mark;
pub mod seat;
pub mod state;
mod storage;

pub use error::ControlError;
pub use group::{Control, Leadership, Post};
