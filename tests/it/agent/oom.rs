//! A node that the kernel kills for memory: told apart from a signal of somebody's, and no strike.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;

use super::{SOON, agent_pid};
use crate::harness::{manager::Managed, wait};

/// More than agent and shim need, and soon reached by what eats memory.
const LIMIT: &str = "134217728";

/// A control group with a limit of memory; what is in it in the end is moved out.
struct Cage(PathBuf);

impl Cage {
    /// None where this machine lets nobody make one (no root, or no memory controller).
    #[expect(clippy::disallowed_methods, reason = "a control group is a folder")]
    fn new() -> Option<Self> {
        let name = format!("em-it-{}", std::process::id());
        for (root, limit) in [("memory/", "memory.limit_in_bytes"), ("", "memory.max")] {
            let folder = Path::new("/sys/fs/cgroup").join(root).join(&name);
            if fs::create_dir_all(&folder).is_ok() {
                let cage = Self(folder);
                if fs::write(cage.0.join(limit), LIMIT).is_ok() {
                    return Some(cage);
                }
            }
        }
        None
    }

    #[expect(clippy::disallowed_methods, reason = "so a process is moved")]
    fn take(&self, process: Pid) -> Result<()> {
        let members = self.0.join("cgroup.procs");
        fs::write(&members, process.to_string()).with_context(|| members.display().to_string())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // The test's processes end just after this: it stays while one is left, and is empty then.
        let inside = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let outside = self.0.with_file_name("cgroup.procs");
        for process in inside.lines() {
            #[expect(clippy::disallowed_methods, reason = "so a process is moved")]
            fs::write(&outside, process).unwrap_or_default();
        }
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test writes its program")]
fn a_node_killed_for_memory_is_named_as_such_and_is_no_crash_loop() -> Result<()> {
    let Some(cage) = Cage::new() else {
        return Ok(()); // The classifier's own tests know the facts; only root makes control groups.
    };
    let managed = Managed::new(1, "")?;
    let (program, hungry) = (managed.root().join("program"), managed.root().join("hungry"));
    let script =
        format!("#!/bin/sh\n[ -e {} ] && exec tail /dev/zero\nexec sleep 1000\n", hungry.display());
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    managed.write_spec(&format!(
        "[defaults]\nbinary = \"{}\"\n[supervise]\nbackoff-min = \"50ms\"\nbackoff-max = \"100ms\"\nready-timeout = \"2s\"\nrestart-limit = 3\n",
        program.display()
    ))?;
    let said = managed.run(&["apply", "cluster.toml", "--timeout", "4s"])?;
    assert_eq!(said.code, 1, "it never answers: {said:?}");
    let status = managed.status()?;
    cage.take(agent_pid(&status)?)?;
    fs::write(&hungry, "")?;
    let node = super::pid_of(&status["members"][0])?;
    nix::sys::signal::kill(node, nix::sys::signal::Signal::SIGKILL)?;
    let member = wait::until_blocking(SOON, "it was killed for memory, again and again", || {
        let member = managed.status()?["members"][0].clone();
        ensure!(member["restarts"].as_u64() > Some(5), "{member}");
        ensure!(member["last_exit"]["cause"] == "out-of-memory", "{member}");
        Ok::<_, anyhow::Error>(member)
    })?;
    ensure!(member["state"] != "crash-loop", "no strike: {member}");
    ensure!(member["last_exit"]["remedy"].to_string().contains("memory"), "{member}");
    ensure!(managed.run(&["status"])?.out.contains("OOM"), "the table says so");
    fs::remove_file(&hungry)?;
    Ok(())
}
