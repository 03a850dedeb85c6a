//! Raft consensus over a write-ahead log: the only user of raft-rs.
//!
//! ```text
//!  Raft (handles) ──bounded inbox──> owner thread ──Host──> transport, apply thread, readers
//!                                     │  RawNode, log in memory, Wal
//!  apply thread ──conf_change_applied─┘  (answered while the owner waits for it)
//! ```
//!
//! One thread owns everything that changes: it drains its inbox, steps raft, sends a leader's
//! messages at once, writes and syncs the log once for the whole batch, then sends what may only
//! leave after that, and hands over what is committed. After a failed write nothing leaves any
//! more and the thread ends.
//!
//! Messages and entries are etcd's (`wire::raftpb`) everywhere outside; raft-rs never parses a
//! byte that came from elsewhere (`translate.rs`, `inbound.rs`).

mod bootstrap;
mod config;
mod error;
mod handle;
mod host;
mod inbound;
mod log;
mod logger;
mod outbound;
mod owner;
mod shared;
mod status;
#[cfg(test)]
mod tests;
mod translate;
mod witness;

pub use bootstrap::bootstrap_entries;
pub use config::{Config, Durable};
pub use error::{Busy, ConsensusError};
pub use handle::Raft;
pub use host::{Apply, Host, ReadState};
pub use status::{Role, Status};
pub use witness::{Configured, Witness, WitnessError};
