//! R3: what a promise forbids.

use base::Epoch;
use uuid::Uuid;

use super::{ATTEMPT, CLUSTER, identity, log, member, order};
use crate::{Attempt, Choice, Fence, FenceOrder, Hold, Refusal};

fn fresh() -> Fence {
    Fence::new(CLUSTER, Epoch::new(1))
}

fn attempt(epoch: u64) -> Attempt {
    Attempt { epoch: Epoch::new(epoch), by: ATTEMPT.by }
}

fn choice(epoch: u64) -> Choice {
    Choice { lineage: identity(epoch), seed: member(1), image_end: log(1, 9).last }
}

#[test]
fn a_promise_stops_the_lineage_until_it_is_aborted_or_opened() {
    let fence = fresh();
    assert_eq!(fence.permits(&identity(1)), Ok(()));
    let promised = fence.promise(&order(attempt(2))).unwrap();
    assert!(matches!(promised.permits(&identity(1)), Err(Refusal::Fenced { .. })));
    assert_eq!(promised.abort(attempt(2)).permits(&identity(1)), Ok(()));
    let accepted = promised.accept(attempt(2), &choice(2)).unwrap();
    assert_eq!(accepted.abort(attempt(2)).permits(&identity(1)), Ok(()), "its own choice ends");
    let opened = promised.accept(attempt(2), &choice(2)).unwrap().open(&choice(2));
    assert!(matches!(opened.permits(&identity(1)), Err(Refusal::OtherLineage { .. })), "R3");
    assert_eq!(opened.permits(&identity(2)), Ok(()));
    assert_eq!(opened.open(&choice(2)), opened, "told twice");
}

#[test]
fn an_epoch_is_promised_once() {
    let promised = fresh().promise(&order(attempt(3))).unwrap();
    assert_eq!(promised.promise(&order(attempt(3))), Ok(promised.clone()), "asked again");
    let rival = Attempt { epoch: Epoch::new(3), by: Uuid::from_u128(2) };
    assert!(matches!(promised.promise(&order(rival)), Err(Refusal::Spent { .. })));
    assert!(matches!(promised.promise(&order(attempt(2))), Err(Refusal::Spent { .. })));
    let released = promised.abort(attempt(3));
    assert!(matches!(released.promise(&order(attempt(3))), Err(Refusal::Spent { .. })));
    assert!(released.promise(&order(attempt(4))).is_ok());
}

#[test]
fn an_attempt_given_up_is_not_accepted_any_more() {
    let released = fresh().promise(&order(attempt(2))).unwrap().abort(attempt(2));
    let late = released.accept(attempt(2), &choice(2));
    assert!(matches!(late, Err(Refusal::Spent { .. })), "the lineage may have gone on since");
    let newer = fresh().promise(&order(attempt(2))).unwrap().promise(&order(attempt(3))).unwrap();
    assert!(newer.accept(attempt(2), &choice(2)).is_err());
}

#[test]
fn what_was_accepted_is_kept_and_told() {
    let accepted = fresh().promise(&order(attempt(2))).unwrap().accept(attempt(2), &choice(2));
    let later = accepted.unwrap().promise(&order(attempt(3))).unwrap();
    assert_eq!(later.accepted().map(|kept| &kept.choice), Some(&choice(2)));
    assert_eq!(later.abort(attempt(2)), later, "another attempt asks for it");
    assert_eq!(later.abort(attempt(3)), later, "attempt 2 may have been opened");
    assert!(matches!(later.hold, Hold::Accepted(_)));
    let adopted = later.accept(attempt(3), &choice(2)).unwrap();
    assert_eq!(adopted.abort(attempt(3)), adopted, "the first attempt may have opened it");
    assert_eq!(adopted.open(&choice(2)).hold, Hold::Free);
}

#[test]
fn a_log_that_changed_since_is_not_the_image() {
    assert!(choice(2).is_image(&log(1, 9)));
    assert!(!choice(2).is_image(&log(1, 8)));
    assert!(!choice(2).is_image(&log(2, 9)));
}

#[test]
fn orders_of_others_are_refused() {
    let other = Fence::new(Uuid::from_u128(99), Epoch::new(1));
    assert!(matches!(other.promise(&order(attempt(2))), Err(Refusal::OtherCluster { .. })));
    assert!(matches!(other.permits(&identity(1)), Err(Refusal::OtherCluster { .. })));
    let later = Fence::new(CLUSTER, Epoch::new(5));
    assert!(matches!(later.promise(&order(attempt(9))), Err(Refusal::OtherLineage { .. })));
    assert!(matches!(fresh().permits(&identity(2)), Err(Refusal::OtherLineage { .. })));
}

#[test]
fn a_fence_survives_its_file() {
    let accepted = fresh().promise(&order(attempt(2))).unwrap().accept(attempt(2), &choice(2));
    for fence in [fresh(), accepted.unwrap()] {
        let text = serde_json::to_string(&fence).unwrap();
        assert_eq!(serde_json::from_str::<Fence>(&text).unwrap(), fence, "{text}");
    }
}

#[test]
fn a_bootstrap_that_was_given_up_never_comes_back() {
    let second = fresh().succeed(CLUSTER, Epoch::new(2)).unwrap();
    assert!(matches!(second.permits(&identity(1)), Err(Refusal::OtherLineage { .. })), "R3");
    assert_eq!(second.permits(&identity(2)), Ok(()));
    assert_eq!(second.succeed(CLUSTER, Epoch::new(2)), Ok(second.clone()), "told twice");
    assert!(matches!(second.succeed(CLUSTER, Epoch::new(1)), Err(Refusal::Spent { .. })));
    let spent = second.promise(&order_of(2, attempt(5))).unwrap().abort(attempt(5));
    assert!(matches!(spent.succeed(CLUSTER, Epoch::new(5)), Err(Refusal::Spent { .. })), "R9");
    let held = second.promise(&order_of(2, attempt(6))).unwrap();
    assert!(matches!(held.succeed(CLUSTER, Epoch::new(7)), Err(Refusal::Fenced { .. })));
}

fn order_of(replaces: u64, attempt: Attempt) -> FenceOrder {
    FenceOrder { cluster: CLUSTER, replaces: Epoch::new(replaces), attempt }
}
