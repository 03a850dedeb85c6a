//! What others may know of raft.

use base::{Index, MemberId, Term};

/// A sample of raft's state. Term, leader, role and transferee are published at each change; the
/// positions once a tick (see [`Raft::commit`](crate::Raft::commit) for the newest).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// This member.
    pub id: MemberId,
    /// Current term.
    pub term: Term,
    /// Who leads in this term, as far as this member knows.
    pub leader: Option<MemberId>,
    /// What this member is.
    pub role: Role,
    /// Highest committed index known here.
    pub commit: Index,
    /// Last index that the apply thread reported.
    pub applied: Index,
    /// Last index in the log.
    pub last_index: Index,
    /// On a leader: up to which index each member's log is known to match, ordered by id. Else
    /// empty.
    pub progress: Vec<(MemberId, Index)>,
    /// To whom leadership is being moved.
    pub transferee: Option<MemberId>,
}

/// A member's part in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}
