//! Every combination of facts has exactly one row, the rows keep the rules, and the document shows them.

use std::{fs, path::Path};

use super::{Action, Bootstrap, Dir, Facts, Held, Listed, ROWS, Record, Row, Spec, action};

fn everything() -> Vec<Facts> {
    let mut all = Vec::new();
    for &record in Record::ALL {
        for &dir in Dir::ALL {
            for &listed in Listed::ALL {
                for &held in Held::ALL {
                    for &bootstrap in Bootstrap::ALL {
                        for &spec in Spec::ALL {
                            all.push(Facts { record, dir, listed, held, bootstrap, spec });
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn exactly_one_row_matches_every_combination() {
    let all = everything();
    assert_eq!(all.len(), 4 * 9 * 4 * 2 * 3 * 2);
    for facts in all {
        let rows: Vec<&Row> = ROWS.iter().filter(|row| row.matches(facts)).collect();
        assert_eq!(rows.len(), 1, "{facts:?}: {rows:#?}");
    }
}

#[test]
fn every_row_is_needed() {
    let all = everything();
    for row in ROWS {
        assert!(all.iter().any(|facts| row.matches(*facts)), "never: {row:?}");
    }
}

fn those(chosen: impl Fn(&Facts) -> bool) -> impl Iterator<Item = (Facts, Action)> {
    let facts = everything().into_iter().filter(move |facts| chosen(facts));
    facts.map(|facts| (facts, action(facts)))
}

/// What starts a node.
const STARTS: [Action; 3] = [Action::Start, Action::StartNew, Action::Join];

#[test]
fn new_is_started_only_by_a_prepared_record_on_an_empty_dir_while_nobody_knows_a_cluster() {
    for (facts, _) in those(|facts| action(*facts) == Action::StartNew) {
        assert_eq!(facts.record, Record::Prepared, "R2: {facts:?}");
        assert_eq!(facts.dir, Dir::Empty, "R2: {facts:?}");
        assert_eq!(facts.bootstrap, Bootstrap::Unanimous, "R2: {facts:?}");
    }
}

#[test]
fn a_fenced_host_starts_nothing() {
    for (facts, action) in those(|facts| facts.held == Held::Fenced) {
        assert!(!STARTS.contains(&action), "R3: {facts:?} {action:?}");
    }
}

#[test]
fn stale_older_foreign_and_corrupt_dirs_are_never_started() {
    let unfit = |facts: &Facts| {
        let unfit = [
            Dir::Stale,
            Dir::Lost,
            Dir::Older,
            Dir::Newer,
            Dir::Foreign,
            Dir::Corrupt,
            Dir::Unread,
        ];
        unfit.contains(&facts.dir)
    };
    for (facts, action) in those(unfit) {
        assert!(!STARTS.contains(&action), "R3, R7, R17: {facts:?} {action:?}");
    }
}

#[test]
fn a_member_that_lost_its_disk_never_starts_empty() {
    let lost = |facts: &Facts| {
        facts.dir == Dir::Lost || facts.dir == Dir::Empty && facts.listed == Listed::In
    };
    for (facts, action) in those(lost) {
        assert!(!STARTS.contains(&action), "R17: {facts:?} {action:?}");
    }
}

#[test]
fn an_unreadable_record_waits() {
    for (facts, action) in those(|facts| facts.record == Record::Unreadable) {
        assert_eq!(action, Action::WaitForRecord, "R13: {facts:?}");
    }
}

#[test]
fn membership_changes_only_on_a_quorums_word() {
    let changes = [Action::AddLearner, Action::Replace, Action::RepairOrReplace, Action::Retire];
    for (facts, _) in those(|facts| changes.contains(&action(*facts))) {
        assert_ne!(facts.listed, Listed::Unknown, "R1, R6: {facts:?}");
    }
}

#[test]
fn data_without_a_record_is_touched_by_adopt_alone() {
    let data = |facts: &Facts| {
        facts.record == Record::Absent && facts.dir == Dir::Own && facts.held == Held::Free
    };
    for (facts, action) in those(data) {
        assert_eq!(action, Action::AskToAdopt, "{facts:?}");
    }
}

/// The rows as they stand in the document.
fn rendered() -> String {
    let words = |all: Vec<&'static str>, count: usize| {
        if all.len() == count { "any".to_owned() } else { all.join(" / ") }
    };
    let mut text = String::from(
        "| record | data dir | member list | fence | bootstrap | spec | what is done |\n|---|---|---|---|---|---|---|\n",
    );
    for row in ROWS {
        let cells = [
            words(row.record.iter().map(|one| one.word()).collect(), Record::ALL.len()),
            words(row.dir.iter().map(|one| one.word()).collect(), Dir::ALL.len()),
            words(row.listed.iter().map(|one| one.word()).collect(), Listed::ALL.len()),
            words(row.held.iter().map(|one| one.word()).collect(), Held::ALL.len()),
            words(row.bootstrap.iter().map(|one| one.word()).collect(), Bootstrap::ALL.len()),
            words(row.spec.iter().map(|one| one.word()).collect(), Spec::ALL.len()),
            row.action.word().to_owned(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn the_document_shows_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/member-start.md");
    let text = fs::read_to_string(path).expect("docs/member-start.md");
    let rendered = rendered();
    assert!(text.contains(&rendered), "docs/member-start.md must hold this table:\n{rendered}");
}
