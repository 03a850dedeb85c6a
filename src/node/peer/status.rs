//! Whether a peer is active, and since when: set by every channel to it, read by the checks of
//! membership changes and by leader transfer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base::{Clock, MemberId};
use parking_lot::Mutex;

use super::metrics::PeerCounters;

/// A peer's liveness as its channels see it.
#[derive(Debug)]
pub(crate) struct PeerStatus {
    id: MemberId,
    clock: Arc<dyn Clock>,
    counters: Arc<PeerCounters>,
    since: Mutex<Option<Instant>>,
}

impl PeerStatus {
    pub(crate) fn new(id: MemberId, clock: Arc<dyn Clock>, counters: Arc<PeerCounters>) -> Self {
        Self { id, clock, counters, since: Mutex::new(None) }
    }

    /// A channel to the peer works.
    pub(crate) fn activate(&self) {
        let mut since = self.since.lock();
        if since.is_none() {
            *since = Some(self.clock.now());
            self.counters.active.set(1);
            tracing::info!(peer = %self.id, "peer became active");
        }
    }

    /// A channel to the peer failed; `action` names it.
    pub(crate) fn deactivate(&self, action: &str, error: &dyn std::fmt::Display) {
        if self.since.lock().take().is_some() {
            self.counters.active.set(0);
            self.counters.disconnected.add(1);
            tracing::warn!(peer = %self.id, action, %error, "peer became inactive");
        } else {
            tracing::debug!(peer = %self.id, action, %error, "peer is still inactive");
        }
    }

    pub(crate) fn active_since(&self) -> Option<Instant> {
        *self.since.lock()
    }

    /// For how long it has been active.
    pub(crate) fn active_for(&self) -> Option<Duration> {
        self.active_since().map(|since| self.clock.now().saturating_duration_since(since))
    }
}
