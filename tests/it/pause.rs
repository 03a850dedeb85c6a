//! `pause` and `resume`: nothing is changed in between, and what was put on record goes on afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::harness::{manager::Managed, wait};

const CHANGED: &str = "[defaults.flags]\nsnapshot-count = 5000\n";

fn pids(status: &Value) -> Result<Vec<i64>> {
    let members = status["members"].as_array().context("members")?;
    members.iter().map(|member| member["pid"].as_i64().context("pid")).collect()
}

fn ended(managed: &Managed, arguments: &[&str], code: i32) -> Result<String> {
    let said = managed.run(arguments)?;
    ensure!(said.code == code, "{arguments:?} ends with {code}: {said:?}");
    Ok(said.out + &said.err)
}

#[test]
fn while_paused_an_apply_is_only_recorded_and_resume_carries_it_out() -> Result<()> {
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\n")?;
    ended(&managed, &["apply"], 0)?;
    let before = pids(&managed.status()?)?;
    let said = ended(&managed, &["pause", "--reason", "moving racks"], 0)?;
    ensure!(said.contains("moving racks") && said.contains("resume"), "{said}");
    managed.write_spec(CHANGED)?;
    let said = ended(&managed, &["apply"], 6)?;
    ensure!(said.contains("revision 2 is on record") && said.contains("moving racks"), "{said}");
    for command in [["stop", "n1"], ["restart", "n1"]] {
        let said = ended(&managed, &command, 5)?;
        ensure!(said.contains("moving racks"), "{said}");
    }
    let plan = ended(&managed, &["plan"], 0)?;
    ensure!(plan.contains("snapshot-count") && plan.contains("paused since"), "{plan}");
    // The pause outlives the agent that heard of it, and the next one does not go on either.
    let agent = Pid::from_raw(i32::try_from(
        managed.status()?["agent"]["pid"].as_i64().context("the agent's pid")?,
    )?);
    kill(agent, Signal::SIGKILL)?;
    ended(&managed, &["pause", "--reason", "still moving racks"], 0)?;
    let status = managed.status()?;
    assert_eq!(status["paused"]["reason"], "still moving racks", "{status}");
    assert_eq!(status["last"]["outcome"], "postponed", "{status}");
    assert_eq!(status["spec_revision"], 2);
    assert_eq!(pids(&status)?, before, "nothing was restarted");
    let table = ended(&managed, &["status"], 0)?;
    ensure!(table.contains("paused since") && table.contains("still moving racks"), "{table}");
    // Supervision goes on: as it was, not as the recorded spec says.
    kill(Pid::from_raw(i32::try_from(before[0])?), Signal::SIGKILL)?;
    let revived = wait::until_blocking(Duration::from_secs(30), "n1 runs again", || {
        let status = managed.status().map_err(|error| error.to_string())?;
        let pid = status["members"][0]["pid"].as_i64();
        pid.filter(|pid| *pid != before[0]).ok_or_else(|| status.to_string())
    })?;
    let environment = std::fs::read(format!("/proc/{revived}/environ"))?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    ensure!(!environment.contains("SNAPSHOT_COUNT=5000"), "{environment}");
    ended(&managed, &["resume"], 0)?;
    wait::until_blocking(Duration::from_secs(60), "the recorded spec is carried out", || {
        let status = managed.status().map_err(|error| error.to_string())?;
        let is_over = status["converged"] == true && status["paused"].is_null();
        if is_over { Ok(()) } else { Err(status.to_string()) }
    })?;
    let after = pids(&managed.status()?)?;
    ensure!(after.iter().all(|pid| !before.contains(pid) && *pid != revived), "{after:?}");
    let said = ended(&managed, &["resume"], 0)?;
    ensure!(said.contains("was not paused"), "{said}");
    let told = ended(&managed, &["events"], 0)?;
    ensure!(told.contains("moving racks") && told.contains("resumed"), "{told}");
    Ok(())
}
