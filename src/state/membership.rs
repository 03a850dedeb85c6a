//! Who belongs to the cluster, and the cluster version. Changed by the applier only, read by everyone.
//!
//! The truth is the v2 store, rebuilt from `.snap` and log at start; the backend's buckets are kept
//! as etcd 3.5 keeps them. While old entries are replayed, readers go on seeing what the backend
//! knew: that is newer.

mod change;
mod member;
mod projection;
mod roster;

use std::sync::Arc;

use base::MemberId;
use parking_lot::RwLock;

pub use self::{
    change::MemberEvent,
    member::{Attributes, Member, cluster_id, member_id},
    projection::{Projection, describe},
};
pub(crate) use self::{
    change::{Changer, check, check_version},
    roster::Roster,
};

/// Most learners that a cluster may have at a time.
pub const LEARNERS_MAX: usize = 1;

/// The membership as readers see it.
#[derive(Debug, Default)]
pub struct Membership {
    current: RwLock<Arc<Roster>>,
}

impl Membership {
    fn current(&self) -> Arc<Roster> {
        Arc::clone(&self.current.read())
    }

    pub(crate) fn publish(&self, roster: Roster) {
        *self.current.write() = Arc::new(roster);
    }

    /// All members, by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.current().members.values().cloned().collect()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<Member> {
        self.current.read().members.get(&id).cloned()
    }

    /// Whether a member of that id was removed. Such an id is never used again.
    #[must_use]
    pub fn is_removed(&self, id: MemberId) -> bool {
        self.current.read().removed.contains(&id)
    }

    /// All removed ids, ascending.
    #[must_use]
    pub fn removed_ids(&self) -> Vec<MemberId> {
        self.current.read().removed.iter().copied().collect()
    }

    /// Whether that member exists and has no vote.
    #[must_use]
    pub fn is_learner(&self, id: MemberId) -> bool {
        self.current.read().members.get(&id).is_some_and(|member| member.is_learner)
    }

    /// The members that vote, by id.
    #[must_use]
    pub fn voters(&self) -> Vec<Member> {
        let current = self.current();
        current.members.values().filter(|member| !member.is_learner).cloned().collect()
    }

    /// The version that all members can do, such as `3.5.0`; none before the first leader set it.
    #[must_use]
    pub fn cluster_version(&self) -> Option<String> {
        self.current.read().version.clone()
    }

    /// The version to which a downgrade is under way.
    #[must_use]
    pub fn downgrade_target(&self) -> Option<String> {
        self.current.read().downgrade.clone()
    }
}

#[cfg(test)]
mod tests;
