//! Evidence as a few hosts would give it, and what follows.

mod decisions;
mod fences;
mod marks;

use base::{Epoch, Index, MemberId, Term};
use uuid::Uuid;

use crate::{
    Attempt, Attestation, Configuration, EntryId, Evidence, Fence, FenceOrder, HighWater, Identity,
    LogPosition, LogState, RecordState, Reservation, StoreState, Word,
};

pub(super) const CLUSTER: Uuid = Uuid::from_u128(7);
pub(super) const ATTEMPT: Attempt = Attempt { epoch: Epoch::new(2), by: Uuid::from_u128(1) };

pub(super) fn member(id: u64) -> MemberId {
    MemberId::new(id)
}

pub(super) fn configuration(index: u64, voters: &[u64]) -> Configuration {
    Configuration {
        index: Index::new(index),
        term: Term::new(1),
        voters: voters.iter().copied().map(MemberId::new).collect(),
        learners: [].into(),
    }
}

pub(super) fn log(term: u64, index: u64) -> LogPosition {
    let last = EntryId { term: Term::new(term), index: Index::new(index) };
    LogPosition { term: Term::new(term), commit: Index::new(index.min(1)), last }
}

pub(super) fn identity(epoch: u64) -> Identity {
    let token = format!("token-{epoch}");
    Identity { cluster: CLUSTER, epoch: Epoch::new(epoch), token, cluster_id: None }
}

pub(super) const fn order(attempt: Attempt) -> FenceOrder {
    FenceOrder { cluster: CLUSTER, replaces: Epoch::new(1), attempt }
}

/// An agent that promised, over this log.
pub(super) fn attested(log: LogState, configurations: &[Configuration]) -> Attestation {
    let fence = Fence::new(CLUSTER, Epoch::new(1)).promise(&order(ATTEMPT));
    let applied = configurations.iter().map(|known| known.index).max().unwrap_or_default();
    Attestation {
        record: RecordState::Intact,
        fence: fence.expect("a fresh record promises"),
        dir_lineage: matches!(log, LogState::Intact(_)).then_some(Epoch::new(1)),
        log,
        store: StoreState::Intact,
        applied,
        configurations: configurations.to_vec(),
        marks: [].into(),
        reservation: Some(Reservation { term: Term::new(1), index: Index::new(1000) }),
        saw_the_end: true,
    }
}

pub(super) fn live(log: LogPosition, configurations: &[Configuration]) -> Attestation {
    attested(LogState::Intact(log), configurations)
}

pub(super) fn lost(configurations: &[Configuration]) -> Attestation {
    attested(LogState::Empty, configurations)
}

pub(super) fn amnesiac() -> Attestation {
    let word = attested(LogState::Empty, &[]);
    Attestation { record: RecordState::Absent, reservation: None, ..word }
}

pub(super) fn confirmed() -> Word {
    Word::Confirmed { by: "a test".to_owned(), attempt: ATTEMPT }
}

pub(super) fn evidence(words: impl IntoIterator<Item = (u64, Attestation)>) -> Evidence {
    Evidence {
        cluster: CLUSTER,
        replaces: Epoch::new(1),
        attempt: ATTEMPT,
        words: words
            .into_iter()
            .map(|(id, word)| (MemberId::new(id), Word::Attested(Box::new(word))))
            .collect(),
        listed: None,
        restart_failed: true,
    }
}

pub(super) fn mark(term: u64, acknowledged: u64, commit: u64) -> HighWater {
    HighWater {
        term: Term::new(term),
        acknowledged: Index::new(acknowledged),
        commit: Index::new(commit),
        revision: base::Revision::new(1),
    }
}
