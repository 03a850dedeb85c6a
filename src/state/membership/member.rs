//! One member: its attributes, their JSON forms, and its id. Facts: surface A.6, D.1, E.3.

use base::{ClusterId, MemberId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::{Digest, Sha1};

use crate::gojson;

/// A member of the cluster, voting or learning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Given at its addition, never used again after its removal.
    #[serde(serialize_with = "id_to_number", deserialize_with = "id_from_number")]
    pub id: MemberId,
    /// Where its peers reach it.
    #[serde(
        rename = "peerURLs",
        serialize_with = "null_if_empty",
        deserialize_with = "empty_if_null"
    )]
    pub peer_urls: Vec<String>,
    /// Whether it has no vote yet.
    #[serde(rename = "isLearner", skip_serializing_if = "is_false")]
    pub is_learner: bool,
    /// Empty until it has started.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where clients reach it; empty until it has started.
    #[serde(
        rename = "clientURLs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "empty_if_null"
    )]
    pub client_urls: Vec<String>,
}

/// The part of a member that raft needs: the v2 store's `raftAttributes`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RaftAttributes {
    #[serde(
        rename = "peerURLs",
        serialize_with = "null_if_empty",
        deserialize_with = "empty_if_null"
    )]
    pub(crate) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", skip_serializing_if = "is_false")]
    pub(crate) is_learner: bool,
}

/// What a member says of itself once it runs: the v2 store's `attributes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Its configured name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where clients reach it.
    #[serde(
        rename = "clientURLs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "empty_if_null"
    )]
    pub client_urls: Vec<String>,
}

/// The context of a `ConfChange` that adds or promotes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChangeContext {
    #[serde(flatten)]
    pub(crate) member: Member,
    #[serde(rename = "isPromote")]
    pub(crate) is_promote: bool,
}

impl Member {
    /// A voter to be, with the id that etcd gives it.
    #[must_use]
    pub fn new(name: &str, peer_urls: &[String], token: &str, now: Option<u64>) -> Self {
        Self {
            id: member_id(peer_urls, token, now),
            peer_urls: peer_urls.to_vec(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// As Go writes it: in the `members` bucket, at `/members` of the peer port, and as the context
    /// of a `ConfChange` that adds or updates.
    #[must_use]
    pub fn to_json(&self) -> String {
        gojson::to_string(self)
    }

    /// Reads what [`Member::to_json`] or a Go member wrote.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The context of a `ConfChange` (AddNode) that promotes a learner.
    #[must_use]
    pub fn promote_context(id: MemberId) -> String {
        format!(r#"{{"id":{},"peerURLs":null,"isPromote":true}}"#, id.get())
    }

    /// Whether it has ever run and said so.
    #[must_use]
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }
}

impl Attributes {
    /// As Go writes it: the value of the v2 PUT by which a member publishes itself.
    #[must_use]
    pub fn to_json(&self) -> String {
        gojson::to_string(self)
    }
}

/// The id of a member: a hash over its peer URLs, the bootstrap token (empty for an addition) and the
/// time of its addition in Unix seconds (none at bootstrap).
#[must_use]
pub fn member_id(peer_urls: &[String], token: &str, now: Option<u64>) -> MemberId {
    let mut sorted: Vec<&String> = peer_urls.iter().collect();
    sorted.sort_unstable();
    let mut hash = Sha1::new();
    for url in sorted {
        hash.update(url);
    }
    hash.update(token);
    if let Some(seconds) = now {
        hash.update(seconds.to_string());
    }
    MemberId::new(leading_u64(&hash.finalize()))
}

/// The id of a cluster: a hash over the ids of its bootstrap members. It never changes.
#[must_use]
pub fn cluster_id(members: &[MemberId]) -> ClusterId {
    let mut sorted = members.to_vec();
    sorted.sort_unstable();
    let mut hash = Sha1::new();
    for id in sorted {
        hash.update(id.get().to_be_bytes());
    }
    ClusterId::new(leading_u64(&hash.finalize()))
}

fn leading_u64(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn id_to_number<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(id.get())
}

fn id_from_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
    u64::deserialize(deserializer).map(MemberId::new)
}

/// Go writes a list that was never made as null.
fn null_if_empty<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
}

fn empty_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Member {
        Member {
            id: MemberId::new(4_604_040_285_073_729_409),
            peer_urls: vec!["http://127.0.0.1:21011".to_owned()],
            is_learner: true,
            name: "a1".to_owned(),
            client_urls: vec!["http://c?a&b".to_owned()],
        }
    }

    #[test]
    fn json_equals_go_s() {
        let text = r#"{"id":4604040285073729409,"peerURLs":["http://127.0.0.1:21011"],"isLearner":true,"name":"a1","clientURLs":["http://c?a\u0026b"]}"#;
        assert_eq!(sample().to_json(), text);
        assert_eq!(Member::from_json(text.as_bytes()).unwrap(), sample());
        let bare = Member { id: MemberId::new(5), ..Member::default() };
        assert_eq!(bare.to_json(), r#"{"id":5,"peerURLs":null}"#);
        assert_eq!(Member::from_json(bare.to_json().as_bytes()).unwrap(), bare);
    }

    #[test]
    fn contexts_are_told_apart() {
        let context = Member::promote_context(MemberId::new(7));
        let promote: ChangeContext = serde_json::from_str(&context).unwrap();
        assert!(promote.is_promote && promote.member.id == MemberId::new(7));
        let add: ChangeContext = serde_json::from_str(&sample().to_json()).unwrap();
        assert!(!add.is_promote && add.member == sample());
        let go = r#"{"id":7,"peerURLs":["u"],"isPromote":false}"#;
        assert!(!serde_json::from_str::<ChangeContext>(go).unwrap().is_promote);
    }

    #[test]
    fn ids_follow_etcd_s_algorithm() {
        // The ids of every default single-member etcd (3.4.23 and 3.5.1 print the same).
        let urls = ["http://localhost:2380".to_owned()];
        let id = member_id(&urls, "etcd-cluster", None);
        assert_eq!(id.to_string(), "8e9e05c52164694d");
        assert_eq!(cluster_id(&[id]).to_string(), "cdf818194e3a8c32");
        assert_ne!(id, member_id(&urls, "etcd-cluster", Some(1)));
        let two = ["http://b".to_owned(), "http://a".to_owned()];
        let swapped = ["http://a".to_owned(), "http://b".to_owned()];
        assert_eq!(member_id(&two, "t", Some(5)), member_id(&swapped, "t", Some(5)));
        assert_eq!(cluster_id(&[id, MemberId::new(1)]), cluster_id(&[MemberId::new(1), id]));
    }
}
