//! When a node that ended is started again. Pure: time and randomness come in.

use std::{collections::VecDeque, time::Duration};

use super::classify::Verdict;

/// Limits of the restart policy, from `[supervise]` of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// First pause.
    pub backoff_min: Duration,
    /// Longest pause; also how long a run must last to count as good.
    pub backoff_max: Duration,
    /// Strikes within the window that make a crash loop.
    pub restart_limit: u32,
    /// The window.
    pub restart_window: Duration,
}

/// What an agent goes by until it has a spec.
impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            restart_limit: 5,
            restart_window: Duration::from_secs(600),
        }
    }
}

/// One end of a run, as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// What the table says.
    pub verdict: Verdict,
    /// How long the run lasted.
    pub lasted: Duration,
    /// Monotonic time of the end, from any fixed origin.
    pub at: Duration,
    /// Uniform in 0..1.
    pub random: f64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Leave it down.
    Hold,
    /// Start it after a pause.
    Restart {
        /// The pause.
        after: Duration,
    },
    /// It ends again and again: start it after the longest pause, and say so.
    CrashLoop {
        /// The pause.
        after: Duration,
        /// Strikes within the window.
        strikes: u32,
    },
}

/// What the policy remembers of a node.
#[derive(Debug, Clone, Default)]
pub struct RestartHistory {
    strikes: VecDeque<Duration>,
    short_runs: u32,
}

impl RestartHistory {
    /// Decides on an end and remembers it.
    pub fn decide(&mut self, policy: &Policy, end: End) -> Decision {
        if end.verdict == Verdict::Hold {
            *self = Self::default();
            return Decision::Hold;
        }
        if end.lasted >= policy.backoff_max {
            self.short_runs = 0;
        }
        let pause = pause(policy, self.short_runs, end.random);
        self.short_runs = self.short_runs.saturating_add(1);
        if end.verdict == Verdict::Strike {
            self.strikes.push_back(end.at);
        }
        while self.strikes.front().is_some_and(|at| *at + policy.restart_window < end.at) {
            self.strikes.pop_front();
        }
        let strikes = u32::try_from(self.strikes.len()).unwrap_or(u32::MAX);
        if strikes >= policy.restart_limit {
            // Bounded: the newest strikes are enough to stay over the limit.
            self.strikes.pop_front();
            return Decision::CrashLoop { after: policy.backoff_max, strikes };
        }
        Decision::Restart { after: pause }
    }

    /// Forgets everything: an operator or a new configuration starts afresh.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Doubles with each short run up to the maximum; between half and all of it, at random, so that
/// nodes that fell together do not rise together.
fn pause(policy: &Policy, short_runs: u32, random: f64) -> Duration {
    let doubled = policy.backoff_min.saturating_mul(2u32.saturating_pow(short_runs.min(20)));
    let full = doubled.min(policy.backoff_max);
    full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> Policy {
        Policy {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            restart_limit: 3,
            restart_window: Duration::from_secs(60),
        }
    }

    fn strike(at: u64) -> End {
        End {
            verdict: Verdict::Strike,
            lasted: Duration::from_millis(10),
            at: Duration::from_secs(at),
            random: 1.0,
        }
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let policy = Policy { restart_limit: 100, ..policy() };
        let mut history = RestartHistory::default();
        let pauses: Vec<Decision> = (0..9).map(|at| history.decide(&policy, strike(at))).collect();
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        let expected: Vec<Decision> = expected
            .map(|ms| Decision::Restart { after: Duration::from_millis(ms) })
            .into_iter()
            .collect();
        assert_eq!(pauses, expected);
    }

    #[test]
    fn as_many_strikes_as_the_limit_within_the_window_are_a_crash_loop() {
        let mut history = RestartHistory::default();
        for at in 0..2 {
            assert!(matches!(history.decide(&policy(), strike(at)), Decision::Restart { .. }));
        }
        let looping = Decision::CrashLoop { after: Duration::from_secs(10), strikes: 3 };
        assert_eq!(history.decide(&policy(), strike(2)), looping);
        assert_eq!(history.decide(&policy(), strike(12)), looping);
        let later = history.decide(&policy(), strike(1000));
        assert!(matches!(later, Decision::Restart { .. }), "{later:?}");
    }

    #[test]
    fn a_good_run_starts_with_the_shortest_pause_again() {
        let policy = Policy { restart_limit: 100, ..policy() };
        let mut history = RestartHistory::default();
        history.decide(&policy, strike(0));
        history.decide(&policy, strike(1));
        let good = End { lasted: Duration::from_secs(10), ..strike(20) };
        let shortest = Decision::Restart { after: Duration::from_millis(100) };
        assert_eq!(history.decide(&policy, good), shortest);
    }

    #[test]
    fn waiting_ends_never_become_a_crash_loop() {
        let mut history = RestartHistory::default();
        for at in 0..50 {
            let end = End { verdict: Verdict::Wait, ..strike(at) };
            assert!(matches!(history.decide(&policy(), end), Decision::Restart { .. }));
        }
    }

    #[test]
    fn a_held_node_stays_down() {
        let end = End { verdict: Verdict::Hold, ..strike(0) };
        assert_eq!(RestartHistory::default().decide(&policy(), end), Decision::Hold);
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(runs in 0u32..1000, random in 0.0f64..1.0) {
            let pause = pause(&policy(), runs, random);
            prop_assert!(pause >= policy().backoff_min / 2);
            prop_assert!(pause <= policy().backoff_max);
        }
    }
}
