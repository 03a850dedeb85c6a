//! etcd's write-ahead log and `.snap` files, byte for byte (surface F.2, F.3).
//!
//! `consensus` writes through [`Wal`] and gets a [`Replay`] at start; the manager looks into a
//! stopped node's log with [`scan`]. A real etcd 3.4 or 3.5 reads what is written here, and back.
//!
//! A log is a folder of segments `SEQUENCE-FIRSTINDEX.wal`. Each is a chain of framed records whose
//! CRC runs on from segment to segment. Behind the last record a segment is all zeroes, so that the
//! end is known without a length, and so that a torn write is told from other damage.

mod config;
mod encode;
mod error;
mod evidence;
mod examine;
mod frames;
mod identity;
mod name;
mod open;
mod read;
mod replay;
mod scan;
mod segments;
pub mod snap;
mod spare;
#[cfg(test)]
mod tests;
mod writer;

pub use config::WalConfig;
pub use error::WalError;
pub use examine::{Examination, Judgement, SegmentReport, examine, lock_shared};
pub use identity::identity;
pub use name::exists;
pub use replay::Replay;
pub use scan::{ConfChangeRecord, Summary, scan, snapshot_marks};
pub use writer::Wal;
