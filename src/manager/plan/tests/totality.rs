//! Every combination of facts has exactly one outcome.

use crate::plan::{
    kinds::{Dir, Kinds, Listed, Record, Run, Vital},
    resting,
    table::{self, Obstacle, Outcome, Pending, RENEWED, ROWS},
};

const RUNS: [Run; 9] = [
    Run::Unknown,
    Run::Foreign,
    Run::Removed,
    Run::Starting,
    Run::Current,
    Run::Changed,
    Run::Stopped,
    Run::Pausing,
    Run::Looping,
];

fn all() -> Vec<Kinds> {
    let mut all = Vec::new();
    for record in Record::ALL {
        for run in RUNS {
            for dir in Dir::ALL {
                for listed in Listed::ALL {
                    for vital in Vital::ALL {
                        let (record, dir) = (*record, *dir);
                        let (listed, vital) = (*listed, *vital);
                        all.push(Kinds { record, run, dir, listed, vital });
                    }
                }
            }
        }
    }
    all
}

fn alive(run: Run) -> bool {
    match run {
        Run::Starting | Run::Current | Run::Changed => true,
        Run::Unknown | Run::Foreign | Run::Removed | Run::Stopped | Run::Pausing | Run::Looping => {
            false
        }
    }
}

#[test]
fn exactly_one_row_matches_every_combination() {
    assert_eq!(all().len(), 4 * 9 * 9 * 4 * 3);
    for kinds in all() {
        let rows: Vec<_> = ROWS.iter().filter(|row| row.matches(kinds)).collect();
        let resting = usize::from(resting::outcome(kinds).is_some());
        assert_eq!(rows.len() + resting, 1, "{kinds:?}: {rows:#?}");
    }
}

#[test]
fn a_member_is_given_up_only_on_a_quorums_word_and_with_a_dir_of_its_own() {
    for kinds in all() {
        assert!(RENEWED.iter().filter(|row| row.matches(kinds)).count() < 2, "{kinds:?}");
        let given_up = table::outcome_renewed(kinds);
        let kept = table::outcome(kinds);
        if given_up != kept {
            assert_eq!(kinds.record, Record::Formed, "{kinds:?}");
            assert_ne!(kinds.listed, Listed::Unknown, "{kinds:?}");
            assert!(![Run::Unknown, Run::Foreign].contains(&kinds.run), "{kinds:?}");
            let alien = [Dir::Unknown, Dir::Other, Dir::Foreign, Dir::Fenced];
            assert!(!alien.contains(&kinds.dir), "{kinds:?}");
            assert!([Outcome::Replace, Outcome::Rejoin].contains(&given_up), "{kinds:?}");
        }
    }
}

#[test]
fn every_row_is_needed() {
    for row in ROWS.iter().chain(RENEWED) {
        assert!(all().iter().any(|kinds| row.matches(*kinds)), "{row:?}");
    }
}

/// R2: `new` only for a node that never had data, under a prepared or no record, and never beside a cluster that lists
/// it as started.
#[test]
fn new_needs_a_readable_record_that_was_not_sealed_and_a_known_empty_dir() {
    for kinds in all() {
        if [Outcome::StartNew, Outcome::Fresh].contains(&table::outcome(kinds)) {
            assert_eq!(kinds.run, Run::Stopped, "{kinds:?}");
            assert_eq!(kinds.dir, Dir::Empty, "{kinds:?}");
            assert!([Record::Absent, Record::Prepared].contains(&kinds.record), "{kinds:?}");
            assert!(![Listed::In, Listed::Out].contains(&kinds.listed), "{kinds:?}");
        }
    }
}

/// R13, R14: an unreadable record neither starts nor stops anything.
#[test]
fn an_unreadable_record_only_keeps_or_waits() {
    for kinds in all().into_iter().filter(|kinds| kinds.record == Record::Unknown) {
        let outcome = table::outcome(kinds);
        assert!(
            matches!(outcome, Outcome::Keep | Outcome::Wait(_) | Outcome::Block(_)),
            "{kinds:?}: {outcome:?}"
        );
    }
}

