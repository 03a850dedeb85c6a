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

impl Step<'_> {
    /// Stops it, starts it, waits until it is healthy, and watches it for so long.
    pub(super) async fn restart(&self, node: &str, soak_ms: Option<u64>) -> Result<String, String> {
        let before = self.look_at(node).await;
        self.order(node, Task::Stop { for_good: false }).await?;
        let failure = match self.come_up(node, None, soak_ms).await {
            Ok(told) => return Ok(told),
            Err(failure) => failure,
        };
        let was_healthy =
            before.as_ref().is_some_and(|seen| seen.health == Fact::Known(Health::Healthy));
        let launch = before.as_ref().and_then(launch_of).filter(|_| was_healthy);
        let failed = self.look_at(node).await.as_ref().and_then(launch_of);
        let Some(launch) = launch.filter(|launch| {
            !self.should_leave() && failed.is_none_or(|failed| !failed.changes(launch).is_empty())
        }) else {
            return Err(failure);
        };
        self.voice.note(format!("{node}: {failure}; it goes back to what ran before")).await;
        let back = async {
            self.order(node, Task::Stop { for_good: false }).await?;
            self.come_up(node, Some(launch), None).await
        };
        Err(match back.await {
            Ok(_) => format!("{failure}; {ROLLED_BACK}{node} runs with what it had before"),
            Err(reason) => format!("{failure}; not {ROLLED_BACK}{reason}"),
        })
    }

    async fn come_up(
        &self,
        node: &str,
        launch: Option<Launch>,
        soak_ms: Option<u64>,
    ) -> Result<String, String> {
        self.start(node, launch).await?;
        let nodes = [node.to_owned()];
        let told = self.await_healthy(&nodes, &|| self.should_leave()).await?;
        match soak_ms {
            Some(soak_ms) => self.soak(node, Duration::from_millis(soak_ms)).await,
            None => Ok(told),
        }
    }

    /// It stays the same process, and healthy.
    async fn soak(&self, node: &str, time: Duration) -> Result<String, String> {
        let end = Instant::now() + time;
        let pid = self.look_at(node).await.as_ref().and_then(pid_of);
        loop {
            let seen = self.look_at(node).await.ok_or("it was not looked at")?;
            if let Fact::Known(Health::Unhealthy(reason)) = &seen.health {
                return Err(format!("not healthy while it was watched: {reason}"));
            }
            if seen.process.known().is_some() && pid_of(&seen) != pid {
                return Err("it ended while it was watched".to_owned());
            }
            let now = Instant::now();
            if now >= end {
                return Ok(format!("healthy for {time:?}"));
            }
            if now >= self.deadline || self.should_leave() {
                return Err(format!("not watched any more, {:?} before the end", end - now));
            }
            self.voice.waiting(format!("watching {node} for {:?} more", end - now));
            tokio::time::sleep(WAIT_PAUSE.min(end - now)).await;
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
