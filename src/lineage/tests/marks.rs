//! R17: what makes a log stale.

use super::{log, mark};
use crate::{Stale, staleness};

#[test]
fn a_log_older_than_a_mark_is_stale() {
    let found = staleness(&log(3, 10), &[mark(4, 2, 1)]);
    assert!(matches!(found, Some(Stale::Term { .. })), "its term went back: {found:?}");
    let found = staleness(&log(4, 10), &[mark(4, 11, 9)]);
    assert!(matches!(found, Some(Stale::Acknowledged { .. })), "{found:?}");
    let found = staleness(&log(5, 10), &[mark(4, 11, 11)]);
    assert!(matches!(found, Some(Stale::Commit { .. })), "committed entries are gone: {found:?}");
}

#[test]
fn a_tail_that_a_later_term_cut_off_is_no_staleness() {
    assert_eq!(staleness(&log(5, 10), &[mark(4, 11, 10)]), None, "the leader of term 5 cut it");
    assert_eq!(staleness(&log(4, 11), &[mark(4, 11, 11), mark(3, 99, 2)]), None);
    assert_eq!(staleness(&log(1, 1), &[]), None);
}

#[test]
fn a_peers_mark_counts_as_the_own_one() {
    use super::{configuration, evidence, live, member};
    use crate::{Class, LostBecause};
    let three = [configuration(1, &[1, 2, 3])];
    let mut peer = live(log(2, 9), &three);
    peer.marks.insert(member(2), mark(2, 9, 9));
    let seen = evidence([(1, peer), (2, live(log(2, 8), &three))]);
    let class = seen.class(member(2));
    assert!(matches!(class, Class::Lost(LostBecause::Stale(_))), "{class}");
    assert!(matches!(seen.class(member(1)), Class::Live(_)));
}