/// R3, R17: what is not certainly its own data is never started, lost disks not at all.
#[test]
fn only_its_own_data_is_ever_started() {
    for kinds in all() {
        let outcome = table::outcome(kinds);
        if outcome == Outcome::StartOwn {
            assert_eq!(kinds.dir, Dir::Own, "{kinds:?}");
        }
        if outcome == Outcome::StartJoin {
            assert_eq!((kinds.dir, kinds.listed), (Dir::Empty, Listed::Unstarted), "{kinds:?}");
        }
        if ![Dir::Own, Dir::Empty].contains(&kinds.dir) {
            let waits = matches!(outcome, Outcome::Keep | Outcome::Wait(_) | Outcome::Block(_));
            let anew = matches!(outcome, Outcome::Rejoin | Outcome::Replace);
            assert!(waits || anew, "{kinds:?}: {outcome:?}");
        }
    }
}

/// R5: a removed member does not come back by itself.
#[test]
fn a_member_that_a_quorum_does_not_list_is_never_started_or_restarted() {
    for kinds in all().into_iter().filter(|kinds| kinds.listed == Listed::Out) {
        let outcome = table::outcome(kinds);
        let anew = matches!(outcome, Outcome::Join | Outcome::Rejoin);
        assert!(
            anew || matches!(outcome, Outcome::Wait(_) | Outcome::Block(_)),
            "{kinds:?}: {outcome:?}"
        );
    }
}

/// R1, R5, R17: a member leaves or joins only where the record is formed and a quorum says who is in; what is not known
/// to be of this cluster stays where it is.
#[test]
fn membership_follows_the_word_of_a_quorum() {
    for kinds in all() {
        let outcome = table::outcome(kinds);
        if [Outcome::Join, Outcome::Rejoin, Outcome::Replace].contains(&outcome) {
            assert_eq!(kinds.record, Record::Formed, "{kinds:?}");
            assert_ne!(kinds.listed, Listed::Unknown, "{kinds:?}");
            assert!(!alive(kinds.run), "{kinds:?}");
            let alien = [Dir::Unknown, Dir::Other, Dir::Foreign, Dir::Fenced];
            assert!(!alien.contains(&kinds.dir), "{kinds:?}");
        }
        if outcome == Outcome::Replace {
            assert_ne!((kinds.dir, kinds.listed), (Dir::Own, Listed::In), "{kinds:?}");
        }
    }
}

#[test]
fn only_what_runs_is_kept_or_restarted() {
    for kinds in all() {
        match table::outcome(kinds) {
            Outcome::Keep => {
                assert_eq!((kinds.run, kinds.vital), (Run::Current, Vital::Healthy), "{kinds:?}");
            }
            Outcome::Restart => assert_eq!(kinds.run, Run::Changed, "{kinds:?}"),
            Outcome::StartOwn
            | Outcome::StartNew
            | Outcome::StartJoin
            | Outcome::Join
            | Outcome::Rejoin
            | Outcome::Replace
            | Outcome::Fresh => {
                assert!(!alive(kinds.run), "{kinds:?}");
            }
            Outcome::Wait(_) | Outcome::Block(_) => {}
        }
    }
}

/// R3, R17: what the host's record says of a dir goes before what the dir says.
#[test]
fn a_fenced_dir_waits_and_a_stale_one_is_replaced_on_a_quorums_word() {
    for kinds in all().into_iter().filter(|kinds| resting::outcome(*kinds).is_some()) {
        let outcome = table::outcome(kinds);
        let is_readable = kinds.record != Record::Unknown;
        if kinds.dir == Dir::Fenced && is_readable {
            assert_eq!(outcome, Outcome::Wait(Pending::Fenced), "{kinds:?}");
        }
        if kinds.dir == Dir::Stale && kinds.record == Record::Formed {
            let wanted = match kinds.listed {
                Listed::In | Listed::Unstarted => Outcome::Replace,
                Listed::Out => Outcome::Rejoin,
                Listed::Unknown => Outcome::Block(Obstacle::Stale),
            };
            assert_eq!(outcome, wanted, "{kinds:?}");
        }
    }
}

/// The planner asks the member-start table and nothing of its own: where that starts nothing, nothing starts.
#[test]
fn what_does_not_run_is_unforeseen_in_no_case() {
    for kinds in all() {
        assert_ne!(table::outcome(kinds), Outcome::Wait(Pending::Unforeseen), "{kinds:?}");
    }
}
