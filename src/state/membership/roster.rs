//! The membership as a value, and how it is read from the v2 store and from the backend. Facts: surface F.3, F.5.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, ControlFlow},
};

use backend::{Backend, Bucket};
use base::MemberId;
use serde::{Deserialize, Serialize};

use super::member::{Attributes, Member, RaftAttributes};
use crate::{error::StateError, v2};

pub(super) const MEMBERS: &str = "/0/members";
pub(super) const REMOVED_MEMBERS: &str = "/0/removed_members";
pub(super) const VERSION: &str = "/0/version";
pub(super) const CLUSTER_VERSION_ROW: &[u8] = b"clusterVersion";
pub(super) const DOWNGRADE_ROW: &[u8] = b"downgrade";

/// Members, removed ids and versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Roster {
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) removed: BTreeSet<MemberId>,
    /// The cluster version.
    pub(crate) version: Option<String>,
    /// Target of the downgrade under way.
    pub(crate) downgrade: Option<String>,
}

/// The `downgrade` row of the `cluster` bucket.
#[derive(Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Downgrade {
    #[serde(rename = "target-version")]
    pub(super) target_version: String,
    pub(super) enabled: bool,
}

impl Roster {
    /// What the v2 store says. Downgrades are not kept there.
    pub(crate) fn from_v2(store: &v2::Store) -> Result<Self, StateError> {
        let mut roster = Self::default();
        for name in store.list(MEMBERS) {
            let member = member_from_v2(store, name)?;
            roster.members.insert(member.id, member);
        }
        for name in store.list(REMOVED_MEMBERS) {
            roster.removed.insert(parse_id(name)?);
        }
        roster.version = store.value(VERSION).map(str::to_owned);
        Ok(roster)
    }

    /// What the backend's buckets say.
    pub(crate) fn from_backend(backend: &Backend) -> Result<Self, StateError> {
        let mut roster = Self::default();
        let mut rows = Vec::new();
        for bucket in [Bucket::Members, Bucket::MembersRemoved] {
            backend.scan(bucket, Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
                rows.push((bucket, key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })?;
        }
        for (bucket, key, value) in rows {
            let id = parse_id(&String::from_utf8_lossy(&key))?;
            if bucket == Bucket::MembersRemoved {
                roster.removed.insert(id);
                continue;
            }
            let member = Member::from_json(&value)
                .map_err(|error| StateError::Damaged(format!("row of member {id}: {error}")))?;
            roster.members.insert(id, Member { id, ..member });
        }
        if let Some(version) = backend.get(Bucket::Cluster, CLUSTER_VERSION_ROW)? {
            roster.version = Some(String::from_utf8_lossy(&version).into_owned());
        }
        roster.downgrade = downgrade(backend)?;
        Ok(roster)
    }

    /// Takes names and client URLs over from another source where this one has none.
    pub(crate) fn complete_from(&mut self, other: &Self) {
        for (id, member) in &mut self.members {
            let Some(known) = other.members.get(id) else { continue };
            if member.name.is_empty() {
                member.name.clone_from(&known.name);
            }
            if member.client_urls.is_empty() {
                member.client_urls.clone_from(&known.client_urls);
            }
        }
        if self.version.is_none() {
            self.version.clone_from(&other.version);
        }
    }
}

fn downgrade(backend: &Backend) -> Result<Option<String>, StateError> {
    let Some(row) = backend.get(Bucket::Cluster, DOWNGRADE_ROW)? else { return Ok(None) };
    let downgrade: Downgrade = serde_json::from_slice(&row)
        .map_err(|error| StateError::Damaged(format!("downgrade row: {error}")))?;
    Ok(downgrade.enabled.then_some(downgrade.target_version))
}

fn parse_id(name: &str) -> Result<MemberId, StateError> {
    name.parse().map_err(|error| StateError::Damaged(format!("member list: {error}")))
}

/// A member's folder holds `raftAttributes`, and `attributes` once it has started.
fn member_from_v2(store: &v2::Store, name: &str) -> Result<Member, StateError> {
    let id = parse_id(name)?;
    let damaged = |what: &str| StateError::Damaged(format!("v2 store, member {id}: {what}"));
    let text = store
        .value(&format!("{MEMBERS}/{name}/raftAttributes"))
        .ok_or_else(|| damaged("raftAttributes missing"))?;
    let raft: RaftAttributes =
        serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
    let attributes = match store.value(&format!("{MEMBERS}/{name}/attributes")) {
        Some(text) => serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?,
        None => Attributes::default(),
    };
    Ok(Member {
        id,
        peer_urls: raft.peer_urls,
        is_learner: raft.is_learner,
        name: attributes.name,
        client_urls: attributes.client_urls,
    })
}
