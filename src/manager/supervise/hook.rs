//! Runs an operator's hook: a program of its own process group, for a bounded time, its output kept in a file of which
//! the last lines are told. One that takes too long ends with all that it has started.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::child;

/// From SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether the group is gone.
const PAUSE: Duration = Duration::from_millis(20);
/// Of what it says so much is told.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 10;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where its output is kept until the next run.
    pub output: PathBuf,
}

/// Runs it to its end.
///
/// # Errors
/// That it could not be started, has failed or took too long, with the last lines of what it said.
pub async fn run(hook: &Hook) -> Result<(), String> {
    let shown = hook.program.display();
    let mut running = child::spawn_hook(&hook.program, &hook.environment, &hook.output)
        .map_err(|error| error.to_string())?;
    let group = running.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let ended = tokio::time::timeout(hook.timeout, running.wait()).await;
    let told = match ended {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("hook {shown} ended with {code}"),
            (None, signal) => format!("hook {shown} ended by signal {}", signal.unwrap_or(0)),
        }),
        Ok(Err(error)) => Some(format!("hook {shown}: {error}")),
        Err(_elapsed) => {
            if let Some(group) = group {
                signal(group, Signal::SIGTERM);
            }
            // One that heeds SIGTERM may tidy up.
            drop(tokio::time::timeout(GRACE, running.wait()).await);
            if let Some(group) = group {
                signal(group, Signal::SIGKILL);
            }
            // Reaped: what is left of the group is init's.
            drop(running.wait().await);
            if let Some(group) = group {
                await_gone(group).await;
            }
            Some(format!("hook {shown} took longer than {:?} and was ended", hook.timeout))
        }
    };
    let Some(told) = told else { return Ok(()) };
    let said = tail(&hook.output).unwrap_or_default();
    Err(if said.is_empty() { told } else { format!("{told}; it said: {said}") })
}

/// What it has started ends too: the next step must not begin beside it.
async fn await_gone(group: Pid) {
    let begun = tokio::time::Instant::now();
    while signal(group, Signal::SIGKILL) && begun.elapsed() < GRACE {
        tokio::time::sleep(PAUSE).await;
    }
}

/// False if there is no such group any more.
fn signal(group: Pid, signal: Signal) -> bool {
    killpg(group, signal) != Err(Errno::ESRCH)
}

fn tail(output: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(output)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let skip = lines.len().saturating_sub(TAIL_LINES);
    Ok(lines[skip..].join(" | "))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an operator's editor writes hooks so")]
    fn hook(dir: &Path, script: &str) -> Hook {
        let program = dir.join("hook");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Hook {
            program,
            environment: [variable("ETCD_MANAGER_NODE", "n1"), variable("PATH", path)].into(),
            timeout: Duration::from_secs(20),
            output: dir.join("said"),
        }
    }

    #[tokio::test]
    async fn a_hook_gets_its_variables_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let hook = hook(dir.path(), "echo \"node $ETCD_MANAGER_NODE home ${HOME-none}\"");
        assert_eq!(run(&hook).await, Ok(()));
        assert_eq!(std::fs::read_to_string(&hook.output).unwrap(), "node n1 home none\n");
    }

    #[tokio::test]
    async fn a_failed_hook_tells_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let script = "seq 1 500; echo 'the balancer does not answer' >&2; exit 3";
        let error = run(&hook(dir.path(), script)).await.unwrap_err();
        assert!(error.contains("ended with 3"), "{error}");
        assert!(error.ends_with("499 | 500 | the balancer does not answer"), "{error}");
        assert!(!error.contains(" 490 |"), "ten lines: {error}");
        let missing = Hook { program: dir.path().join("none"), ..hook(dir.path(), "") };
        let error = run(&missing).await.unwrap_err();
        assert!(error.contains("none"), "{error}");
    }

    #[tokio::test]
    async fn a_slow_hook_ends_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; sleep 1000 & echo $! $$; wait; sleep 1000";
        let hook = Hook { timeout: Duration::from_millis(300), ..hook(dir.path(), script) };
        let error = run(&hook).await.unwrap_err();
        assert!(error.contains("took longer than 300ms"), "{error}");
        let said = std::fs::read_to_string(&hook.output).unwrap();
        let pids: Vec<i32> = said.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), 2, "{said}");
        for pid in pids {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // An orphan may wait for init to reap it.
            assert!(stat.is_empty() || stat.contains(") Z "), "{pid} is gone: {stat}");
        }
    }
}
