//! The agent's own mishaps: killed, started twice, a port that is taken, a spec edited under it.

mod account;
mod binary;
mod codes;
mod ends;
mod interrupt;
mod logs;
mod oom;
mod records;
mod shim;

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::harness::{ctl, manager::Managed, oracle::Version, wait};

const SOON: Duration = Duration::from_secs(40);

fn apply(managed: &Managed) -> Result<()> {
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "apply: {said:?}");
    Ok(())
}

fn agent_pid(status: &Value) -> Result<Pid> {
    let pid = status["agent"]["pid"].as_i64().with_context(|| format!("agent pid in {status}"))?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

fn pid_of(member: &Value) -> Result<Pid> {
    let pid = member["pid"].as_i64().with_context(|| format!("a pid in {member}"))?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

/// Waits until one node is healthy and of this opinion is the agent; returns what it says of it.
fn healthy_when(managed: &Managed, at: usize, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until_blocking(SOON, "the node is healthy", || {
        let status = managed.status()?;
        let member = &status["members"][at];
        ensure!(member["health"] == "healthy" && wanted(member), "{member}");
        Ok::<_, anyhow::Error>(member.clone())
    })
}

fn member_pids(status: &Value) -> Vec<Value> {
    status["members"].as_array().into_iter().flatten().map(|member| member["pid"].clone()).collect()
}

#[test]
fn a_killed_agent_leaves_the_nodes_running_and_the_next_adopts_them() -> Result<()> {
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\n")?;
    apply(&managed)?;
    let before = managed.status()?;
    kill(agent_pid(&before)?, Signal::SIGKILL)?;
    ctl::ok(Version::V35, &managed.endpoints(), &["put", "while", "orphaned"])?;
    // One node dies while nobody watches: its shim keeps what happened.
    let victim = before["members"][1]["pid"].as_i64().context("pid")?;
    kill(Pid::from_raw(i32::try_from(victim)?), Signal::SIGKILL)?;
    apply(&managed)?;
    let after = wait::until_blocking(SOON, "all are healthy again", || {
        let status = managed.status()?;
        let healthy = status["members"]
            .as_array()
            .is_some_and(|members| members.iter().all(|member| member["health"] == "healthy"));
        ensure!(healthy, "{status}");
        Ok::<_, anyhow::Error>(status)
    })?;
    ensure!(agent_pid(&before)? != agent_pid(&after)?, "another agent");
    let (old, new) = (member_pids(&before), member_pids(&after));
    assert_eq!((&old[0], &old[2]), (&new[0], &new[2]), "adopted, not restarted");
    ensure!(old[1] != new[1], "the dead one was started again");
    let member = &after["members"][1];
    ensure!(member["last_exit"].to_string().contains("SIGKILL"), "its end is known: {member}");
    Ok(())
}

#[test]
fn a_second_agent_on_one_state_dir_refuses() -> Result<()> {
    let managed = Managed::new(1, "")?;
    apply(&managed)?;
    let status = managed.status()?;
    let folder = status["agent"]["state_dir"].as_str().context("state_dir")?;
    let said = managed.run(&["agent", "--state-dir", folder])?;
    assert_eq!(said.code, 7, "{said:?}");
    ensure!(said.err.contains("another agent"), "{said:?}");
    assert_eq!(agent_pid(&status)?, agent_pid(&managed.status()?)?);
    Ok(())
}

#[test]
fn a_port_in_use_is_named_with_its_owner() -> Result<()> {
    let managed = Managed::new(1, "[supervise]\nbackoff-min = \"50ms\"\nready-timeout = \"5s\"\n")?;
    let port = managed.ports[0].0.number();
    let _owner = TcpListener::bind(("127.0.0.1", port))?;
    let said = managed.run(&["apply", "cluster.toml", "--timeout", "15s"])?;
    ensure!(said.code == 1, "{said:?}");
    let own = std::process::id().to_string();
    let text = format!("{}{}", said.out, said.err);
    ensure!(text.contains(&port.to_string()) && text.contains(&own), "{text}");
    Ok(())
}

#[test]
fn an_edit_is_applied_by_itself_only_where_the_spec_says_so() -> Result<()> {
    let managed = Managed::new(1, "[agent]\nauto-apply = true\n")?;
    apply(&managed)?;
    let before = member_pids(&managed.status()?);
    // A broken edit first: refused, and the node runs on.
    managed.write_spec("[agent]\nauto-apply = true\n[defaults.flags]\nnonsense = 1\n")?;
    managed.write_spec("[agent]\nauto-apply = true\n[defaults.flags]\nsnapshot-count = 4321\n")?;
    wait::until_blocking(SOON, "the edit took effect", || {
        let status = managed.status()?;
        let pid = status["members"][0]["pid"].as_i64().context("pid")?;
        let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        ensure!(environment.contains("ETCD_SNAPSHOT_COUNT=4321"), "not yet");
        ensure!(status["members"][0]["health"] == "healthy", "{status}");
        Ok::<_, anyhow::Error>(())
    })?;
    ensure!(before != member_pids(&managed.status()?), "restarted with the new flag");
    Ok(())
}
