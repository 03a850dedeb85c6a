//! Changes of the membership: their validation, and their effect on v2 store, backend and roster. Facts: surface A.6, E.3.

use std::collections::BTreeSet;

use backend::{Bucket, WriteBatch};
use base::MemberId;
use wire::raftpb::{ConfChange, ConfChangeType};

use super::{
    LEARNERS_MAX,
    member::{Attributes, ChangeContext, Member, RaftAttributes},
    roster::{
        CLUSTER_VERSION_ROW, DOWNGRADE_ROW, Downgrade, MEMBERS, REMOVED_MEMBERS, Roster, VERSION,
    },
};
use crate::{
    error::{ApiError, StateError},
    gojson,
    v2::{self, Removal, Ttl, V2Error},
};

/// What a committed configuration change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// A voter or learner joined.
    Added(Member),
    /// A member left; its id is never used again.
    Removed(MemberId),
    /// A member's peer URLs changed.
    Updated(Member),
    /// A learner became a voter.
    Promoted(Member),
    /// It was not valid any more when its turn came; nothing changed.
    Rejected(ApiError),
}

/// A valid change, decoded.
#[derive(Debug)]
pub(crate) enum Change {
    Add(Member),
    Promote(MemberId),
    Update(Member),
    Remove(MemberId),
}

/// Decodes a configuration change and checks it against the membership. Contexts that a Go member
/// would panic on are refused: all members of our kind refuse them alike.
pub(crate) fn check(roster: &Roster, change: &ConfChange) -> Result<Change, ApiError> {
    let id = MemberId::new(change.node_id);
    let known = roster.members.get(&id);
    if roster.removed.contains(&id) {
        return Err(ApiError::MemberNotFound);
    }
    match ConfChangeType::try_from(change.r#type) {
        Ok(ConfChangeType::ConfChangeAddNode | ConfChangeType::ConfChangeAddLearnerNode) => {
            let context = context(change)?;
            if context.is_promote {
                return check_promote(known);
            }
            if known.is_some() {
                return Err(ApiError::MemberExists);
            }
            check_urls(roster, &context.member)?;
            let learners = roster.members.values().filter(|member| member.is_learner).count();
            if context.member.is_learner && learners >= LEARNERS_MAX {
                return Err(ApiError::TooManyLearners);
            }
            Ok(Change::Add(context.member))
        }
        Ok(ConfChangeType::ConfChangeRemoveNode) => {
            known.map(|_| Change::Remove(id)).ok_or(ApiError::MemberNotFound)
        }
        Ok(ConfChangeType::ConfChangeUpdateNode) => {
            known.ok_or(ApiError::MemberNotFound)?;
            let member = context(change)?.member;
            check_urls(roster, &member)?;
            Ok(Change::Update(member))
        }
        Err(_) => Err(malformed("unknown kind of configuration change")),
    }
}

fn check_promote(known: Option<&Member>) -> Result<Change, ApiError> {
    let member = known.ok_or(ApiError::MemberNotFound)?;
    if member.is_learner { Ok(Change::Promote(member.id)) } else { Err(ApiError::MemberNotLearner) }
}

/// No other member may have one of its peer URLs.
fn check_urls(roster: &Roster, member: &Member) -> Result<(), ApiError> {
    let others = roster.members.values().filter(|other| other.id != member.id);
    let taken: BTreeSet<&String> = others.flat_map(|other| &other.peer_urls).collect();
    if member.peer_urls.iter().any(|url| taken.contains(url)) {
        return Err(ApiError::PeerUrlExists);
    }
    Ok(())
}

fn context(change: &ConfChange) -> Result<ChangeContext, ApiError> {
    let bytes = change.context.as_deref().unwrap_or_default();
    let context: ChangeContext = serde_json::from_slice(bytes)
        .map_err(|error| malformed(&format!("context of a configuration change: {error}")))?;
    if context.member.id.get() != change.node_id {
        return Err(malformed("context of a configuration change names another member"));
    }
    Ok(context)
}

fn malformed(text: &str) -> ApiError {
    ApiError::Other(format!("membership: {text}"))
}

/// The canonical form of a version, `major.minor.patch` with what may follow; none if it is no version.
pub(crate) fn check_version(version: &str) -> Option<String> {
    let numbers = version.split(['-', '+']).next()?;
    let rest = version.get(numbers.len()..)?;
    let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [major, minor, patch] = numbers.as_slice() else { return None };
    Some(format!("{major}.{minor}.{patch}{rest}"))
}

