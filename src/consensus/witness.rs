//! What a member has to note elsewhere before it acknowledges anything, so that losing its disk does not lose what others
//! count on. A host without a [`Witness`] pays nothing.

use base::{Index, Term};
use wire::raftpb;

/// Notes on another disk than the log's. Called on the owner thread before the messages of a step leave and before a
/// leader counts its own entries; after an error the member acknowledges nothing more.
pub trait Witness: Send {
    /// Returns once it is durable that this member may acknowledge votes in `term` and entries up to `index`.
    ///
    /// # Errors
    /// It is not, and may never be.
    fn reserve(&mut self, term: Term, index: Index) -> Result<(), WitnessError>;

    /// Returns once these configurations are durable: the one in force first, then each that entries of the log lead to,
    /// committed or not. Called when they change.
    ///
    /// # Errors
    /// As [`Witness::reserve`].
    fn configurations(&mut self, all: &[Configured]) -> Result<(), WitnessError>;
}

/// A configuration and the entry that makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// Term of the entry; zero where the log no longer tells.
    pub term: Term,
    /// Its index.
    pub index: Index,
    /// Who votes and who learns.
    pub members: raftpb::ConfState,
}

/// The witness cannot note anything any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WitnessError(
    /// What failed.
    pub String,
);
