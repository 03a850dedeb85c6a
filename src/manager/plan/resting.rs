//! A node whose process does not run: the member-start table (`lineage::start`, docs/member-start.md) says what is to become of
//! it. Here its facts are filled in, and its action becomes the planner's.

use lineage::start::{self, Action, Bootstrap, Facts, Held, Spec};

use super::{
    kinds::{Dir, Kinds, Listed, Record, Run},
    table::{Obstacle, Outcome, Pending},
};

/// The outcome; nothing for a node that runs, or may.
pub(super) fn outcome(kinds: Kinds) -> Option<Outcome> {
    match kinds.run {
        Run::Stopped | Run::Pausing | Run::Looping => {}
        Run::Unknown
        | Run::Foreign
        | Run::Removed
        | Run::Starting
        | Run::Current
        | Run::Changed => return None,
    }
    // A supervisor that works on what no record names.
    if kinds.record == Record::Absent && kinds.dir == Dir::Empty && kinds.run != Run::Stopped {
        return Some(Outcome::Block(Obstacle::NoRecord));
    }
    Some(match start::action(facts(kinds)) {
        Action::Start => started(kinds, Outcome::StartOwn),
        Action::StartNew => started(kinds, Outcome::StartNew),
        Action::Join => started(kinds, Outcome::StartJoin),
        Action::Prepare => Outcome::Fresh,
        Action::AddLearner | Action::Replace | Action::RepairOrReplace => changed(kinds),
        Action::AttestLost | Action::WaitForHosts | Action::WaitForQuorum => lost(kinds.dir),
        Action::WaitForRecovery => Outcome::Wait(Pending::Fenced), // R3
        Action::WaitForDir => Outcome::Wait(Pending::DirUnknown),
        Action::WaitForRecord => Outcome::Wait(Pending::RecordUnknown), // R13
        Action::AskToAdopt => Outcome::Block(match kinds.dir {
            Dir::Damaged => Obstacle::Damaged,
            Dir::Lost => Obstacle::LostDisk,
            _ => Obstacle::NoRecord,
        }),
        Action::Alert if kinds.dir == Dir::Other => Outcome::Block(Obstacle::OtherDir), // R3
        Action::Alert => Outcome::Block(Obstacle::ForeignDir),
        Action::Retire | Action::Idle | Action::Wait => Outcome::Wait(Pending::Unforeseen),
    })
}

/// The lineage of the control group is what the agents of all hosts have agreed on.
fn facts(kinds: Kinds) -> Facts {
    let (record, bootstrap) = match kinds.record {
        Record::Unknown => (start::Record::Unreadable, Bootstrap::Silent),
        Record::Absent => (start::Record::Absent, Bootstrap::Unanimous),
        Record::Prepared => (start::Record::Prepared, Bootstrap::Unanimous),
        Record::Formed => (start::Record::Formed, Bootstrap::Formed),
    };
    Facts {
        record,
        dir: match kinds.dir {
            Dir::Unknown => start::Dir::Unread,
            Dir::Empty => start::Dir::Empty,
            Dir::Lost => start::Dir::Lost,
            Dir::Own | Dir::Fenced => start::Dir::Own,
            Dir::Stale => start::Dir::Stale,
            Dir::Damaged => start::Dir::Corrupt,
            // Without a lineage every member is another's: `adopt` would ask what it is.
            Dir::Other if kinds.record == Record::Absent => start::Dir::Own,
            Dir::Other | Dir::Foreign => start::Dir::Foreign,
        },
        listed: match kinds.listed {
            Listed::Unknown => start::Listed::Unknown,
            Listed::In => start::Listed::In,
            Listed::Unstarted => start::Listed::Unstarted,
            Listed::Out => start::Listed::Out,
        },
        held: if kinds.dir == Dir::Fenced { Held::Fenced } else { Held::Free },
        bootstrap,
        spec: Spec::Wanted,
    }
}

/// Its supervisor may be at it.
const fn started(kinds: Kinds, outcome: Outcome) -> Outcome {
    match kinds.run {
        Run::Pausing => Outcome::Wait(Pending::Pausing),
        Run::Looping => Outcome::Block(Obstacle::CrashLoop),
        _ => outcome,
    }
}

/// It leaves, or joins: only once the cluster's formation is on record.
fn changed(kinds: Kinds) -> Outcome {
    let is_listed = kinds.listed != Listed::Out;
    match (kinds.record, kinds.dir) {
        (Record::Absent | Record::Unknown, _) => Outcome::Block(Obstacle::ClusterElsewhere), // R1
        (Record::Prepared, Dir::Damaged) => Outcome::Block(Obstacle::Damaged),
        (Record::Prepared, _) if !is_listed => Outcome::Block(Obstacle::NotAMember),
        (Record::Prepared, Dir::Stale) => Outcome::Block(Obstacle::Stale),
        (Record::Prepared, _) => Outcome::Block(Obstacle::LostDisk), // R17
        (Record::Formed, _) if is_listed => Outcome::Replace,        // R17
        (Record::Formed, Dir::Empty) => Outcome::Join,
        (Record::Formed, _) => Outcome::Rejoin,
    }
}

/// Nobody says whether it is a member: what it has is evidence, to be kept as it is (R1).
const fn lost(dir: Dir) -> Outcome {
    match dir {
        Dir::Damaged => Outcome::Block(Obstacle::Damaged),
        Dir::Stale => Outcome::Block(Obstacle::Stale), // R17
        Dir::Lost => Outcome::Block(Obstacle::LostDisk),
        _ => Outcome::Wait(Pending::MembersUnknown),
    }
}