/// Carries changes out. Entries that the backend has already seen come without a batch: they rebuild
/// the v2 store only.
pub(crate) struct Changer<'a> {
    pub(crate) store: &'a mut v2::Store,
    pub(crate) roster: &'a mut Roster,
    pub(crate) batch: Option<&'a mut WriteBatch>,
}

impl Changer<'_> {
    pub(crate) fn apply(&mut self, change: Change) -> Result<MemberEvent, StateError> {
        match change {
            Change::Add(member) => self.add(member),
            Change::Promote(id) => {
                let member = self.member(id)?;
                let member = Member { is_learner: false, ..member };
                self.rewrite(&member)?;
                Ok(MemberEvent::Promoted(member))
            }
            // The context of an update has no learner flag unless it is set: so it is cleared, as in etcd.
            Change::Update(update) => {
                let Member { peer_urls, is_learner, .. } = update;
                let member = Member { peer_urls, is_learner, ..self.member(update.id)? };
                self.rewrite(&member)?;
                Ok(MemberEvent::Updated(member))
            }
            Change::Remove(id) => self.remove(id),
        }
    }

    fn member(&self, id: MemberId) -> Result<Member, StateError> {
        let member = self.roster.members.get(&id).cloned();
        member.ok_or_else(|| StateError::Damaged(format!("member {id} is not listed")))
    }

    fn add(&mut self, member: Member) -> Result<MemberEvent, StateError> {
        let path = format!("{MEMBERS}/{}/raftAttributes", member.id);
        kept(self.store.create(&path, Some(&raft_attributes(&member)), None))?;
        self.save(&member);
        Ok(MemberEvent::Added(member))
    }

    fn rewrite(&mut self, member: &Member) -> Result<(), StateError> {
        let path = format!("{MEMBERS}/{}/raftAttributes", member.id);
        kept(self.store.update(&path, &raft_attributes(member), Ttl::default()))?;
        self.save(member);
        Ok(())
    }

    fn remove(&mut self, id: MemberId) -> Result<MemberEvent, StateError> {
        kept(self.store.delete(&format!("{MEMBERS}/{id}"), Removal::Tree))?;
        kept(self.store.create(&format!("{REMOVED_MEMBERS}/{id}"), Some(""), None))?;
        self.roster.members.remove(&id);
        self.roster.removed.insert(id);
        if let Some(batch) = &mut self.batch {
            batch.put(Bucket::MembersRemoved, id.to_string(), "removed");
            batch.delete(Bucket::Members, id.to_string());
        }
        Ok(MemberEvent::Removed(id))
    }

    /// A member published its name and client URLs. False if there never was such a member.
    pub(crate) fn set_attributes(
        &mut self,
        id: MemberId,
        attributes: Attributes,
    ) -> Result<bool, StateError> {
        let Some(member) = self.roster.members.get(&id).cloned() else {
            return Ok(self.roster.removed.contains(&id));
        };
        let path = format!("{MEMBERS}/{id}/attributes");
        kept(self.store.set(&path, Some(&attributes.to_json()), Ttl::default()))?;
        let Attributes { name, client_urls } = attributes;
        self.save(&Member { name, client_urls, ..member });
        Ok(true)
    }

    /// The version must have passed [`check_version`].
    pub(crate) fn set_version(&mut self, version: String) -> Result<(), StateError> {
        kept(self.store.set(VERSION, Some(&version), Ttl::default()))?;
        if let Some(batch) = &mut self.batch {
            batch.put(Bucket::Cluster, CLUSTER_VERSION_ROW, version.clone());
        }
        self.roster.version = Some(version);
        Ok(())
    }

    pub(crate) fn set_downgrade(&mut self, target: Option<String>) {
        let row = Downgrade {
            target_version: target.clone().unwrap_or_default(),
            enabled: target.is_some(),
        };
        if let Some(batch) = &mut self.batch {
            batch.put(Bucket::Cluster, DOWNGRADE_ROW, gojson::to_string(&row));
        }
        self.roster.downgrade = target;
    }

    fn save(&mut self, member: &Member) {
        if let Some(batch) = &mut self.batch {
            batch.put(Bucket::Members, member.id.to_string(), member.to_json());
        }
        self.roster.members.insert(member.id, member.clone());
    }
}

fn raft_attributes(member: &Member) -> String {
    let Member { peer_urls, is_learner, .. } = member.clone();
    gojson::to_string(&RaftAttributes { peer_urls, is_learner })
}

/// The roster mirrors the v2 store, so a change that passed the check cannot fail in it.
fn kept(result: Result<v2::Event, V2Error>) -> Result<(), StateError> {
    result.map(drop).map_err(|error| StateError::Damaged(format!("v2 store: {error}")))
}
