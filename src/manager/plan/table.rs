//! What is to become of one node, for every combination of facts. Of a node whose process does not run the member-start
//! table decides (`resting`); the rows here are for the others. A test enumerates all combinations.

use super::{
    kinds::{Dir, Kinds, Listed, Record, Run, Vital},
    resting,
};

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is what it should be.
    Keep,
    /// It runs with something else than the spec wants.
    Restart,
    /// It has its data: start it.
    StartOwn,
    /// It has never had data, and the prepared bootstrap names it: start it as `new`.
    StartNew,
    /// It has never had data, and the formed cluster waits for it: start it as `existing`.
    StartJoin,
    /// It has nothing, and the formed cluster does not list it: it joins as a learner.
    Join,
    /// What it has is of a member that the cluster no longer lists: into the archive with it, then it joins.
    Rejoin,
    /// The cluster lists it, and its data is lost or broken: it leaves, and joins anew (R17).
    Replace,
    /// No cluster was ever prepared, and it has nothing: it may take part in the first bootstrap.
    Fresh,
    /// Not now.
    Wait(Pending),
    /// Not without a human.
    Block(Obstacle),
}

/// Why to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pending {
    ProcessUnknown,
    RecordUnknown,
    DirUnknown,
    MembersUnknown,
    HealthUnknown,
    Starting,
    NotHealthy,
    Pausing,
    /// A recovery was promised (R3).
    Fenced,
    /// No row of the table.
    Unforeseen,
}

/// Why a human is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    HeldByOther,
    Removed,
    NotAMember,
    NoRecord,
    OtherDir,
    ForeignDir,
    DirGone,
    Damaged,
    Stale,
    LostDisk,
    CrashLoop,
    ClusterElsewhere,
}

/// The outcome for these facts.
pub(crate) fn outcome(kinds: Kinds) -> Outcome {
    if let Some(outcome) = resting::outcome(kinds) {
        return outcome;
    }
    let row = ROWS.iter().find(|row| row.matches(kinds));
    row.map_or(Outcome::Wait(Pending::Unforeseen), |row| row.outcome)
}

/// The outcome for a member that the operator gives up: by the rows for it, else as for any other.
pub(crate) fn outcome_renewed(kinds: Kinds) -> Outcome {
    let row = RENEWED.iter().find(|row| row.matches(kinds));
    row.map_or_else(|| outcome(kinds), |row| row.outcome)
}

/// One row; it matches if each fact is one of those listed.
#[derive(Debug)]
pub(crate) struct Row {
    record: &'static [Record],
    run: &'static [Run],
    dir: &'static [Dir],
    listed: &'static [Listed],
    vital: &'static [Vital],
    outcome: Outcome,
}

impl Row {
    pub(crate) fn matches(&self, kinds: Kinds) -> bool {
        self.record.contains(&kinds.record)
            && self.run.contains(&kinds.run)
            && self.dir.contains(&kinds.dir)
            && self.listed.contains(&kinds.listed)
            && self.vital.contains(&kinds.vital)
    }
}

const fn row(
    (record, run): (&'static [Record], &'static [Run]),
    dir: &'static [Dir],
    (listed, vital): (&'static [Listed], &'static [Vital]),
    outcome: Outcome,
) -> Row {
    Row { record, run, dir, listed, vital, outcome }
}

const fn wait(why: Pending) -> Outcome {
    Outcome::Wait(why)
}

const fn block(why: Obstacle) -> Outcome {
    Outcome::Block(why)
}

// Sets of kinds that rows share.
const ANY_RECORD: &[Record] = Record::ALL;
const PRESENT: &[Record] = &[Record::Prepared, Record::Formed];
const NOT_ABSENT: &[Record] = &[Record::Unknown, Record::Prepared, Record::Formed];
const NO_RECORD: &[Record] = &[Record::Absent];
const UNFORMED: &[Record] = &[Record::Unknown, Record::Absent, Record::Prepared];
const PREPARED: &[Record] = &[Record::Prepared];
const FORMED: &[Record] = &[Record::Formed];

const ALIVE: &[Run] = &[Run::Starting, Run::Current, Run::Changed];
const STARTING: &[Run] = &[Run::Starting];
const CURRENT: &[Run] = &[Run::Current];
const CHANGED: &[Run] = &[Run::Changed];
const REMOVED: &[Run] = &[Run::Removed];

const ANY_DIR: &[Dir] = Dir::ALL;
#[rustfmt::skip]
const NOT_ALIEN: &[Dir] =
    &[Dir::Unknown, Dir::Empty, Dir::Lost, Dir::Own, Dir::Damaged, Dir::Stale, Dir::Fenced];
const SERVING: &[Dir] = &[Dir::Unknown, Dir::Own, Dir::Damaged, Dir::Stale, Dir::Fenced];
const ALIEN: &[Dir] = &[Dir::Unknown, Dir::Other, Dir::Foreign, Dir::Fenced];
const LEFTOVER: &[Dir] = &[Dir::Empty, Dir::Lost, Dir::Own, Dir::Damaged, Dir::Stale];
const NOTHING: &[Dir] = &[Dir::Empty, Dir::Lost];
const EMPTY: &[Dir] = &[Dir::Empty];
const LOST: &[Dir] = &[Dir::Lost];
const OWN: &[Dir] = &[Dir::Own];
const UNREAD: &[Dir] = &[Dir::Unknown];
const DAMAGED: &[Dir] = &[Dir::Damaged];
const FOREIGN: &[Dir] = &[Dir::Foreign];
const OTHER: &[Dir] = &[Dir::Other];

