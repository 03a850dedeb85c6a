//! The only door to time: passed in wherever time matters, so that tests can hold it.

use std::{
    fmt::Debug,
    time::{Duration, Instant, SystemTime},
};

/// Time, as a parameter. Safety never depends on it (R15): it only paces and labels.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Monotonic time.
    fn now(&self) -> Instant;
    /// Wall-clock time, for labels only.
    fn wall(&self) -> SystemTime;
    /// Blocks the calling thread.
    fn sleep(&self, duration: Duration);
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the door")]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
