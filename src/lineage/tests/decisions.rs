//! Verdicts on typical disasters.

use base::Index;

use super::{
    ATTEMPT, amnesiac, attested, configuration, confirmed, evidence, identity, live, log, lost,
    mark, member,
};
use crate::{
    Candidates, Choice, LogState, Loss, Missing, RecordState, Step, Verdict, decide, unblocked_by,
};

#[test]
fn two_lost_disks_of_three_begin_anew_from_the_third() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut gone = lost(&three);
    gone.reservation = Some(crate::Reservation { term: 1.into(), index: Index::new(12) });
    let seen = evidence([(1, live(log(1, 10), &three)), (2, gone.clone()), (3, gone)]);
    let Verdict::Choose { seed, loss, .. } = decide(&seen) else { panic!("{:?}", decide(&seen)) };
    assert_eq!(seed, member(1));
    assert_eq!(loss, Loss::AtMost { entries: 2, kept: Index::new(10) });
}

#[test]
fn two_silent_hosts_of_three_wait_for_either() {
    let three = [configuration(1, &[1, 2, 3])];
    let seen = evidence([(1, live(log(1, 10), &three))]);
    let Verdict::Wait { missing } = decide(&seen) else { panic!("silence is not death (R1)") };
    assert!(matches!(missing.as_slice(), [Missing::NotBlocked { .. }]), "{missing:?}");
    let single = [vec![Step::AnswerLost(member(2))], vec![Step::AnswerLost(member(3))]];
    assert_eq!(unblocked_by(&seen), single);
}

#[test]
fn both_confirmed_off_a_single_survivor_may_go_on_with_unknown_loss() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut seen = evidence([(1, live(log(1, 10), &three))]);
    seen.words.insert(member(2), confirmed());
    seen.words.insert(member(3), confirmed());
    assert!(matches!(decide(&seen), Verdict::Wait { .. }), "the voters might be others by now");
    seen.listed = Some(three[0].clone());
    let Verdict::Choose { loss, .. } = decide(&seen) else { panic!("{:?}", decide(&seen)) };
    assert_eq!(loss, Loss::Unknown);
}

#[test]
fn half_of_an_even_number_blocks_and_may_not_decide() {
    let four = [configuration(1, &[1, 2, 3, 4])];
    let half = evidence([(1, live(log(1, 10), &four)), (2, live(log(1, 9), &four))]);
    let Verdict::Wait { missing } = decide(&half) else { panic!("two halves could both act") };
    assert!(matches!(missing.as_slice(), [Missing::NoAuthority { have: 2, need: 3, .. }]));
    let mut more = half;
    more.words.extend(evidence([(3, lost(&four))]).words);
    let Verdict::Choose { loss, .. } = decide(&more) else { panic!("{:?}", decide(&more)) };
    assert_eq!(loss, Loss::None, "two whole logs of four meet every quorum");
}

#[test]
fn an_agent_without_memory_bars_but_does_not_decide() {
    let three = [configuration(1, &[1, 2, 3])];
    let seen = evidence([(1, live(log(1, 10), &three)), (2, amnesiac())]);
    let Verdict::Wait { missing } = decide(&seen) else { panic!("one record of three decides") };
    assert!(matches!(missing.as_slice(), [Missing::NotWitnessed { .. }]), "{missing:?}");
}

#[test]
fn a_quorum_of_intact_logs_is_restarted() {
    let three = [configuration(1, &[1, 2, 3])];
    let one = live(log(1, 10), &three);
    let seen = evidence([(1, one.clone()), (2, one), (3, lost(&three))]);
    assert_eq!(decide(&seen), Verdict::Restart);
}

#[test]
fn an_uncommitted_change_is_a_candidate() {
    let pending = [configuration(1, &[1, 2, 3]), configuration(9, &[1, 2, 3, 4])];
    let mut first = live(log(1, 10), &pending);
    first.applied = Index::new(8);
    let mut seen = evidence([(1, first), (2, lost(&pending[..1]))]);
    assert_eq!(Candidates::of(&seen).iter().count(), 2);
    let Verdict::Wait { missing } = decide(&seen) else { panic!("4 may sit in a quorum") };
    assert!(missing.iter().all(|one| matches!(one, Missing::NoAuthority { need: 3, .. })));
    seen.words.extend(evidence([(4, lost(&pending))]).words);
    assert!(matches!(decide(&seen), Verdict::Choose { .. }), "{:?}", decide(&seen));
}

