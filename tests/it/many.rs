//! One cluster over several hosts: an agent in each of three network namespaces, an operator in a
//! fourth, real processes. A writer runs throughout and loses nothing.

mod bad;
mod blackout;
mod founding;
mod hosts;
mod killed;
mod pause;
mod secured;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{
    hosts::{Hosts, joined},
    wait,
};

const SOON: Duration = Duration::from_secs(60);

fn flags(count: u32) -> String {
    format!("[supervise]\nbackoff-min = \"100ms\"\n[defaults.flags]\nsnapshot-count = {count}\n")
}

fn pids(status: &Value) -> Vec<Value> {
    status["members"].as_array().into_iter().flatten().map(|member| member["pid"].clone()).collect()
}

#[test]
fn one_apply_from_elsewhere_bootstraps_and_the_next_rolls_with_the_leader_last() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.kill_agent(17);
    let said = hosts.run(&["apply", "cluster.toml", "--timeout", "3s"])?;
    ensure!(said.code == 1, "{said:?}");
    ensure!(said.err.contains("10.0.34.17"), "it says who is missing: {said:?}");
    hosts.start_agent(17)?;
    hosts.apply()?;
    let load = hosts.load();
    let again = hosts.run(&["apply", "cluster.toml", "--expect", "1"])?;
    ensure!(again.code == 0 && !again.out.contains("restart"), "nothing to do: {again:?}");
    let before = hosts.await_converged(16)?;
    hosts.write_spec(&flags(6000))?;
    let stale = hosts.run(&["apply", "cluster.toml", "--expect", "7"])?;
    ensure!(stale.code == 5 && stale.err.contains("revision 1, not 7"), "{stale:?}");
    let said = hosts.run(&["apply", "cluster.toml", "--expect", "1"])?;
    ensure!(said.code == 0, "{said:?}");
    let restarts: Vec<&str> = said.out.lines().filter(|line| line.contains("healthy")).collect();
    assert_eq!(restarts.len(), 3, "one at a time: {}", said.out);
    let leader = before["members"]
        .as_array()
        .and_then(|members| members.iter().find(|member| member["role"] == "leader"))
        .and_then(|member| member["name"].as_str())
        .context("a leader")?;
    ensure!(restarts[2].contains(leader), "{leader} is last: {}", said.out);
    let after = hosts.await_converged(17)?;
    for node in ["n15", "n16", "n17"] {
        assert_eq!(hosts.variable(&after, node, "ETCD_SNAPSHOT_COUNT")?, "6000", "{node}");
    }
    ensure!(load.check()? > 40, "writes went on");
    Ok(())
}

#[test]
fn a_leading_agent_that_is_killed_is_followed_by_another_that_completes_the_apply() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    for (round, pause_ms) in [(0_u32, 150_u64), (1, 700), (2, 1400)] {
        let leader = hosts.leader()?;
        let asked = hosts.numbers.iter().find(|host| **host != leader).context("another")?;
        hosts.write_spec(&flags(6000 + round))?;
        let agent = format!("10.0.34.{asked}:2378");
        let apply = hosts.run_beside(&["apply", "cluster.toml", "--agent", &agent]);
        // As far into it as the round says: by what the agent has journaled, not by the clock.
        let steps = pause_ms / 500;
        wait::until_blocking(SOON, "the apply is under way", || {
            let log = hosts.log_of(leader);
            let done = log.matches(&format!("-> {}", 6000 + round)).count();
            ensure!(done as u64 > steps, "{done} steps");
            Ok::<_, anyhow::Error>(())
        })?;
        hosts.kill_agent(leader);
        hosts.start_agent(leader)?;
        let said = joined(apply)?;
        ensure!(said.code == 0, "the next leader completes it: {said:?}");
        let status = hosts.await_converged(leader)?;
        let count = (6000 + round).to_string();
        for node in ["n15", "n16", "n17"] {
            assert_eq!(hosts.variable(&status, node, "ETCD_SNAPSHOT_COUNT")?, count, "{node}");
        }
    }
    load.check()?;
    Ok(())
}

#[test]
fn a_host_that_was_down_during_an_apply_catches_up_by_itself() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let leader = hosts.leader()?;
    let down = hosts.numbers.iter().copied().find(|host| *host != leader).context("another")?;
    hosts.power_off(down)?;
    hosts.write_spec(&flags(6000))?;
    let said = hosts.run(&["apply", "cluster.toml", "--timeout", "4s"])?;
    ensure!(said.code == 1, "{said:?}");
    ensure!(said.err.contains(&format!("10.0.34.{down}")), "it says who is missing: {said:?}");
    let status = hosts.status_of(leader)?;
    let silent: Vec<&Value> = status["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|h| h["answers"] == false)
        .collect();
    assert_eq!(silent.len(), 1, "{status:#}");
    let member = status["members"].as_array().into_iter().flatten();
    let states: Vec<&Value> =
        member.filter(|m| m["name"] == format!("n{down}")).map(|m| &m["state"]).collect();
    assert_eq!(states, ["unknown"], "silence is not death");
    hosts.start_agent(down)?;
    let status = hosts.await_converged(down)?;
    for node in ["n15", "n16", "n17"] {
        assert_eq!(hosts.variable(&status, node, "ETCD_SNAPSHOT_COUNT")?, "6000", "{node}");
    }
    load.check()?;
    Ok(())
}

