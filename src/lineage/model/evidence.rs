//! What a coordinator has seen, as the evidence that production's `decide` takes; and the rules that a test may break.

use std::collections::BTreeMap;

use base::{Epoch, Index, MemberId, Revision, Term};
use lineage::{
    Attempt, Attestation, Configuration, EntryId, Evidence, HighWater, Hold, LogPosition, LogState,
    RecordState, Reservation, StoreState, Word,
};

use crate::world::{CLUSTER, Host, Hosts, Kind, OLD, Reach, Recorded, each, length};

/// A rule that is broken on purpose: the model must find what it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Broken {
    /// None: as in production.
    Nothing,
    /// A silent host counts as dead (R1).
    SilenceIsDeath,
    /// Whoever blocks the old lineage may decide, without a majority of the voters' agents.
    BlockingIsEnough,
    /// The longest log is the seed, whatever its term.
    SeedByLength,
    /// Configurations whose entries are not committed are no candidates.
    CommittedOnly,
    /// Promises do not survive a restart of the host.
    ForgottenPromises,
    /// An agent without a record counts like one with it.
    AmnesiacCounts,
    /// An agent put back to an older record counts, whoever else was asked (R17).
    RestoredAgentCounts,
    /// An agent put back to an older record starts its node again, though others might know better (R17).
    RestoredAgentStarts,
    /// A log older than the marks counts (R17).
    StaleLogCounts,
    /// A log that passes the marks is whole, though marks lag.
    MarksProveWhole,
    /// After an abort the same attempt may still be accepted.
    AbortedIsAccepted,
    /// What an attempt adopted is let go when the attempt is given up.
    AdoptedIsAborted,
    /// The seed's log is not looked at again before it is built from.
    ImageUnchecked,
    /// Two control groups' attempts of one epoch are the same.
    EpochsWithoutAuthor,
    /// What was accepted under an earlier attempt is not asked for.
    NothingIsAdopted,
    /// A choice that is adopted keeps the bound that was declared when it was made.
    AdoptedLossStands,
    /// The seed's uncommitted tail always counts as kept.
    TailIsKept,
    /// Nobody need tell the newest voters.
    NoFreshnessProof,
}

/// What a coordinator heard of one host under its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    Nothing,
    Attested(Box<Host>),
    Confirmed(Attempt),
}

/// How the model is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) broken: Broken,
    /// Who votes at first.
    pub(crate) first: Hosts,
    /// Marks are as new as the acknowledgements they are of. If not, there are none at all: the worst lag.
    pub(crate) marks: bool,
    /// Who led at first, elected by all.
    pub(crate) leader: usize,
    /// Agents that accepted nothing may lose patience and let their node run, without an ABORT.
    pub(crate) impatient: bool,
}

pub(crate) fn member(host: usize) -> MemberId {
    MemberId::new(u64::try_from(host).expect("a few hosts") + 1)
}

pub(crate) fn host_of(member: MemberId) -> usize {
    usize::try_from(member.get()).expect("a few hosts") - 1
}

pub(crate) fn configuration(recorded: Recorded) -> Configuration {
    Configuration {
        index: Index::new(u64::from(recorded.index)),
        term: Term::new(u64::from(recorded.term)),
        voters: each(recorded.voters).map(member).collect(),
        learners: [].into(),
    }
}

/// The evidence, as one coordinator has it.
pub(crate) fn evidence(
    setting: &Setting,
    attempt: Attempt,
    seen: &[Seen],
    listed: Option<Recorded>,
) -> Evidence {
    let mut words = BTreeMap::new();
    for (host, word) in seen.iter().enumerate() {
        let word = match word {
            Seen::Nothing if setting.broken == Broken::SilenceIsDeath => confirmed(attempt),
            Seen::Nothing => continue,
            Seen::Confirmed(said_for) => confirmed(*said_for),
            Seen::Attested(host_seen) => {
                Word::Attested(Box::new(attested(setting, host, host_seen, seen)))
            }
        };
        words.insert(member(host), word);
    }
    let needs_no_list = matches!(setting.broken, Broken::SilenceIsDeath | Broken::NoFreshnessProof);
    let first = Recorded { index: 0, term: 0, voters: setting.first };
    let listed = if needs_no_list { Some(first) } else { listed }.map(configuration);
    Evidence { cluster: CLUSTER, replaces: OLD, attempt, words, listed, restart_failed: true }
}

