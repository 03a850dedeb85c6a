//! The rows. Exactly one matches each combination, so their order does not matter.

use super::{Action, Bootstrap, Dir, Facts, Held, Listed, Record, Spec};

/// One row: it matches if each fact is one of those listed.
#[derive(Debug)]
pub struct Row {
    /// Its records.
    pub record: &'static [Record],
    /// Its dirs.
    pub dir: &'static [Dir],
    /// Its answers of a quorum.
    pub listed: &'static [Listed],
    /// Its fences.
    pub held: &'static [Held],
    /// Its states of the bootstrap.
    pub bootstrap: &'static [Bootstrap],
    /// Its wishes.
    pub spec: &'static [Spec],
    /// What follows.
    pub action: Action,
}

impl Row {
    /// Whether it is the row for these facts.
    #[must_use]
    pub fn matches(&self, facts: Facts) -> bool {
        self.record.contains(&facts.record)
            && self.dir.contains(&facts.dir)
            && self.listed.contains(&facts.listed)
            && self.held.contains(&facts.held)
            && self.bootstrap.contains(&facts.bootstrap)
            && self.spec.contains(&facts.spec)
    }
}

const fn row(
    (record, held): (&'static [Record], &'static [Held]),
    dir: &'static [Dir],
    listed: &'static [Listed],
    (bootstrap, spec): (&'static [Bootstrap], &'static [Spec]),
    action: Action,
) -> Row {
    Row { record, dir, listed, held, bootstrap, spec, action }
}

const ABSENT: &[Record] = &[Record::Absent];
const PREPARED: &[Record] = &[Record::Prepared];
const FORMED: &[Record] = &[Record::Formed];
const RECORDED: &[Record] = &[Record::Prepared, Record::Formed];
const READABLE: &[Record] = &[Record::Absent, Record::Prepared, Record::Formed];

const ANY_DIR: &[Dir] = Dir::ALL;
const UNREAD: &[Dir] = &[Dir::Unread];
const OWN: &[Dir] = &[Dir::Own];
const EMPTY: &[Dir] = &[Dir::Empty];
const CORRUPT: &[Dir] = &[Dir::Corrupt];
const FOREIGN: &[Dir] = &[Dir::Foreign];
const NEWER: &[Dir] = &[Dir::Newer];
/// What is there must not run, and is not the lineage in force.
const GONE: &[Dir] = &[Dir::Stale, Dir::Lost, Dir::Older];
const ANY_DATA: &[Dir] = &[Dir::Own, Dir::Stale, Dir::Lost, Dir::Corrupt, Dir::Older, Dir::Newer];
#[rustfmt::skip]
const READ: &[Dir] =
    &[Dir::Own, Dir::Stale, Dir::Empty, Dir::Lost, Dir::Corrupt, Dir::Foreign, Dir::Older, Dir::Newer];
const OF_THE_LINEAGE: &[Dir] = &[Dir::Own, Dir::Stale, Dir::Lost, Dir::Corrupt, Dir::Older];

const ANY_LISTED: &[Listed] = Listed::ALL;
const IN: &[Listed] = &[Listed::In];
const UNSTARTED: &[Listed] = &[Listed::Unstarted];
const EITHER_IN: &[Listed] = &[Listed::In, Listed::Unstarted];
const NOT_OUT: &[Listed] = &[Listed::In, Listed::Unstarted, Listed::Unknown];
const OUT: &[Listed] = &[Listed::Out];
const UNASKED: &[Listed] = &[Listed::Unknown];

const ANY_HELD: &[Held] = Held::ALL;
const FREE: &[Held] = &[Held::Free];
const FENCED: &[Held] = &[Held::Fenced];

const ANY_BOOT: &[Bootstrap] = Bootstrap::ALL;
const UNANIMOUS: &[Bootstrap] = &[Bootstrap::Unanimous];
const LATCHED: &[Bootstrap] = &[Bootstrap::Formed];
const SILENT: &[Bootstrap] = &[Bootstrap::Silent];

const ANY: &[Spec] = Spec::ALL;
const WANTED: &[Spec] = &[Spec::Wanted];
const UNWANTED: &[Spec] = &[Spec::Unwanted];

