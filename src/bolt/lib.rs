//! Files in the format of bbolt, etcd's own storage engine: a reader, and a writer that turns
//! sorted rows into a file in one pass. For snapshots, and for data dirs of a Go etcd.

mod error;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::BoltError;
pub use reader::{Reader, Visit, VisitAll};
pub use writer::Writer;
