//! The arithmetic of etcd's strict reconfiguration check: which change leaves a quorum of started members. Pure.

use std::time::Duration;

use base::{Index, MemberId};
use state::membership::Member;

/// For so long the voters must have been connected before one is added or a healthy one removed.
pub(super) const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// The part of the leader's log that a learner must have, in percent.
const READY_PERCENT: u128 = 90;

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

fn started<'a>(members: impl IntoIterator<Item = &'a Member>) -> usize {
    members.into_iter().filter(|member| member.is_started()).count()
}

/// Whether one more voter, not started yet, leaves a quorum of started ones. A single member may always get a
/// second one: that is how a restored cluster grows.
pub(super) fn may_add_voter(voters: &[Member]) -> bool {
    let (started, after) = (started(voters), voters.len() + 1);
    (started == 1 && after == 2) || started >= quorum(after)
}

/// Whether the voters without this one have a quorum of started ones.
pub(super) fn may_remove_voter(voters: &[Member], id: MemberId) -> bool {
    let others = || voters.iter().filter(|member| member.id != id);
    started(others()) >= quorum(others().count())
}

/// Whether the voters together with a learner that runs have a quorum of started ones.
pub(super) fn may_promote(voters: &[Member]) -> bool {
    started(voters) + 1 >= quorum(voters.len() + 1)
}

/// Whether a quorum of those left stays connected when a connected one of `voters` goes.
pub(super) fn leaves_quorum(voters: usize, connected: usize) -> bool {
    connected.saturating_sub(1) >= quorum(voters.saturating_sub(1))
}

/// Whether a learner that has the log up to `learner` may vote beside a leader that has it up to `leader`.
pub(super) fn is_in_sync(learner: Index, leader: Index) -> bool {
    u128::from(learner.get()) * 100 >= u128::from(leader.get()) * READY_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voters 1, 2, … of which the first ones have started.
    fn voters(all: u64, started: u64) -> Vec<Member> {
        let name = |id| if id <= started { "started".to_owned() } else { String::new() };
        (1..=all)
            .map(|id| Member { id: MemberId::new(id), name: name(id), ..Member::default() })
            .collect()
    }

    #[test]
    fn a_voter_is_added_where_a_quorum_has_started() {
        for (all, running, allowed) in
            [(1, 1, true), (2, 2, true), (2, 1, false), (3, 3, true), (3, 2, false), (4, 3, true)]
        {
            assert_eq!(may_add_voter(&voters(all, running)), allowed, "{running} of {all}");
        }
    }

    #[test]
    fn a_voter_is_removed_where_a_quorum_of_the_rest_has_started() {
        for (all, running, gone, allowed) in [
            (1, 1, 1, false),
            (2, 2, 2, true),
            (2, 1, 2, true),
            (2, 1, 1, false),
            (3, 2, 1, false),
            (3, 2, 3, true),
            (3, 3, 1, true),
            (3, 2, 9, true),
        ] {
            let verdict = may_remove_voter(&voters(all, running), MemberId::new(gone));
            assert_eq!(verdict, allowed, "{gone} of {running} of {all}");
        }
    }

    #[test]
    fn a_learner_is_promoted_where_a_quorum_has_started_with_it() {
        for (all, running, allowed) in [(1, 1, true), (2, 1, true), (3, 1, false), (3, 2, true)] {
            assert_eq!(may_promote(&voters(all, running)), allowed, "{running} of {all}");
        }
    }

    #[test]
    fn a_connected_voter_goes_only_if_the_rest_keeps_its_quorum() {
        for (all, connected, allowed) in
            [(3, 3, true), (3, 2, false), (2, 2, true), (2, 1, false), (5, 4, true), (5, 3, false)]
        {
            assert_eq!(leaves_quorum(all, connected), allowed, "{connected} of {all}");
        }
    }

    #[test]
    fn a_learner_is_in_sync_from_nine_tenths_on() {
        let of = |learner, leader| is_in_sync(Index::new(learner), Index::new(leader));
        assert!(of(90, 100) && of(100, 100) && of(1_000_000, 100));
        assert!(!of(89, 100) && !of(0, 1));
        assert!(!of(0, u64::MAX));
    }
}