const ANY_LISTED: &[Listed] = Listed::ALL;
const NOT_OUT: &[Listed] = &[Listed::Unknown, Listed::In, Listed::Unstarted];
const OUT: &[Listed] = &[Listed::Out];
const LISTED: &[Listed] = &[Listed::In, Listed::Unstarted];

const ANY_VITAL: &[Vital] = Vital::ALL;
const HEALTHY: &[Vital] = &[Vital::Healthy];
const UNHEALTHY: &[Vital] = &[Vital::Unhealthy];
const UNASKED: &[Vital] = &[Vital::Unknown];
const NOT_HEALTHY: &[Vital] = &[Vital::Unknown, Vital::Unhealthy];

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    // Whatever else is so.
    row((ANY_RECORD, &[Run::Unknown]), ANY_DIR, (ANY_LISTED, ANY_VITAL), wait(Pending::ProcessUnknown)),
    row((ANY_RECORD, &[Run::Foreign]), ANY_DIR, (ANY_LISTED, ANY_VITAL), block(Obstacle::HeldByOther)),
    row((UNFORMED, REMOVED), ANY_DIR, (ANY_LISTED, ANY_VITAL), block(Obstacle::Removed)),
    row((FORMED, REMOVED), ANY_DIR, (NOT_OUT, ANY_VITAL), block(Obstacle::Removed)),
    row((FORMED, REMOVED), ALIEN, (OUT, ANY_VITAL), block(Obstacle::Removed)),
    row((FORMED, REMOVED), LEFTOVER, (OUT, ANY_VITAL), Outcome::Rejoin),

    // It runs.
    row((ANY_RECORD, ALIVE), OTHER, (ANY_LISTED, ANY_VITAL), block(Obstacle::OtherDir)), // R3
    row((ANY_RECORD, ALIVE), FOREIGN, (ANY_LISTED, ANY_VITAL), block(Obstacle::ForeignDir)),
    row((NO_RECORD, ALIVE), NOT_ALIEN, (ANY_LISTED, ANY_VITAL), block(Obstacle::NoRecord)),
    row((NOT_ABSENT, ALIVE), NOT_ALIEN, (OUT, ANY_VITAL), block(Obstacle::NotAMember)),
    row((NOT_ABSENT, STARTING), NOT_ALIEN, (NOT_OUT, ANY_VITAL), wait(Pending::Starting)),
    // R14: an unreadable record or dir is no reason to touch what serves.
    row((NOT_ABSENT, CURRENT), SERVING, (NOT_OUT, HEALTHY), Outcome::Keep),
    row((NOT_ABSENT, CURRENT), NOTHING, (NOT_OUT, HEALTHY), block(Obstacle::DirGone)),
    row((NOT_ABSENT, CURRENT), NOT_ALIEN, (NOT_OUT, UNHEALTHY), wait(Pending::NotHealthy)),
    row((NOT_ABSENT, CURRENT), NOT_ALIEN, (NOT_OUT, UNASKED), wait(Pending::HealthUnknown)),
    row((&[Record::Unknown], CHANGED), NOT_ALIEN, (NOT_OUT, ANY_VITAL), wait(Pending::RecordUnknown)), // R13
    row((PRESENT, CHANGED), OWN, (NOT_OUT, ANY_VITAL), Outcome::Restart),
    row((PRESENT, CHANGED), UNREAD, (NOT_OUT, ANY_VITAL), wait(Pending::DirUnknown)),
    row((PRESENT, CHANGED), DAMAGED, (NOT_OUT, ANY_VITAL), block(Obstacle::Damaged)),
    row((PRESENT, CHANGED), &[Dir::Stale], (NOT_OUT, ANY_VITAL), block(Obstacle::Stale)), // R17
    row((PRESENT, CHANGED), &[Dir::Fenced], (NOT_OUT, ANY_VITAL), wait(Pending::Fenced)), // R3
    row((PRESENT, CHANGED), LOST, (NOT_OUT, ANY_VITAL), block(Obstacle::DirGone)), // R17
    row((PRESENT, CHANGED), EMPTY, (NOT_OUT, HEALTHY), block(Obstacle::DirGone)),
    row((PREPARED, CHANGED), EMPTY, (NOT_OUT, NOT_HEALTHY), Outcome::Restart),
    row((FORMED, CHANGED), EMPTY, (NOT_OUT, NOT_HEALTHY), block(Obstacle::DirGone)),
];

/// Runs of a process that is ours to end, or none.
const OURS: &[Run] = &[
    Run::Starting,
    Run::Current,
    Run::Changed,
    Run::Removed,
    Run::Stopped,
    Run::Pausing,
    Run::Looping,
];

/// A member whose incarnation the spec counts up: it leaves with its data, whatever its health. Only on a quorum's word,
/// and never for a dir that is not its own.
#[rustfmt::skip]
pub(crate) const RENEWED: &[Row] = &[
    row((FORMED, OURS), LEFTOVER, (LISTED, ANY_VITAL), Outcome::Replace),
    row((FORMED, OURS), LEFTOVER, (OUT, ANY_VITAL), Outcome::Rejoin),
];
