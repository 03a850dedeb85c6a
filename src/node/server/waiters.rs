//! Who waits for which request id to be applied.

use std::collections::HashMap;

use parking_lot::Mutex;
use state::{ApiError, Response, membership::Member};
use tokio::sync::oneshot;

/// What a waiter gets.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A request was applied.
    Applied(Result<Response, ApiError>),
    /// A configuration change was applied; the members after it.
    Members(Result<Vec<Member>, ApiError>),
}

/// Requests under way, by id. Split into shards so that many clients do not queue for one lock.
#[derive(Debug)]
pub(super) struct Waiters {
    shards: [Mutex<HashMap<u64, oneshot::Sender<Outcome>>>; SHARDS],
}

const SHARDS: usize = 16;

/// A place in the table, given up when dropped.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    waiters: &'a Waiters,
    id: u64,
    /// Resolves with the outcome.
    pub(super) outcome: oneshot::Receiver<Outcome>,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, oneshot::Sender<Outcome>>> {
        &self.shards[usize::try_from(id % 16).unwrap_or(0)]
    }

    /// Starts to wait for an id.
    pub(super) fn register(&self, id: u64) -> Ticket<'_> {
        let (sender, outcome) = oneshot::channel();
        self.shard(id).lock().insert(id, sender);
        Ticket { waiters: self, id, outcome }
    }

    /// Whether a client waits for it.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        self.shard(id).lock().contains_key(&id)
    }

    /// Nothing is applied any more: all who wait are told that the server has stopped.
    pub(super) fn abandon(&self) {
        for shard in &self.shards {
            drop(std::mem::take(&mut *shard.lock()));
        }
    }

    /// Hands the outcome to whoever waits.
    pub(super) fn complete(&self, id: u64, outcome: Outcome) {
        let waiter = self.shard(id).lock().remove(&id);
        if let Some(waiter) = waiter {
            // A client that has left needs no answer.
            drop(waiter.send(outcome));
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.waiters.shard(self.id).lock().remove(&self.id);
    }
}
