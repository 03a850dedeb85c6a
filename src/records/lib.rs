//! What a member's host remembers outside the data dir, so that losing the data disk does not lose it: whose lineage the
//! dir is of, what was promised, which configurations were acknowledged, how far acknowledgements may have gone.
//!
//! ```text
//!  /var/lib/etcd-manager/nodes/CLUSTER-UUID/NODE/     DATA-DIR/member/managed
//!    charter  fence  configurations                     the marker: names the record by
//!    reservation  mark  peers  lock          <────────  path and by a claim
//! ```
//!
//! Each file is one JSON value behind a checksum, replaced durably as a whole. What is there and cannot be read is
//! *unknown*, never absent (R13). docs/decisions/0009-records-outside-the-data-dir.md argues all this.

mod error;
mod marker;
mod record;
mod reserve;
#[cfg(test)]
mod tests;

pub use error::RecordError;
pub use marker::Marker;
pub use record::{Charter, DEFAULT_ROOT, Latch, NewCharter, Part, Record, record_dir};
pub use reserve::{RESERVED_ENTRIES, Reserver};
