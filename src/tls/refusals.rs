//! Says that connections were refused, without letting those who knock fill the log.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::server::HandshakeError;

/// Lines in each [`PERIOD`]; further refusals are counted.
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// The refusals of one listener. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u32,
    unsaid: u64,
}

impl Refusals {
    /// Logs a refused connection in etcd's words, at a limited rate.
    pub fn log(&self, from: SocketAddr, error: &HandshakeError) {
        if let Some(unsaid) = self.may_say(Instant::now()) {
            tracing::warn!(remote_addr = %from, error = %error, not_logged = unsaid, "rejected connection");
        }
    }

    /// Whether one may be said now, and how many were not since the last.
    fn may_say(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            state.since = Some(now);
            state.lines = 0;
        }
        if state.lines >= LINES_MAX {
            state.unsaid += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_limit_are_counted_and_told_later() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for _ in 0..LINES_MAX {
            assert_eq!(refusals.may_say(start), Some(0));
        }
        assert_eq!(refusals.may_say(start), None);
        assert_eq!(refusals.may_say(start + PERIOD / 2), None);
        assert_eq!(refusals.may_say(start + PERIOD), Some(2));
        assert_eq!(refusals.may_say(start + PERIOD), Some(0));
    }
}