#[test]
fn the_seed_has_the_greatest_last_term_then_index_and_passed_its_check() {
    let four = [configuration(1, &[1, 2, 3, 4])];
    let broken = attested(LogState::Corrupt("a record fails its CRC".to_owned()), &four);
    let seen = evidence([
        (1, live(log(2, 30), &four)),
        (2, live(log(3, 20), &four)),
        (3, broken.clone()),
        (4, broken),
    ]);
    assert!(matches!(decide(&seen), Verdict::Choose { seed, .. } if seed == member(2)), "R7");
    let mut marked = seen;
    if let Some(crate::Word::Attested(word)) = marked.words.get_mut(&member(1)) {
        word.marks.insert(member(2), mark(3, 21, 1));
    }
    assert!(matches!(decide(&marked), Verdict::Choose { seed, .. } if seed == member(1)), "R17");
}

#[test]
fn the_seeds_tail_counts_as_kept_only_if_nobody_was_in_a_later_term() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut gone = lost(&three);
    gone.reservation = Some(crate::Reservation { term: 2.into(), index: Index::new(12) });
    let mut survivor = log(1, 10);
    survivor.commit = Index::new(7);
    let seen = evidence([(1, live(survivor, &three)), (2, gone.clone()), (3, gone)]);
    let Verdict::Choose { loss, .. } = decide(&seen) else { panic!("{:?}", decide(&seen)) };
    assert_eq!(loss, Loss::AtMost { entries: 5, kept: Index::new(7) }, "R18");
}

#[test]
fn a_log_nobody_saw_end_is_not_called_whole() {
    let two = [configuration(1, &[1, 2])];
    let mut booted = live(log(1, 10), &two);
    booted.saw_the_end = false;
    booted.reservation = Some(crate::Reservation { term: 1.into(), index: Index::new(16) });
    let mut gone = lost(&two);
    gone.reservation = Some(crate::Reservation { term: 1.into(), index: Index::new(14) });
    let seen = evidence([(1, booted), (2, gone)]);
    let Verdict::Choose { loss, .. } = decide(&seen) else { panic!("{:?}", decide(&seen)) };
    assert_eq!(loss, Loss::AtMost { entries: 4, kept: Index::new(10) });
}

#[test]
fn what_an_agent_accepted_is_adopted() {
    let three = [configuration(1, &[1, 2, 3])];
    let choice = Choice { lineage: identity(5), seed: member(3), image_end: log(1, 9).last };
    let mut first = lost(&three);
    first.fence = first.fence.accept(ATTEMPT, &choice).unwrap();
    let seen = evidence([(1, first), (2, live(log(1, 10), &three))]);
    assert_eq!(decide(&seen), Verdict::Adopt { choice, loss: Loss::Unknown });
}

#[test]
fn a_newer_lineage_stops_everything() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut newer = amnesiac();
    newer.dir_lineage = Some(2.into());
    let seen = evidence([(1, live(log(1, 10), &three)), (2, newer), (3, lost(&three))]);
    let Verdict::Wait { missing } = decide(&seen) else { panic!("{:?}", decide(&seen)) };
    assert!(matches!(missing.as_slice(), [Missing::NewerLineage { .. }]), "{missing:?}");
}

#[test]
fn a_record_that_may_be_old_needs_the_others_to_vouch() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut booted = lost(&three);
    booted.record = RecordState::Unproven;
    let seen = evidence([(1, live(log(1, 10), &three)), (2, booted.clone())]);
    assert!(matches!(decide(&seen), Verdict::Wait { .. }), "R17 for the agent's own state");
    let all = evidence([(1, live(log(1, 10), &three)), (2, booted), (3, lost(&three))]);
    assert!(matches!(decide(&all), Verdict::Choose { .. }), "{:?}", decide(&all));
}

#[test]
fn an_unreadable_record_is_unknown() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut unreadable = lost(&three);
    unreadable.record = RecordState::Unreadable;
    let seen = evidence([(1, live(log(1, 10), &three)), (2, unreadable)]);
    let Verdict::Wait { missing } = decide(&seen) else { panic!("R13") };
    assert!(matches!(missing.as_slice(), [Missing::NotBlocked { .. }]), "{missing:?}");
}

#[test]
fn a_confirmation_for_another_attempt_counts_nothing() {
    let three = [configuration(1, &[1, 2, 3])];
    let mut seen = evidence([(1, live(log(1, 10), &three)), (2, lost(&three))]);
    seen.words.remove(&member(2));
    for id in [2, 3] {
        let earlier = crate::Attempt { epoch: 9.into(), ..ATTEMPT };
        let word = crate::Word::Confirmed { by: "a person".to_owned(), attempt: earlier };
        seen.words.insert(member(id), word);
    }
    seen.listed = Some(three[0].clone());
    assert!(matches!(decide(&seen), Verdict::Wait { .. }));
}
