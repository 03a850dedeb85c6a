//! What handles and the owner share outside the inbox: positions, and errands that must not be
//! lost when the inbox is full.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use wire::{raftpb, walpb};

/// What reaches the owner through its inbox. Small, as the inbox is allocated at once.
#[derive(Debug)]
pub(crate) enum Input {
    /// A normal entry's payload.
    Propose(Bytes),
    /// An encoded configuration change.
    ProposeConfChange(Bytes),
    /// A read request's context.
    ReadIndex(Bytes),
    /// From another member; unchecked.
    Step(Box<raftpb::Message>),
    /// Move leadership to this member.
    TransferLeader(u64),
    /// A message to this member was lost.
    Unreachable(u64),
    /// Start an election.
    Campaign,
    /// As if that many ticks had passed.
    AdvanceTicks(usize),
    /// Look at the errands.
    Wake,
}

/// The apply thread's verdict on the next configuration change.
#[derive(Debug)]
pub(crate) struct ChangeApplied {
    /// Nothing if the change was refused.
    pub(crate) change: Option<raftpb::ConfChange>,
    /// Gets the configuration after it. Has room for it.
    pub(crate) reply: Sender<raftpb::ConfState>,
}

/// Positions and errands.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Written by the apply thread.
    applied: AtomicU64,
    /// Written by the owner.
    commit: AtomicU64,
    /// Whether the owner waits for room in the apply queue.
    wants_room: AtomicBool,
    stopping: AtomicBool,
    errands: Mutex<Errands>,
}

/// What the owner does when it comes to it.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// A `.snap` to mark in the log; a newer one stands for the older.
    pub(crate) saved: Option<walpb::Snapshot>,
    /// Entries up to this may leave the memory.
    pub(crate) compact_to: Option<u64>,
    /// How sending a snapshot to a member ended.
    pub(crate) sent: BTreeMap<u64, bool>,
}

impl Shared {
    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Never goes back. Says whether the owner waits to hear of it.
    pub(crate) fn set_applied(&self, index: u64) -> bool {
        self.applied.fetch_max(index, Ordering::AcqRel);
        self.wants_room.load(Ordering::Acquire) && self.wants_room.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn commit(&self) -> u64 {
        self.commit.load(Ordering::Acquire)
    }

    pub(crate) fn set_commit(&self, index: u64) {
        self.commit.store(index, Ordering::Release);
    }

    pub(crate) fn want_room(&self) {
        self.wants_room.store(true, Ordering::Release);
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Changes the errands.
    pub(crate) fn leave_errand(&self, change: impl FnOnce(&mut Errands)) {
        change(&mut self.errands.lock());
    }

    /// Takes all errands.
    pub(crate) fn take_errands(&self) -> Errands {
        std::mem::take(&mut *self.errands.lock())
    }
}