fn confirmed(attempt: Attempt) -> Word {
    Word::Confirmed { by: String::new(), attempt }
}

fn attested(setting: &Setting, own: usize, host: &Host, seen: &[Seen]) -> Attestation {
    let broken = setting.broken;
    let record = match host.record {
        RecordState::Absent if broken == Broken::AmnesiacCounts => RecordState::Intact,
        RecordState::Unproven if broken == Broken::RestoredAgentCounts => RecordState::Intact,
        known => known,
    };
    let mut fence = host.fence.clone();
    if broken == Broken::NothingIsAdopted && fence.accepted().is_some() {
        fence.hold = Hold::Promised;
    }
    let kept = record == RecordState::Intact;
    let dir = if host.rebuilt { Epoch::new(2) } else { OLD };
    let log = match (host.disk, host.rebuilt) {
        (false, _) => LogState::Empty,
        (true, true) => LogState::Foreign(String::new()),
        (true, false) => LogState::Intact(position(host)),
    };
    let whole = matches!(broken, Broken::MarksProveWhole | Broken::StaleLogCounts);
    Attestation {
        record,
        fence,
        dir_lineage: host.disk.then_some(dir),
        log,
        store: StoreState::Intact,
        applied: Index::new(u64::from(host.commit)),
        configurations: configurations(setting, host),
        marks: if kept { marks(setting, own, host, seen) } else { BTreeMap::new() },
        reservation: (host.record == RecordState::Intact).then(|| reservation(host.reach)),
        saw_the_end: !host.booted || whole,
    }
}

/// Its log as production reads it.
pub(crate) fn position(host: &Host) -> LogPosition {
    let (term, index) = host.last();
    LogPosition {
        term: Term::new(u64::from(host.term)),
        commit: Index::new(u64::from(host.commit)),
        last: EntryId { term: Term::new(u64::from(term)), index: Index::new(u64::from(index)) },
    }
}

/// What its record and its log know, pending changes too.
fn configurations(setting: &Setting, host: &Host) -> Vec<Configuration> {
    let mut all = vec![Recorded { index: 0, term: 0, voters: setting.first }];
    all.extend(&host.recorded);
    for (at, entry) in host.log.iter().enumerate() {
        if let Kind::Voters(voters) = entry.kind {
            let index = length(&host.log[..=at]);
            all.push(Recorded { index, term: entry.term, voters });
        }
    }
    all.sort_unstable();
    all.dedup();
    let committed = host.commit;
    all.retain(|known| setting.broken != Broken::CommittedOnly || known.index <= committed);
    all.into_iter().map(configuration).collect()
}

fn reservation(reach: Reach) -> Reservation {
    Reservation {
        term: Term::new(u64::from(reach.term)),
        index: Index::new(u64::from(reach.highest)),
    }
}

/// Its own mark, and those of all others that were heard.
fn marks(
    setting: &Setting,
    own: usize,
    host: &Host,
    seen: &[Seen],
) -> BTreeMap<MemberId, HighWater> {
    if !setting.marks || setting.broken == Broken::StaleLogCounts {
        return BTreeMap::new();
    }
    let mark = |reach: Reach| HighWater {
        term: Term::new(u64::from(reach.term)),
        acknowledged: Index::new(u64::from(reach.acknowledged)),
        commit: Index::new(u64::from(reach.commit)),
        revision: Revision::default(),
    };
    let mut marks = BTreeMap::from([(member(own), mark(host.reach))]);
    for (other, word) in seen.iter().enumerate() {
        if let Seen::Attested(seen) = word {
            marks.insert(member(other), mark(seen.reach));
        }
    }
    marks
}
