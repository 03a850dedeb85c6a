//! The membership that a log leads to, followed change by change without a store: for those who look into a stopped
//! member's log, committed or not. Refuses what a member would refuse.

use std::collections::BTreeSet;

use base::MemberId;
use wire::raftpb::{ConfChange, ConfChangeType};

use super::{
    Member,
    change::{Change, check},
    member::ChangeContext,
    roster::Roster,
};
use crate::{
    error::{ApiError, StateError},
    v2,
};

/// Members and removed ids at a place of the log.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    roster: Roster,
}

impl Projection {
    /// The membership in the v2 store of a `.snap` file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn from_snapshot(v2_store: &[u8]) -> Result<Self, StateError> {
        Ok(Self { roster: Roster::from_v2(&v2::Store::recover(v2_store)?)? })
    }

    /// The membership once a change is applied.
    ///
    /// # Errors
    /// Members refuse it when its turn comes; nothing changes.
    pub fn follow(&mut self, change: &ConfChange) -> Result<(), ApiError> {
        let change = check(&self.roster, change)?;
        let Roster { members, removed, .. } = &mut self.roster;
        match change {
            Change::Add(member) => {
                members.insert(member.id, member);
            }
            Change::Promote(id) => {
                if let Some(member) = members.get_mut(&id) {
                    member.is_learner = false;
                }
            }
            Change::Update(update) => {
                if let Some(member) = members.get_mut(&update.id) {
                    (member.peer_urls, member.is_learner) = (update.peer_urls, update.is_learner);
                }
            }
            Change::Remove(id) => {
                members.remove(&id);
                removed.insert(id);
            }
        }
        Ok(())
    }

    /// All members, by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.roster.members.values().cloned().collect()
    }

    /// The members with (`learners` false) or without a vote.
    #[must_use]
    pub fn ids(&self, learners: bool) -> BTreeSet<MemberId> {
        let chosen = self.roster.members.values().filter(|member| member.is_learner == learners);
        chosen.map(|member| member.id).collect()
    }

    /// All removed ids.
    #[must_use]
    pub fn removed(&self) -> BTreeSet<MemberId> {
        self.roster.removed.clone()
    }

    /// The cluster version, if the snapshot held one.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.roster.version.clone()
    }
}

/// What a change wants, in a word, and the peer URLs it names.
#[must_use]
pub fn describe(change: &ConfChange) -> (&'static str, Vec<String>) {
    let context = change.context.as_deref().unwrap_or_default();
    let context: ChangeContext = serde_json::from_slice(context).unwrap_or_default();
    let word = match ConfChangeType::try_from(change.r#type) {
        Ok(_) if context.is_promote => "promote",
        Ok(ConfChangeType::ConfChangeAddNode) => "add",
        Ok(ConfChangeType::ConfChangeAddLearnerNode) => "add-learner",
        Ok(ConfChangeType::ConfChangeRemoveNode) => "remove",
        Ok(ConfChangeType::ConfChangeUpdateNode) => "update",
        Err(_) => "unknown",
    };
    (word, context.member.peer_urls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ConfChangeType, id: u64, context: String) -> ConfChange {
        ConfChange { id: 1, r#type: kind.into(), node_id: id, context: Some(context.into()) }
    }

    fn member(id: u64, is_learner: bool) -> String {
        let peer_urls = vec![format!("http://127.0.0.1:{id}")];
        Member { id: MemberId::new(id), peer_urls, is_learner, ..Member::default() }.to_json()
    }

    #[test]
    fn changes_are_followed_and_refused_as_members_do() {
        let mut projection = Projection::default();
        let add = ConfChangeType::ConfChangeAddNode;
        let learn = ConfChangeType::ConfChangeAddLearnerNode;
        projection.follow(&change(add, 1, member(1, false))).unwrap();
        projection.follow(&change(learn, 2, member(2, true))).unwrap();
        let again = projection.follow(&change(learn, 2, member(2, true))).unwrap_err();
        assert_eq!(again, ApiError::MemberExists);
        let ids = |projection: &Projection, learners| -> Vec<u64> {
            projection.ids(learners).iter().map(|id| id.get()).collect()
        };
        assert_eq!((ids(&projection, false), ids(&projection, true)), (vec![1], vec![2]));
        let promote = change(add, 2, Member::promote_context(MemberId::new(2)));
        assert_eq!(describe(&promote).0, "promote");
        projection.follow(&promote).unwrap();
        assert_eq!((ids(&projection, false), ids(&projection, true)), (vec![1, 2], vec![]));
        let remove = ConfChangeType::ConfChangeRemoveNode;
        projection.follow(&change(remove, 1, String::new())).unwrap();
        assert_eq!(ids(&projection, false), [2]);
        let back = projection.follow(&change(add, 1, member(1, false))).unwrap_err();
        assert_eq!(back, ApiError::MemberNotFound, "a removed id is never used again");
        assert_eq!(describe(&change(remove, 1, String::new())).0, "remove");
    }
}
