//! After a change of leaders: a change of membership that the last one had asked the cluster for may still be on
//! its way (R5, R15). Nothing is decided until it is in the member list or never will be.

use tokio::time::{Duration, Instant};

use super::Reconciler;
use crate::control::state::ControlState;

/// Longest time that such a call may take if the agent that made it may still run: the call's limit and
/// etcd's own for a request.
const CALL_MAX: Duration = Duration::from_secs(17);
/// The same once that agent's process has ended: its connection is closed, and etcd drops the request or has
/// proposed it already.
const ENDED_CALL_MAX: Duration = Duration::from_secs(1);
/// Pause between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(300);

/// A wait at the beginning of a reign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    until: Instant,
    /// The agent whose call it was, and in which life it made it.
    by: (u64, u64),
    has_ended: bool,
}

impl Hold {
    /// What the committed state makes necessary.
    pub(super) fn of(state: &ControlState, now: Instant) -> Option<Self> {
        let is_open = state.intent.is_some() && state.intent_is_direct;
        let by = (state.intent_by, state.intent_life);
        is_open.then(|| Self { until: now + CALL_MAX, by, has_ended: false })
    }

    /// That agent is known to be in this life now; 0 is not known.
    fn is_seen(&mut self, life: u64, now: Instant) {
        let (_, then) = self.by;
        if !self.has_ended && life != 0 && then != 0 && life != then {
            self.has_ended = true;
            self.until = self.until.min(now + ENDED_CALL_MAX);
        }
    }
}

impl Reconciler {
    /// How long to wait before the next look, if nothing may be decided yet.
    pub(super) async fn hold_left(&mut self) -> Option<Duration> {
        let mut hold = self.hold?;
        if !hold.has_ended {
            hold.is_seen(self.life_of(hold.by.0).await, Instant::now());
        }
        let left = hold.until.checked_duration_since(Instant::now());
        self.hold = left.map(|_| hold);
        left.map(|left| left.min(PAUSE))
    }

    /// The life that an agent is in, by its own word; 0 if it does not answer.
    async fn life_of(&self, member: u64) -> u64 {
        let control = &self.cluster.control;
        if control.membership().is_some_and(|(own, _)| own == member) {
            return control.life();
        }
        let state = control.state();
        let Some(agent) = state.group.agents.get(&member) else { return 0 };
        let Some(many) = &self.cluster.many else { return 0 };
        let greeting = many.peers.greet(&agent.address).await;
        greeting.ok().filter(|it| it.member == member).map_or(0, |it| it.life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(direct: bool) -> ControlState {
        ControlState {
            intent: Some("add n4".to_owned()),
            intent_is_direct: direct,
            intent_by: 7,
            intent_life: 70,
            ..ControlState::default()
        }
    }

    #[test]
    fn only_an_open_call_is_waited_for() {
        let now = Instant::now();
        assert_eq!(Hold::of(&ControlState::default(), now), None);
        assert_eq!(Hold::of(&open(false), now), None);
        assert_eq!(Hold::of(&open(true), now).unwrap().until, now + CALL_MAX);
    }

    #[test]
    fn an_agent_in_another_life_shortens_the_wait_and_a_silent_one_does_not() {
        let now = Instant::now();
        let mut hold = Hold::of(&open(true), now).unwrap();
        let long = hold.until;
        for life in [0, 70] {
            hold.is_seen(life, now);
            assert_eq!(hold.until, long, "{life}");
        }
        hold.is_seen(71, now);
        assert_eq!(hold.until, now + ENDED_CALL_MAX);
    }

    /// Records of a build that did not note lives.
    #[test]
    fn an_unknown_life_is_waited_for() {
        let now = Instant::now();
        let mut hold = Hold::of(&ControlState { intent_life: 0, ..open(true) }, now).unwrap();
        let long = hold.until;
        hold.is_seen(71, now);
        assert_eq!(hold.until, long);
    }
}
