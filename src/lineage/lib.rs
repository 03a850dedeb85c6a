//! What may run, and when a new lineage may take an old one's place. Pure: facts in, decisions out; no IO, no clock.
//!
//! A cluster has a UUID for life. Its data lives in a *lineage*: one raft history, with a token and an epoch of its own. A
//! recovery fences the old lineage and opens a new one of a higher epoch. `model/` explores what can happen meanwhile
//! (docs/decisions/0007-recovery-is-checked-by-a-model.md).

mod barrier;
mod candidates;
mod configuration;
mod decide;
mod evidence;
mod fence;
mod identity;
mod loss;
mod mark;
mod missing;
mod seed;
pub mod start;
#[cfg(test)]
mod tests;

pub use barrier::{Authority, authority, is_blocked, is_witnessed, may_open};
pub use candidates::Candidates;
pub use configuration::Configuration;
pub use decide::{Step, Verdict, decide, unblocked_by};
pub use evidence::{
    Attestation, Class, Evidence, LogState, LostBecause, RecordState, StoreState, Word,
};
pub use fence::{Accepted, Attempt, Choice, Fence, FenceOrder, Hold, Refusal};
pub use identity::Identity;
pub use loss::{Loss, bound};
pub use mark::{EntryId, HighWater, LogPosition, Reservation, Stale, staleness};
pub use missing::Missing;
pub use seed::choose;
