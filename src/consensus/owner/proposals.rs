//! Proposals on their way into the log: many in one message, and patient while there is no leader.

use std::collections::VecDeque;

use raft::{
    StateRole,
    eraftpb::{Entry, EntryType, Message, MessageType},
};

use super::{Owner, start::UNCOMMITTED_BYTES_MAX};
use crate::Host;

/// Proposals proposed at once, in bytes of payload.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Proposals that may wait for a leader.
const WAITING_MAX: usize = 16_384;
/// What they may hold together.
const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Configuration changes that may wait.
const CHANGES_WAITING_MAX: usize = 128;
/// A proposal that found no leader for this many election timeouts is dropped; its proposer has
/// given up.
const PATIENCE_ELECTIONS: u64 = 5;

/// Proposals not yet given to raft.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    normal: Vec<Entry>,
    normal_bytes: usize,
    /// How many of `normal` came in which tick, oldest first.
    ages: VecDeque<(u64, usize)>,
    /// Configuration changes and when they came: one at a time.
    changes: VecDeque<(u64, Entry)>,
}

impl Proposals {
    /// Queues an entry; what does not fit is dropped, as a message may be.
    pub(super) fn add(&mut self, entry: Entry, tick: u64) {
        if entry.entry_type != EntryType::EntryNormal {
            if self.changes.len() < CHANGES_WAITING_MAX {
                self.changes.push_back((tick, entry));
            }
            return;
        }
        if self.normal.len() >= WAITING_MAX || self.normal_bytes >= WAITING_BYTES_MAX {
            tracing::debug!("too many proposals wait for a leader; one is dropped");
            return;
        }
        self.normal_bytes += entry.data.len();
        self.normal.push(entry);
        match self.ages.back_mut() {
            Some((at, count)) if *at == tick => *count += 1,
            _ => self.ages.push_back((tick, 1)),
        }
    }

    /// Drops what waited too long at `now`; `election` is an election timeout in ticks.
    pub(super) fn expire(&mut self, now: u64, election: u64) {
        let oldest = now.saturating_sub(election.saturating_mul(PATIENCE_ELECTIONS));
        let mut expired = 0;
        while let Some((at, count)) = self.ages.front().copied()
            && at < oldest
        {
            expired += count;
            self.ages.pop_front();
        }
        for entry in self.normal.drain(..expired) {
            self.normal_bytes -= entry.data.len();
        }
        self.changes.retain(|(at, _)| *at >= oldest);
        if expired > 0 {
            tracing::warn!(expired, "proposals found no leader");
        }
    }

    /// The next entries to propose together.
    fn take_batch(&mut self) -> Vec<Entry> {
        if self.normal_bytes <= BATCH_BYTES_MAX {
            self.normal_bytes = 0;
            self.ages.clear();
            return std::mem::take(&mut self.normal);
        }
        let mut bytes = 0;
        let fits = self.normal.iter().take_while(|entry| {
            bytes += entry.data.len();
            bytes <= BATCH_BYTES_MAX
        });
        let count = fits.count().max(1);
        let rest = self.normal.split_off(count);
        let batch = std::mem::replace(&mut self.normal, rest);
        self.normal_bytes -= batch.iter().map(|entry| entry.data.len()).sum::<usize>();
        let mut left = count;
        while let Some((_, age)) = self.ages.front_mut()
            && left > 0
        {
            let taken = left.min(*age);
            *age -= taken;
            left -= taken;
            if *age == 0 {
                self.ages.pop_front();
            }
        }
        batch
    }
}

impl<H: Host> Owner<H> {
    /// Gives waiting proposals to raft, as far as it can take them.
    pub(super) fn propose_waiting(&mut self) {
        while !self.proposals.normal.is_empty() && self.takes_proposals() {
            let batch = self.proposals.take_batch();
            self.propose(batch);
        }
        while !self.proposals.changes.is_empty() && self.takes_changes() {
            let Some((_, change)) = self.proposals.changes.pop_front() else { return };
            self.propose(vec![change]);
        }
    }

    fn propose(&mut self, entries: Vec<Entry>) {
        let message = Message {
            msg_type: MessageType::MsgPropose,
            from: self.raw.raft.id,
            entries: entries.into(),
            ..Message::default()
        };
        if let Err(error) = self.raw.raft.step(message) {
            tracing::debug!(%error, "raft did not take proposals");
        }
    }

    /// Whether raft would keep proposals, or has a leader to pass them on to.
    fn takes_proposals(&self) -> bool {
        let raft = &self.raw.raft;
        if raft.state != StateRole::Leader {
            return raft.leader_id != raft::INVALID_ID;
        }
        let uncommitted = u64::try_from(raft.uncommitted_size()).unwrap_or(u64::MAX);
        raft.lead_transferee.is_none()
            && raft.prs().get(raft.id).is_some()
            && uncommitted < UNCOMMITTED_BYTES_MAX
    }

    /// A leader turns a change into an empty entry while another is not applied, and nobody hears
    /// of it: so it waits here.
    fn takes_changes(&self) -> bool {
        let raft = &self.raw.raft;
        let in_flight = raft.state == StateRole::Leader && raft.has_pending_conf();
        self.takes_proposals() && !in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { data: vec![0; bytes].into(), ..Entry::default() }
    }

    #[test]
    fn batches_are_limited_by_bytes_but_never_empty() {
        let mut proposals = Proposals::default();
        for bytes in [5, 1, 1, 3] {
            proposals.add(entry(bytes * 1024 * 1024), 0);
        }
        let batches: Vec<usize> = (0..4).map(|_| proposals.take_batch().len()).collect();
        assert_eq!(batches, [1, 2, 1, 0]);
        assert_eq!((proposals.normal_bytes, proposals.ages.len()), (0, 0));
    }

    #[test]
    fn proposals_expire_by_age_and_keep_count() {
        let mut proposals = Proposals::default();
        let mut change = entry(0);
        change.entry_type = EntryType::EntryConfChange;
        proposals.add(change, 0);
        for tick in [0, 0, 1, 60] {
            proposals.add(entry(10), tick);
        }
        proposals.expire(50, 10);
        assert_eq!((proposals.normal.len(), proposals.changes.len()), (4, 1));
        proposals.expire(61, 10);
        assert_eq!((proposals.normal.len(), proposals.normal_bytes), (1, 10));
        assert_eq!(proposals.changes.len(), 0);
        assert_eq!(proposals.take_batch().len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let mut proposals = Proposals::default();
        for _ in 0..WAITING_MAX + 5 {
            proposals.add(entry(1), 0);
        }
        assert_eq!(proposals.normal.len(), WAITING_MAX);
    }
}
