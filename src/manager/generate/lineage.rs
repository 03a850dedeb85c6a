//! The lineage record: written by the control group before a cluster is formed, and the only source of token and initial
//! state. The spec has no say in either (R2).

use std::collections::{BTreeMap, BTreeSet};

use base::{ClusterId, Epoch, MemberId};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::Uuid;

use crate::spec::{ClusterSpec, INCARNATION_FIRST};

/// `initial-cluster-state`, a latch: `New` once, in the bootstrap that the record prepares, and `Existing` for ever after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialState {
    /// Prepared: the recorded member set may be started as a new cluster.
    New,
    /// The cluster was formed; nothing is ever started as `new` again.
    Existing,
}

impl InitialState {
    /// etcd's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Existing => "existing",
        }
    }
}

/// Identity of a cluster's current lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The cluster's identity, for life.
    pub uuid: Uuid,
    /// The lineage's token (R9).
    pub token: String,
    /// Generation; a recovery takes a higher one.
    #[serde(with = "epoch_number")]
    pub epoch: Epoch,
    /// The latch (R2).
    pub initial_state: InitialState,
    /// The members of the bootstrap: name and advertised peer URLs. They make the cluster's id, so they stay.
    pub initial_cluster: Vec<(String, Vec<String>)>,
    /// Nodes that joined later.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joined: BTreeMap<String, Joined>,
    /// Incarnations of the bootstrap's members, where not the first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub incarnations: BTreeMap<String, u64>,
    /// Nodes whose first membership has ended: their bootstrap ids are never theirs again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left: BTreeSet<String>,
}

/// How a node came into a cluster that was formed before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The id that the cluster gave it, as a number.
    pub member: u64,
    /// Whether it was given its vote.
    #[serde(default)]
    pub votes: bool,
    /// Which life of the member it is.
    #[serde(default = "first_incarnation")]
    pub incarnation: u64,
    /// The members when it joined, itself included: its `initial-cluster`.
    pub initial_cluster: Vec<(String, Vec<String>)>,
}

impl Lineage {
    /// The record that prepares a cluster's first lineage.
    #[must_use]
    pub fn first(spec: &ClusterSpec, uuid: Uuid) -> Self {
        Self {
            uuid,
            token: spec.token.clone(),
            epoch: Epoch::new(1),
            initial_state: InitialState::New,
            initial_cluster: spec.initial_cluster(),
            joined: BTreeMap::new(),
            incarnations: spec
                .nodes
                .iter()
                .filter(|node| node.incarnation != INCARNATION_FIRST)
                .map(|node| (node.name.clone(), node.incarnation))
                .collect(),
            left: BTreeSet::new(),
        }
    }

    /// What stands in the members' data dirs and records (docs/on-disk.md).
    #[must_use]
    pub fn identity(&self) -> lineage::Identity {
        lineage::Identity {
            cluster: self.uuid,
            epoch: self.epoch,
            token: self.token.clone(),
            cluster_id: Some(self.cluster_id()),
        }
    }

    /// The record that takes the place of a prepared one which never formed a cluster: a higher epoch and a token that
    /// no process of the old one has (R2, R9).
    #[must_use]
    pub fn after_abort(&self, spec: &ClusterSpec) -> Self {
        assert!(self.initial_state == InitialState::New, "a formed cluster is never given up (R2)");
        let epoch = Epoch::new(self.epoch.get() + 1);
        Self { token: format!("{}-{epoch}", spec.token), epoch, ..Self::first(spec, self.uuid) }
    }

    /// The record once the cluster is formed. It stays so for ever (R2).
    #[must_use]
    pub fn sealed(&self) -> Self {
        Self { initial_state: InitialState::Existing, ..self.clone() }
    }

    /// Cluster and member id that a node's data directory must hold: what it joined as, else what the bootstrap made it.
    /// Nothing for a node that is not in the cluster by this record.
    #[must_use]
    pub fn member(&self, node: &str) -> Option<(ClusterId, MemberId)> {
        match self.joined.get(node) {
            Some(joined) => Some((self.cluster_id(), MemberId::new(joined.member))),
            None if self.left.contains(node) => None,
            None => self.bootstrap_member(node),
        }
    }

    /// Which life of a node's member is in the cluster by this record; nothing for a node that is not.
    #[must_use]
    pub fn incarnation(&self, node: &str) -> Option<u64> {
        match self.joined.get(node) {
            Some(joined) => Some(joined.incarnation),
            None if !self.members().any(|member| member == node) => None,
            None => Some(self.incarnations.get(node).copied().unwrap_or(INCARNATION_FIRST)),
        }
    }

    /// The nodes that are in the cluster by this record, in the order of the bootstrap and then by name.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let first = self.initial_cluster.iter().map(|(name, _)| name.as_str());
        let first =
            first.filter(|name| !self.left.contains(*name) && !self.joined.contains_key(*name));
        first.chain(self.joined.keys().map(String::as_str))
    }

    /// How many have a vote, as far as is recorded: a promotion just before a crash may be missing.
    #[must_use]
    pub fn voters(&self) -> usize {
        let votes = |node: &&str| self.joined.get(*node).is_none_or(|joined| joined.votes);
        self.members().filter(votes).count()
    }

    /// The `initial-cluster` that a node is started with.
    #[must_use]
    pub fn initial_cluster_of(&self, node: &str) -> &[(String, Vec<String>)] {
        self.joined.get(node).map_or(&self.initial_cluster, |joined| &joined.initial_cluster)
    }

    /// Cluster and member id that a bootstrap by this record gives a node, by etcd's algorithm: hashes of peer URLs and
    /// token. So a data directory tells whether it is of this lineage.
    #[must_use]
    pub fn bootstrap_member(&self, node: &str) -> Option<(ClusterId, MemberId)> {
        let (_, urls) = self.initial_cluster.iter().find(|(name, _)| name == node)?;
        Some((self.cluster_id(), MemberId::new(self.member_id(urls))))
    }

    fn cluster_id(&self) -> ClusterId {
        let mut members: Vec<u64> =
            self.initial_cluster.iter().map(|(_, urls)| self.member_id(urls)).collect();
        members.sort_unstable();
        let all: Vec<u8> = members.iter().flat_map(|member| member.to_be_bytes()).collect();
        ClusterId::new(first_eight(&all))
    }

    fn member_id(&self, urls: &[String]) -> u64 {
        let mut urls = urls.to_vec();
        urls.sort();
        first_eight((urls.concat() + &self.token).as_bytes())
    }
}

/// Records of earlier builds name none.
pub(crate) const fn first_incarnation() -> u64 {
    INCARNATION_FIRST
}

fn first_eight(hashed: &[u8]) -> u64 {
    let hash = Sha1::digest(hashed);
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

mod epoch_number {
    use base::Epoch;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(epoch: &Epoch, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(epoch.get())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Epoch, D::Error> {
        u64::deserialize(from).map(Epoch::new)
    }
}
