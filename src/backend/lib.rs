//! The durable state of a node: redb behind a write buffer in memory.
//!
//! ```text
//!  apply thread --write()--> buffer --swap--> flushing buffer --one commit--> redb
//!                              |                   |                            |
//!  readers --get(), scan()-----+-------------------+----------------------------+   (newest first)
//! ```
//!
//! The one backend thread commits what gathered within a flush interval in a single durable
//! transaction. A batch is never split, so the consistent index that a batch carries in its
//! meta bucket always fits the rows of the same transaction. What was not flushed when the
//! process ended is lost, and is replayed from the raft log.

mod backend;
mod batch;
mod bucket;
mod error;
mod inspection;
mod layer;
mod merge;
mod options;
mod storage;
mod store;
#[cfg(test)]
mod tests;
mod view;

pub use backend::Backend;
pub use batch::WriteBatch;
pub use bucket::Bucket;
pub use error::BackendError;
pub use inspection::{InspectError, Inspection};
pub use merge::Visit;
pub use options::{CommitHook, FailureHook, Options, Sizes};
pub use view::View;
