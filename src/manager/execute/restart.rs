//! A restart that ends well or is taken back: a node that does not come up with what the spec wants runs again with what it
//! had before.

use std::time::Duration;

use tokio::time::Instant;

use super::{Step, WAIT_PAUSE};
use crate::{
    control::entry::Task,
    generate::Launch,
    observe,
    plan::{Fact, Health, NodeObservation, Process},
};

/// In the reason of a restart whose node failed with what the spec wants.
const ROLLED_BACK: &str = "rolled back: ";

/// Whether it failed because of what the spec wants: tried again it would fail again, so nobody but an operator does.
pub(crate) fn was_rolled_back(reason: &str) -> bool {
    reason.contains(ROLLED_BACK)
}

/// Why a node is not up, or not watched to the end.
enum Failure {
    /// It failed by itself.
    Node(String),
    /// Somebody else leads or wants something else, or time is up: nothing is known against it.
    Cut(String),
}

impl Step<'_> {
    /// Stops it, starts it, waits until it is healthy, and watches it for so long.
    pub(super) async fn restart(&self, node: &str, soak_ms: Option<u64>) -> Result<String, String> {
        let before = self.look_at(node).await;
        self.order(node, Task::Stop { for_good: false }).await?;
        let failure = match self.come_up(node, None, soak_ms).await {
            Ok(told) => return Ok(told),
            Err(Failure::Cut(reason)) => return Err(reason),
            Err(Failure::Node(failure)) => failure,
        };
        let was_healthy =
            before.as_ref().is_some_and(|seen| seen.health == Fact::Known(Health::Healthy));
        let launch = before.as_ref().and_then(launch_of).filter(|_| was_healthy);
        let failed = self.look_at(node).await.as_ref().and_then(launch_of);
        let Some(launch) =
            launch.filter(|launch| failed.is_none_or(|failed| !failed.changes(launch).is_empty()))
        else {
            return Err(failure);
        };
        // It would start the node with what the spec wants again.
        if !self.cluster.control.state().group.understands(3) {
            return Err(format!("{failure}; not taken back: an agent of an earlier build cannot"));
        }
        self.voice.note(format!("{node}: {failure}; it goes back to what ran before")).await;
        // What has failed is taken back, however late it is.
        let deadline = self.deadline.max(Instant::now() + self.spec.supervise.ready_timeout);
        let late = Step { deadline, ..*self };
        let back = async {
            late.order(node, Task::Stop { for_good: false }).await.map_err(Failure::Cut)?;
            late.come_up(node, Some(launch), None).await
        };
        Err(match back.await {
            Ok(_) => format!("{failure}; {ROLLED_BACK}{node} runs with what it had before"),
            Err(Failure::Node(reason) | Failure::Cut(reason)) => {
                format!("{failure}; not {ROLLED_BACK}{reason}")
            }
        })
    }

    async fn come_up(
        &self,
        node: &str,
        launch: Option<Launch>,
        soak_ms: Option<u64>,
    ) -> Result<String, Failure> {
        let judged = |reason| {
            if self.should_leave() { Failure::Cut(reason) } else { Failure::Node(reason) }
        };
        self.start(node, launch).await.map_err(judged)?;
        let nodes = [node.to_owned()];
        let told = self.await_healthy(&nodes, &|| self.should_leave()).await.map_err(judged)?;
        match soak_ms {
            Some(soak_ms) => self.soak(node, Duration::from_millis(soak_ms)).await,
            None => Ok(told),
        }
    }

    /// It stays the same process, and healthy. What is not known in the end is not taken for well.
    async fn soak(&self, node: &str, time: Duration) -> Result<String, Failure> {
        let end = Instant::now() + time;
        let pid = self.look_at(node).await.as_ref().and_then(pid_of);
        loop {
            let seen = self.look_at(node).await;
            let seen = seen.ok_or_else(|| Failure::Cut("it was not looked at".to_owned()))?;
            if let Fact::Known(Health::Unhealthy(reason)) = &seen.health {
                return Err(Failure::Node(format!("not healthy while it was watched: {reason}")));
            }
            if seen.process.known().is_some() && pid_of(&seen) != pid {
                return Err(Failure::Node("it ended while it was watched".to_owned()));
            }
            let now = Instant::now();
            match &seen.health {
                Fact::Known(_) if now >= end => return Ok(format!("healthy for {time:?}")),
                Fact::Unknown(reason) if now >= end + self.spec.supervise.ready_timeout => {
                    let text = format!("whether it is healthy is not known: {reason}");
                    return Err(Failure::Cut(text));
                }
                _ => {}
            }
            let left = end.saturating_duration_since(now);
            if now >= self.deadline || self.should_leave() {
                let text =
                    format!("it is healthy, and not watched any more, {left:?} before the end");
                return Err(Failure::Cut(text));
            }
            self.voice.waiting(format!("watching {node} for {left:?} more"));
            tokio::time::sleep(WAIT_PAUSE.min(left.max(Duration::from_millis(1)))).await;
        }
    }

    async fn look_at(&self, node: &str) -> Option<NodeObservation> {
        let observation = observe::observe(self.cluster, self.spec).await;
        observation.node(node).cloned()
    }
}

/// What its process was last started with.
fn launch_of(seen: &NodeObservation) -> Option<Launch> {
    match seen.process.known()? {
        Process::Starting(running) | Process::Running(running) => Some(running.launch.clone()),
        Process::BackingOff { launch, .. } | Process::CrashLoop { launch, .. } => {
            Some(launch.clone())
        }
        Process::Stopped { .. } | Process::Removed | Process::Foreign { .. } => None,
    }
}

fn pid_of(seen: &NodeObservation) -> Option<u32> {
    match seen.process.known()? {
        Process::Starting(running) | Process::Running(running) => Some(running.pid),
        _ => None,
    }
}
