//! Tests of membership changes: validation (surface A.6), and what they leave in v2 store and rows.

use backend::WriteBatch;
use wire::raftpb::{ConfChange, ConfChangeType};

use super::*;
use crate::{error::ApiError, v2};

#[derive(Default)]
struct Cluster {
    store: v2::Store,
    roster: Roster,
    batch: WriteBatch,
}

fn member(id: u64, url: &str) -> Member {
    Member { id: MemberId::new(id), peer_urls: vec![url.to_owned()], ..Member::default() }
}

fn learner(id: u64, url: &str) -> Member {
    Member { is_learner: true, ..member(id, url) }
}

fn conf_change(kind: ConfChangeType, id: u64, context: &str) -> ConfChange {
    let context = Some(context.to_owned().into());
    ConfChange { id: 1, r#type: kind.into(), node_id: id, context }
}

fn add(member: &Member) -> ConfChange {
    let kind = if member.is_learner {
        ConfChangeType::ConfChangeAddLearnerNode
    } else {
        ConfChangeType::ConfChangeAddNode
    };
    conf_change(kind, member.id.get(), &member.to_json())
}

fn promote(id: u64) -> ConfChange {
    let context = Member::promote_context(MemberId::new(id));
    conf_change(ConfChangeType::ConfChangeAddNode, id, &context)
}

fn remove(id: u64) -> ConfChange {
    ConfChange { context: None, ..conf_change(ConfChangeType::ConfChangeRemoveNode, id, "") }
}

fn update(member: &Member) -> ConfChange {
    conf_change(ConfChangeType::ConfChangeUpdateNode, member.id.get(), &member.to_json())
}

impl Cluster {
    fn of(members: &[Member]) -> Self {
        let mut cluster = Self::default();
        for member in members {
            cluster.apply(&add(member)).unwrap();
        }
        cluster
    }

    fn changer(&mut self) -> Changer<'_> {
        let Self { store, roster, batch } = self;
        Changer { store, roster, batch: Some(batch) }
    }

    fn apply(&mut self, change: &ConfChange) -> Result<MemberEvent, ApiError> {
        let change = check(&self.roster, change)?;
        let Ok(event) = self.changer().apply(change) else { panic!("a checked change applies") };
        // The v2 store always tells the same.
        assert_eq!(
            Roster::from_v2(&self.store).map(|roster| roster.removed).ok(),
            Some(self.roster.removed.clone())
        );
        Ok(event)
    }
}

#[test]
fn additions_are_checked_in_etcd_s_order() {
    let mut cluster = Cluster::of(&[member(1, "http://a"), member(2, "http://b")]);
    cluster.apply(&remove(2)).unwrap();
    for (change, error) in [
        (add(&member(2, "http://new")), ApiError::MemberNotFound),
        (add(&member(1, "http://new")), ApiError::MemberExists),
        (add(&member(3, "http://a")), ApiError::PeerUrlExists),
        (promote(9), ApiError::MemberNotFound),
        (promote(1), ApiError::MemberNotLearner),
        (remove(9), ApiError::MemberNotFound),
        (remove(2), ApiError::MemberNotFound),
        (update(&member(9, "http://z")), ApiError::MemberNotFound),
    ] {
        assert_eq!(cluster.apply(&change), Err(error), "{change:?}");
    }
    assert!(cluster.apply(&add(&member(3, "http://b"))).is_ok(), "a removed member's URL is free");
}

#[test]
fn there_is_one_learner_at_a_time() {
    let mut cluster = Cluster::of(&[member(1, "http://a"), learner(2, "http://b")]);
    assert_eq!(cluster.apply(&add(&learner(3, "http://c"))), Err(ApiError::TooManyLearners));
    let promoted = cluster.apply(&promote(2)).unwrap();
    assert_eq!(promoted, MemberEvent::Promoted(member(2, "http://b")));
    assert!(cluster.apply(&add(&learner(3, "http://c"))).is_ok());
}

#[test]
fn an_update_may_keep_its_own_urls_and_not_take_others() {
    let mut cluster = Cluster::of(&[member(1, "http://a"), learner(2, "http://b")]);
    assert_eq!(cluster.apply(&update(&member(1, "http://b"))), Err(ApiError::PeerUrlExists));
    assert!(cluster.apply(&update(&member(1, "http://a"))).is_ok());
    cluster.apply(&update(&member(2, "http://c"))).unwrap();
    let updated = &cluster.roster.members[&MemberId::new(2)];
    assert!(!updated.is_learner, "as in etcd 3.4 and 3.5");
    assert_eq!(updated.peer_urls, ["http://c"]);
}

#[test]
fn what_a_go_member_would_panic_on_is_refused() {
    let mut cluster = Cluster::of(&[member(1, "http://a")]);
    let kind = ConfChangeType::ConfChangeAddNode;
    for change in [
        conf_change(kind, 5, "not json"),
        conf_change(kind, 5, &member(6, "http://x").to_json()),
        ConfChange { r#type: 9, ..add(&member(5, "http://x")) },
    ] {
        assert!(matches!(cluster.apply(&change), Err(ApiError::Other(_))), "{change:?}");
    }
}

#[test]
fn every_change_counts_in_the_v2_store_as_go_s_does() {
    let mut cluster = Cluster::of(&[member(1, "http://a"), learner(2, "http://b")]);
    assert_eq!(cluster.store.index(), 2);
    let attributes = Attributes { name: "n1".to_owned(), client_urls: vec!["http://c".to_owned()] };
    let id = MemberId::new(1);
    assert!(cluster.changer().set_attributes(id, attributes).unwrap());
    cluster.changer().set_version("3.5.0".to_owned()).unwrap();
    cluster.apply(&promote(2)).unwrap();
    cluster.apply(&update(&member(1, "http://d"))).unwrap();
    assert_eq!(cluster.store.index(), 6);
    cluster.apply(&remove(2)).unwrap();
    assert_eq!(cluster.store.index(), 8);
    assert_eq!(
        cluster.store.value("/0/members/1/raftAttributes"),
        Some(r#"{"peerURLs":["http://d"]}"#)
    );
    assert_eq!(
        cluster.store.value("/0/members/1/attributes"),
        Some(r#"{"name":"n1","clientURLs":["http://c"]}"#)
    );
    assert_eq!(cluster.store.value("/0/removed_members/2"), Some(""));
    let recovered = v2::Store::recover(&cluster.store.save().unwrap()).unwrap();
    assert_eq!(Roster::from_v2(&recovered).unwrap(), cluster.roster);
}

#[test]
fn attributes_of_removed_members_are_ignored_and_of_unknown_ones_an_error() {
    let mut cluster = Cluster::of(&[member(1, "http://a"), member(2, "http://b")]);
    cluster.apply(&remove(2)).unwrap();
    let index = cluster.store.index();
    assert!(cluster.changer().set_attributes(MemberId::new(2), Attributes::default()).unwrap());
    assert!(!cluster.changer().set_attributes(MemberId::new(9), Attributes::default()).unwrap());
    assert_eq!(cluster.store.index(), index);
}

#[test]
fn versions_are_three_numbers() {
    assert_eq!(check_version("3.5.0").as_deref(), Some("3.5.0"));
    assert_eq!(check_version("3.6.0-rc.1").as_deref(), Some("3.6.0-rc.1"));
    for text in ["", "3.5", "3.5.0.1", "a.b.c", "v3.5.0"] {
        assert_eq!(check_version(text), None, "{text}");
    }
}