#[test]
fn without_a_quorum_of_agents_nodes_run_on_and_are_restarted_and_commands_say_so() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let before = hosts.await_converged(15)?;
    hosts.kill_agent(16);
    hosts.kill_agent(17);
    let agent = "10.0.34.15:2378";
    hosts.write_spec(&flags(6000))?;
    let said = hosts.run(&["apply", "cluster.toml", "--agent", agent])?;
    ensure!(said.code == 9 && said.err.contains("no quorum"), "{said:?}");
    // If this agent has led until now it cannot know, and says so.
    let may_come = said.err.contains("may still be put on record");
    let said = hosts.run(&["restart", "n15", "--agent", agent])?;
    ensure!(said.code == 9, "{said:?}");
    // A node that crashes is restarted all the same.
    let victim = before["members"][0]["pid"].as_i64().context("pid")?;
    let victim = nix::unistd::Pid::from_raw(i32::try_from(victim)?);
    nix::sys::signal::kill(victim, nix::sys::signal::Signal::SIGKILL)?;
    let status = wait::until_blocking(SOON, "the crashed node is healthy again", || {
        let status = hosts.status_of(15)?;
        let member = &status["members"][0];
        ensure!(member["pid"] != before["members"][0]["pid"], "the old process");
        ensure!(member["health"] == "healthy", "{member}");
        Ok::<_, anyhow::Error>(status)
    })?;
    let notes = status["notes"].to_string();
    ensure!(notes.contains("no quorum"), "{notes}");
    let after_loss = pids(&status);
    hosts.start_agent(16)?;
    hosts.start_agent(17)?;
    let status = hosts.await_converged(16)?;
    if !may_come {
        assert_eq!(pids(&status)[0], after_loss[0], "nothing was restarted by the way back");
        assert_eq!(pids(&status)[1..], pids(&before)[1..], "the others ran on");
    }
    if !may_come {
        assert_eq!(status["spec_revision"], 1, "what was refused is not done later");
    }
    load.check()?;
    Ok(())
}

#[test]
fn a_leading_agent_that_is_cut_off_decides_nothing_and_of_two_applies_one_wins() -> Result<()> {
    let hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let leader = hosts.leader()?;
    let others: Vec<u8> = hosts.numbers.iter().copied().filter(|host| *host != leader).collect();
    hosts.network.cut(leader)?;
    // The other two have a leader of their own; the node that is cut off is unknown to them.
    let agent = format!("10.0.34.{}:2378", others[0]);
    let said = wait::until_blocking(SOON, "another agent leads", || {
        let said = hosts.run(&["plan", "cluster.toml", "--agent", &agent])?;
        let status = hosts.status_of(others[0])?;
        let leads =
            status["hosts"].as_array().into_iter().flatten().any(|host| {
                host["role"] == "leader" && host["host"] != format!("10.0.34.{leader}")
            });
        ensure!(leads, "{status:#}");
        Ok::<_, anyhow::Error>(said)
    })?;
    ensure!(
        said.out.contains(&format!("10.0.34.{leader}")),
        "the plan says who is silent: {said:?}"
    );
    hosts.network.heal(leader)?;
    hosts.await_converged(leader)?;
    let revision = hosts.status_of(leader)?["spec_revision"].to_string();
    // Two operators with the same view of the spec: one wins, the other is told.
    hosts.write_spec(&flags(7001))?;
    let agents = [format!("10.0.34.{leader}:2378"), agent];
    let applies: Vec<_> = agents
        .iter()
        .zip(["7001", "7002"])
        .map(|(agent, count)| {
            let spec = format!("spec-{count}.toml");
            let text = std::fs::read_to_string(hosts.spec())?.replace("7001", count);
            #[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
            std::fs::write(hosts.spec().with_file_name(&spec), text)?;
            Ok(hosts.run_beside(&["apply", &spec, "--expect", &revision, "--agent", agent]))
        })
        .collect::<Result<_>>()?;
    let said: Vec<_> = applies.into_iter().map(joined).collect::<Result<_>>()?;
    let mut codes: Vec<i32> = said.iter().map(|said| said.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 5], "{said:?}");
    Ok(())
}
