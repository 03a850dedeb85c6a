//! Shims that are killed, alone and with their node, and a node that does not stop when asked.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{apply, healthy_when, pid_of};
use crate::harness::{manager::Managed, wait};

const QUICK: &str = "[supervise]\nbackoff-min = \"100ms\"\n";

fn parent_of(pid: Pid) -> Result<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let parent = fields.split_whitespace().nth(1).context("ppid")?;
    Ok(Pid::from_raw(parent.parse()?))
}

/// The processes that run on this data dir, whatever the agent says.
fn running_on(managed: &Managed, node: &str) -> Result<Vec<Pid>> {
    let dir: PathBuf = managed.root().join("data").join(node);
    let mut found = Vec::new();
    for (pid, line) in managed.processes()? {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let own = format!("ETCD_DATA_DIR={}", dir.display());
        if environment.split('\0').any(|variable| variable == own) && !line.trim().is_empty() {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

#[test]
fn a_killed_shim_is_replaced_under_its_running_node() -> Result<()> {
    let managed = Managed::new(1, QUICK)?;
    apply(&managed)?;
    let node = pid_of(&managed.status()?["members"][0])?;
    assert_eq!(running_on(&managed, "n1")?, [node]);
    let shim = parent_of(node)?;
    kill(shim, Signal::SIGKILL)?;
    let said =
        |status: &serde_json::Value| status["journal"].to_string().contains("a new one takes over");
    wait::until_blocking(super::SOON, "the agent puts a new shim under it", || {
        let status = managed.status()?;
        ensure!(said(&status), "{}", status["journal"]);
        Ok::<_, anyhow::Error>(())
    })?;
    let member = healthy_when(&managed, 0, |_| true)?;
    assert_eq!(pid_of(&member)?, node, "the node was not touched");
    assert_eq!(member["restarts"], 0);
    assert_eq!(running_on(&managed, "n1")?, [node]);
    // The new shim does a shim's work: it notices the node's end, and stops it.
    kill(node, Signal::SIGKILL)?;
    let back = healthy_when(&managed, 0, |member| pid_of(member).is_ok_and(|pid| pid != node))?;
    assert_eq!(back["restarts"], 1);
    assert_eq!(running_on(&managed, "n1")?, [pid_of(&back)?]);
    let stopped = managed.run(&["stop"])?;
    ensure!(stopped.code == 0 && running_on(&managed, "n1")?.is_empty(), "{stopped:?}");
    Ok(())
}

#[test]
fn a_node_killed_with_its_shim_comes_back_once() -> Result<()> {
    let managed = Managed::new(1, QUICK)?;
    apply(&managed)?;
    let node = pid_of(&managed.status()?["members"][0])?;
    let shim = parent_of(node)?;
    // The shim is frozen first: it shall not see the end.
    kill(shim, Signal::SIGSTOP)?;
    kill(node, Signal::SIGKILL)?;
    kill(shim, Signal::SIGKILL)?;
    let back = healthy_when(&managed, 0, |member| pid_of(member).is_ok_and(|pid| pid != node))?;
    assert_eq!(back["restarts"], 1, "{back}");
    assert_eq!(back["last_exit"]["cause"], "unknown", "nobody saw it: {back}");
    assert_eq!(running_on(&managed, "n1")?, [pid_of(&back)?]);
    Ok(())
}

/// The agent may see the shim's end while the node is still dying: it must not wait for it for ever.
#[test]
fn a_node_killed_just_after_its_shim_comes_back_each_time() -> Result<()> {
    // Pauses that do not grow into a crash loop's.
    let managed = Managed::new(1, "[supervise]\nbackoff-min = \"50ms\"\nbackoff-max = \"50ms\"\n")?;
    apply(&managed)?;
    let mut member = managed.status()?["members"][0].clone();
    for _ in 0..6 {
        let node = pid_of(&member)?;
        kill(parent_of(node)?, Signal::SIGKILL)?;
        kill(node, Signal::SIGKILL)?;
        member = healthy_when(&managed, 0, |now| pid_of(now).is_ok_and(|pid| pid != node))?;
        assert_eq!(running_on(&managed, "n1")?, [pid_of(&member)?]);
    }
    Ok(())
}

#[test]
fn a_node_that_ignores_sigterm_is_killed_after_the_stop_timeout() -> Result<()> {
    let managed = Managed::new(1, "[supervise]\nstop-timeout = \"1s\"\n")?;
    apply(&managed)?;
    let node = pid_of(&managed.status()?["members"][0])?;
    // A stopped process does not even see the signal.
    kill(node, Signal::SIGSTOP)?;
    let said = managed.run(&["stop", "n1"])?;
    assert_eq!(said.code, 0, "{said:?}");
    let member = &managed.status()?["members"][0];
    assert_eq!(member["state"], "stopped", "{member}");
    assert_eq!(member["last_exit"]["cause"], "stopped");
    let text = member["last_exit"]["text"].to_string();
    ensure!(text.contains("did not stop in time and was killed"), "{text}");
    ensure!(running_on(&managed, "n1")?.is_empty(), "it is gone");
    let said = managed.run(&["start", "n1"])?;
    assert_eq!(said.code, 0, "{said:?}");
    healthy_when(&managed, 0, |_| true)?;
    Ok(())
}