/// The table.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // Whatever else is so.
    row((&[Record::Unreadable], ANY_HELD), ANY_DIR, ANY_LISTED, (ANY_BOOT, ANY), Action::WaitForRecord), // R13
    row((READABLE, ANY_HELD), UNREAD, ANY_LISTED, (ANY_BOOT, ANY), Action::WaitForDir),
    row((READABLE, FENCED), READ, ANY_LISTED, (ANY_BOOT, ANY), Action::WaitForRecovery), // R3

    // It has data, and its agent knows it.
    row((RECORDED, FREE), OWN, NOT_OUT, (ANY_BOOT, ANY), Action::Start),
    row((RECORDED, FREE), OF_THE_LINEAGE, OUT, (ANY_BOOT, WANTED), Action::AddLearner),
    row((RECORDED, FREE), OF_THE_LINEAGE, OUT, (ANY_BOOT, UNWANTED), Action::Retire),
    row((RECORDED, FREE), GONE, EITHER_IN, (ANY_BOOT, ANY), Action::Replace), // R17
    row((RECORDED, FREE), GONE, UNASKED, (ANY_BOOT, ANY), Action::AttestLost),
    row((RECORDED, FREE), CORRUPT, EITHER_IN, (ANY_BOOT, ANY), Action::RepairOrReplace),
    row((RECORDED, FREE), CORRUPT, UNASKED, (ANY_BOOT, ANY), Action::AttestLost),
    row((RECORDED, FREE), FOREIGN, ANY_LISTED, (ANY_BOOT, ANY), Action::Alert),
    row((RECORDED, FREE), NEWER, ANY_LISTED, (ANY_BOOT, ANY), Action::WaitForRecord), // R17: the record was put back

    // It has none, and was a member.
    row((FORMED, FREE), EMPTY, IN, (ANY_BOOT, ANY), Action::Replace),
    row((FORMED, FREE), EMPTY, UNSTARTED, (ANY_BOOT, ANY), Action::Join),
    row((FORMED, FREE), EMPTY, UNASKED, (ANY_BOOT, ANY), Action::AttestLost), // R2
    row((RECORDED, FREE), EMPTY, OUT, (ANY_BOOT, WANTED), Action::AddLearner),
    row((RECORDED, FREE), EMPTY, OUT, (ANY_BOOT, UNWANTED), Action::Idle),

    // It has none, and its bootstrap is prepared: `new` only while nobody knows a cluster (R2).
    row((PREPARED, FREE), EMPTY, IN, (ANY_BOOT, ANY), Action::Replace),
    row((PREPARED, FREE), EMPTY, &[Listed::Unstarted, Listed::Unknown], (UNANIMOUS, ANY), Action::StartNew),
    row((PREPARED, FREE), EMPTY, UNSTARTED, (LATCHED, ANY), Action::Join),
    row((PREPARED, FREE), EMPTY, UNASKED, (LATCHED, ANY), Action::WaitForQuorum),
    row((PREPARED, FREE), EMPTY, &[Listed::Unstarted, Listed::Unknown], (SILENT, ANY), Action::WaitForHosts),

    // Its agent knows nothing.
    row((ABSENT, FREE), ANY_DATA, ANY_LISTED, (ANY_BOOT, ANY), Action::AskToAdopt),
    row((ABSENT, FREE), FOREIGN, ANY_LISTED, (ANY_BOOT, ANY), Action::Alert),
    row((ABSENT, FREE), EMPTY, EITHER_IN, (ANY_BOOT, WANTED), Action::Replace),
    row((ABSENT, FREE), EMPTY, EITHER_IN, (ANY_BOOT, UNWANTED), Action::Idle),
    row((ABSENT, FREE), EMPTY, OUT, (ANY_BOOT, WANTED), Action::AddLearner),
    row((ABSENT, FREE), EMPTY, &[Listed::Out, Listed::Unknown], (ANY_BOOT, UNWANTED), Action::Idle),
    row((ABSENT, FREE), EMPTY, UNASKED, (UNANIMOUS, WANTED), Action::Prepare),
    row((ABSENT, FREE), EMPTY, UNASKED, (LATCHED, WANTED), Action::WaitForQuorum), // R2
    row((ABSENT, FREE), EMPTY, UNASKED, (SILENT, WANTED), Action::WaitForHosts), // R1
];
