//! What the agent and the host's init system tell each other: readiness, the nodes' state, signs of
//! life, the end, a pid file, and the signal by which the host's nodes are stopped.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base::ErrorChain;
use disk::Disk;
use parking_lot::Mutex;
use sd_notify::NotifyState;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use super::cluster::Cluster;
use crate::supervise::{
    process::ProcessId,
    state::{NodeState, Phase},
};

/// Longest pause between two looks at what there is to tell.
const PACE_MAX: Duration = Duration::from_secs(2);
/// By how much the reconcile loop may miss the time it gave itself.
const GRACE: Duration = Duration::from_secs(60);

/// The reconcile loop's promise to come round again, so that a loop that hangs is told from one that
/// waits.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// The loop is alive and will be back within this time.
    pub(crate) fn promise(&self, within: Duration) {
        *self.0.lock() = Some(Instant::now() + within + GRACE);
    }

    /// Whether the loop keeps its promise. Before its first one nothing is held against it.
    fn is_kept(&self, now: Instant) -> bool {
        self.0.lock().is_none_or(|due| now <= due)
    }
}

/// Tells systemd, if it started this agent with `Type=notify`; elsewhere does nothing.
pub(super) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!("systemd was not notified: {error}");
    }
}

/// Tells systemd the nodes' state as it changes, and gives the signs of life that `WatchdogSec=`
/// asks for: only while the reconcile loop comes round as it promised. A loop that hangs is so killed
/// and started again by systemd; the nodes run on.
pub(super) async fn report(cluster: Arc<Cluster>) {
    let limit = sd_notify::watchdog_enabled();
    let pace = limit.map_or(PACE_MAX, |limit| PACE_MAX.min(limit / 3));
    let mut said = String::new();
    let mut is_late = false;
    loop {
        let is_alive = cluster.tools.pulse.is_kept(Instant::now());
        if is_alive {
            tell(NotifyState::Watchdog);
        } else if !is_late {
            tracing::error!("the reconcile loop hangs: no more signs of life to systemd");
        }
        is_late = !is_alive;
        let states = cluster.nodes().into_iter();
        let text = status(states.map(|(name, node)| (name, node.state.borrow().clone())));
        if text != said {
            tell(NotifyState::Status(&text));
            said = text;
        }
        tokio::time::sleep(pace).await;
    }
}

fn status(nodes: impl Iterator<Item = (String, NodeState)>) -> String {
    let each: Vec<String> =
        nodes.map(|(name, state)| format!("{name} {}", word(&state.phase))).collect();
    if each.is_empty() {
        return "agent up; no node of a spec is kept here yet".to_owned();
    }
    format!("agent up; {}", each.join(", "))
}

fn word(phase: &Phase) -> String {
    match phase {
        Phase::Down => "is down".to_owned(),
        Phase::Running(run) => format!("runs (pid {})", run.process.pid),
        Phase::Stopping(run) => format!("is stopping (pid {})", run.process.pid),
        Phase::Pausing { .. } => "ended and will be started again".to_owned(),
        Phase::Held => "ended and is held: etcd-manager status tells why".to_owned(),
        Phase::Foreign { owner } => format!("is blocked by {owner}"),
        Phase::Unknown { reason } => format!("is unknown: {reason}"),
    }
}

/// Stops the nodes of this host, all at once, and returns when they have ended. What is wanted stays
/// as it is: the next agent starts them. It needs nobody's agreement, so it works while a whole
/// cluster is shut down.
pub(super) async fn drain(cluster: Arc<Cluster>) {
    tell(NotifyState::Status("stopping the nodes of this host"));
    let spec = cluster.spec().ok().flatten();
    // An agent that was started only to stop what a killed one left may not have looked yet.
    cluster.keep_nodes(spec.as_deref()).await;
    let mut stopping = JoinSet::new();
    for (name, node) in cluster.nodes() {
        stopping.spawn(async move {
            match node.keeper.stop().await {
                Ok(()) => tracing::info!("{name}: stopped with its host's service"),
                Err(reason) => tracing::error!("{name}: not stopped: {reason}"),
            }
        });
    }
    drop(stopping.join_all().await);
}

/// Writes the pid file: the pid, and on a second line its start (clock ticks since boot) and the
/// boot, by which a reader tells this process from a later one with the same pid.
///
/// # Errors
/// The system's.
pub(super) fn write_pid_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let own = ProcessId::of(pid)?;
    let text = format!("{}\nstart={} boot={}\n", own.pid, own.start_ticks, own.boot);
    disk::replace(disk, path, text.as_bytes())
}

/// As [`write_pid_file`], where one is wanted; a failure is told, and is no reason to end.
pub(super) fn leave_pid_file(disk: &dyn Disk, path: Option<&PathBuf>) {
    let Some(path) = path else { return };
    if let Err(error) = write_pid_file(disk, path) {
        tracing::error!("the pid file {}: {}", path.display(), ErrorChain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_misses_its_own_time_is_noticed() {
        let pulse = Pulse::default();
        assert!(pulse.is_kept(Instant::now()), "nothing was promised yet");
        let later = Instant::now() + Duration::from_secs(10) + GRACE;
        pulse.promise(Duration::from_secs(9));
        assert!(pulse.is_kept(later - Duration::from_secs(2)), "late, within the grace");
        assert!(!pulse.is_kept(later));
        pulse.promise(Duration::from_secs(20));
        assert!(pulse.is_kept(later));
    }

    #[test]
    fn the_status_names_each_node() {
        let state = |phase| NodeState { phase, restarts: 0, last_end: None, is_looked_at: true };
        let nodes = [("n1".to_owned(), state(Phase::Down)), ("n2".to_owned(), state(Phase::Held))];
        assert_eq!(
            status(nodes.into_iter()),
            "agent up; n1 is down, n2 ended and is held: etcd-manager status tells why"
        );
        assert_eq!(status(std::iter::empty()), "agent up; no node of a spec is kept here yet");
    }

    #[test]
    fn a_pid_file_tells_its_process_from_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.pid");
        write_pid_file(&disk::RealDisk, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], std::process::id().to_string());
        let own = ProcessId::of(lines[0].parse().unwrap()).unwrap();
        assert_eq!(lines[1], format!("start={} boot={}", own.start_ticks, own.boot));
    }
}
