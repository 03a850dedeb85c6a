//! Tests of a key's history, after the example in etcd's own documentation of the key index.

use super::*;

/// put(1) put(2) tombstone(3) put(4) tombstone(5)
fn sample() -> History {
    let mut history = History::new(Found { modified: Rev::new(1, 0), created: 1, version: 1 });
    history.put(Rev::new(2, 0));
    assert!(history.tombstone(Rev::new(3, 0)));
    history.put(Rev::new(4, 0));
    assert!(history.tombstone(Rev::new(5, 0)));
    history
}

fn compacted(at: i64) -> (History, bool, Vec<i64>) {
    let mut history = sample();
    let mut keep = Vec::new();
    let gone = history.compact(at, &mut keep);
    (history, gone, keep.iter().map(|rev| rev.main).collect())
}

#[test]
fn the_common_case_is_small() {
    assert_eq!(size_of::<History>(), 24);
}

#[test]
fn a_key_exists_from_its_creation_to_its_tombstone() {
    let history = sample();
    let at = |at| history.get(at).map(|found| (found.modified.main, found.created, found.version));
    assert_eq!(at(0), None);
    assert_eq!(at(1), Some((1, 1, 1)));
    assert_eq!(at(2), Some((2, 1, 2)));
    assert_eq!(at(3), None);
    assert_eq!(at(4), Some((4, 4, 1)));
    assert_eq!(at(5), None);
    assert_eq!(at(9), None);
}

#[test]
fn a_deleted_key_cannot_be_deleted_again() {
    assert!(!sample().tombstone(Rev::new(6, 0)));
}

#[test]
fn compaction_keeps_the_newest_row_and_a_tombstone_at_exactly_its_revision() {
    assert_eq!(compacted(1).2, [1]);
    assert_eq!(compacted(2).2, [2]);
    assert_eq!(compacted(3).2, [3], "kept since 3.5.16");
    assert_eq!(compacted(4).2, [4]);
    let (_, gone, keep) = compacted(5);
    assert_eq!((gone, keep), (false, vec![5]));
    let (_, gone, keep) = compacted(6);
    assert_eq!((gone, keep), (true, vec![]));
    let (history, ..) = compacted(2);
    assert_eq!(history.get(2).map(|found| found.version), Some(2));
    assert_eq!(history.get(4).map(|found| found.created), Some(4));
}

#[test]
fn hashes_do_not_count_the_tombstone_at_the_compacted_revision() {
    let history = sample();
    let kept = |at| history.kept(at).map(|rev| rev.main);
    assert_eq!([1, 2, 3, 4, 5, 6].map(kept), [Some(1), Some(2), None, Some(4), None, None]);
}

#[test]
fn a_compacted_history_shrinks_back_to_the_common_case() {
    let mut history = History::new(Found { modified: Rev::new(2, 0), created: 2, version: 1 });
    for main in 3..10 {
        history.put(Rev::new(main, 1));
    }
    let mut keep = Vec::new();
    assert!(!history.compact(20, &mut keep));
    assert_eq!(keep, [Rev::new(9, 1)]);
    assert!(matches!(history, History::One { version: 8, created: 2, sub: 1, .. }));
    assert_eq!(history.get(8), None);
    assert_eq!(history.get(9).map(|found| found.version), Some(8));
}

#[test]
fn put_delete_put_in_one_transaction_leaves_the_last() {
    let mut history = History::new(Found { modified: Rev::new(2, 0), created: 2, version: 1 });
    assert!(history.tombstone(Rev::new(3, 0)));
    history.put(Rev::new(3, 1));
    let found = history.get(3).unwrap();
    assert_eq!((found.modified, found.created, found.version), (Rev::new(3, 1), 3, 1));
}

#[test]
fn a_history_found_to_start_with_a_tombstone_is_a_deleted_key() {
    let mut history = History::new_tombstone(Rev::new(7, 2));
    assert_eq!(history.get(7), None);
    assert!(!history.tombstone(Rev::new(8, 0)));
    assert_eq!(history.put(Rev::new(8, 0)).created, 8);
    let mut keep = Vec::new();
    assert!(!history.compact(8, &mut keep));
    assert_eq!(keep, [Rev::new(8, 0)]);
}

#[test]
fn a_key_made_anew_by_the_transaction_that_deleted_it_survives_compaction_there() {
    let mut history = History::new(Found { modified: Rev::new(2, 0), created: 2, version: 1 });
    assert!(history.tombstone(Rev::new(3, 0)));
    history.put(Rev::new(3, 1));
    assert_eq!(history.kept(3), Some(Rev::new(3, 1)));
    let mut keep = Vec::new();
    assert!(!history.compact(3, &mut keep));
    assert_eq!(keep, [Rev::new(3, 1)]);
    assert_eq!(history.get(3).map(|found| found.version), Some(1));
}
