//! Control state that is damaged under a dead agent: nothing is done, nothing is deleted, nodes run on (R13, R14).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};

use super::{agent_pid, apply, pid_of};
use crate::harness::{ctl, manager::Managed, oracle::Version, wait};

/// Every file below, with its content.
fn files(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for item in fs::read_dir(root)? {
        let path = item?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            let content = fs::read(&path)?;
            found.push((path, content));
        }
    }
    found.sort();
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "a failing disk damages files so")]
fn damage(control: &Path) -> Result<()> {
    for (path, mut content) in files(control)? {
        if path.extension().is_none_or(|extension| extension != "wal") {
            continue;
        }
        // Inside the first record, of which the rest hangs: no torn tail.
        let middle = content.get_mut(16).context("a log with records")?;
        *middle ^= 0xff;
        fs::write(&path, content)?;
        return Ok(());
    }
    anyhow::bail!("no log in {}", control.display())
}

#[test]
fn damaged_control_state_ends_the_agent_with_8_and_touches_nothing() -> Result<()> {
    let managed = Managed::new(1, "")?;
    apply(&managed)?;
    let status = managed.status()?;
    let node = pid_of(&status["members"][0])?;
    let folder = PathBuf::from(status["agent"]["state_dir"].as_str().context("state_dir")?);
    let agent = agent_pid(&status)?;
    kill(agent, Signal::SIGKILL)?;
    wait::until_blocking(super::SOON, "the agent is gone", || {
        ensure!(managed.run(&["status"])?.code == 4, "it answers");
        Ok::<_, anyhow::Error>(())
    })?;
    let control = folder.join("control");
    let whole = files(&control)?;
    damage(&control)?;
    let before = files(&control)?;
    ensure!(before != whole, "something is damaged");
    let state_dir = folder.display().to_string();
    for command in [
        vec!["agent", "--state-dir", &state_dir],
        vec!["apply", "cluster.toml"],
        vec!["stop"],
        vec!["restart", "n1"],
    ] {
        let said = managed.run(&command)?;
        assert_eq!(said.code, 8, "{command:?}: {said:?}");
        ensure!(said.err.contains("nothing is done"), "it says so: {said:?}");
        ensure!(said.err.contains("control"), "it names the place: {said:?}");
    }
    assert_eq!(files(&control)?, before, "not a byte is changed");
    kill(node, None).context("the node runs on")?;
    ctl::ok(Version::V35, &managed.endpoints(), &["put", "still", "here"])?;
    // Put back, it goes on as if nothing had been.
    for (path, content) in whole {
        #[expect(clippy::disallowed_methods, reason = "the operator brings a backup back")]
        fs::write(path, content)?;
    }
    apply(&managed)?;
    assert_eq!(pid_of(&managed.status()?["members"][0])?, node, "adopted");
    Ok(())
}
