//! Hosts come and go, and agents lose their records, while a writer runs.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{SOON, flags, pids};
use crate::harness::{hosts::Hosts, wait};

/// Host and role of each agent of the group, as a host tells it.
fn agents(status: &Value) -> Vec<(String, String)> {
    let hosts = status["hosts"].as_array().into_iter().flatten();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    hosts.map(|host| (word(&host["host"]), word(&host["role"]))).collect()
}

/// Waits until exactly these hosts' agents are in the group, all with a vote.
fn await_group(hosts: &Hosts, asked: u8, wanted: &[u8]) -> Result<()> {
    wait::until_blocking(SOON, "the agents of the spec's hosts are the group", || {
        let status = hosts.status_of(asked)?;
        let agents = agents(&status);
        let names: Vec<String> = wanted.iter().map(|host| format!("10.0.34.{host}")).collect();
        let found: Vec<&String> = agents.iter().map(|(host, _)| host).collect();
        ensure!(found == names.iter().collect::<Vec<_>>(), "{agents:?}");
        let votes = |role: &str| role == "leader" || role == "follower";
        ensure!(agents.iter().all(|(_, role)| votes(role)), "{agents:?}");
        Ok::<_, anyhow::Error>(())
    })
}

#[test]
fn a_cluster_moves_from_three_hosts_over_five_to_three_others() -> Result<()> {
    let mut hosts = Hosts::with_spare(3, 2, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    hosts.numbers = vec![15, 16, 17, 18, 19];
    hosts.write_spec(&flags(5000))?;
    hosts.apply()?;
    let status = hosts.await_converged(15)?;
    assert_eq!(status["quorum"]["voters"], 5, "{status:#}");
    await_group(&hosts, 16, &[15, 16, 17, 18, 19])?;
    let asked = hosts.leader()?;
    // The leading agent's host goes, and another one.
    let other = if asked == 15 { 16 } else { 15 };
    hosts.numbers.retain(|host| *host != asked && *host != other);
    hosts.write_spec(&flags(5000))?;
    let agent = format!("10.0.34.{asked}:2378");
    let said = hosts.run(&["apply", "cluster.toml", "--agent", &agent, "--timeout", "120s"])?;
    ensure!(said.code == 0, "{said:?}");
    let left = hosts.numbers.clone();
    let status = hosts.await_converged(left[0])?;
    assert_eq!(status["quorum"]["voters"], 3, "{status:#}");
    assert_eq!(status["quorum"]["healthy"], 3, "{status:#}");
    await_group(&hosts, left[0], &left)?;
    load.check_on(hosts.urls())?;
    Ok(())
}

#[test]
fn an_agent_that_lost_its_records_comes_back_as_another_and_its_node_runs_on() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let before = hosts.await_converged(15)?;
    let leader = hosts.leader()?;
    let lost = hosts.numbers.iter().copied().find(|host| *host != leader).unwrap_or(15);
    let place = hosts.numbers.iter().position(|host| *host == lost).unwrap_or(0);
    let agent_of = |status: &Value| status["hosts"][place]["agent"].clone();
    hosts.kill_agent(lost);
    hosts.lose_state(lost)?;
    hosts.start_agent(lost)?;
    wait::until_blocking(SOON, "it is in the group again, as another", || {
        let status = hosts.status_of(leader)?;
        ensure!(agent_of(&status) != agent_of(&before), "{status:#}");
        ensure!(status["hosts"][place]["role"] == "follower", "{status:#}");
        Ok::<_, anyhow::Error>(())
    })?;
    let status = hosts.await_converged(leader)?;
    assert_eq!(pids(&status), pids(&before), "no node was touched, and its own is kept again");
    let said = hosts.run(&["restart", &format!("n{lost}")])?;
    ensure!(said.code == 0, "what was adopted can be stopped and started: {said:?}");
    let after = pids(&hosts.await_converged(leader)?);
    ensure!(after[place] != pids(&before)[place], "a new process: {after:?}");
    load.check()?;
    Ok(())
}

/// R17: what it promised since the copy was made is forgotten, so it is not the same voter any more.
#[test]
fn an_agent_whose_state_was_put_back_is_found_out_and_comes_back_as_another() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let before = hosts.await_converged(15)?;
    let leader = hosts.leader()?;
    let old = hosts.numbers.iter().copied().find(|host| *host != leader).unwrap_or(15);
    let place = hosts.numbers.iter().position(|host| *host == old).unwrap_or(0);
    let agent_of = |status: &Value| status["hosts"][place]["agent"].clone();
    hosts.kill_agent(old);
    let keep = hosts.copy_control_state(old)?;
    hosts.start_agent(old)?;
    let mark = hosts.control_mark(old)?;
    hosts.write_spec(&flags(6000))?;
    hosts.apply()?;
    wait::until_blocking(SOON, "its mark has followed", || {
        ensure!(hosts.control_mark(old)? != mark, "the same mark");
        Ok::<_, anyhow::Error>(())
    })?;
    let pids_before = pids(&hosts.status_of(leader)?);
    hosts.kill_agent(old);
    hosts.put_control_state_back(old, &keep)?;
    hosts.start_agent(old)?;
    ensure!(hosts.log_of(old).contains("put back to an older copy"), "{}", hosts.log_of(old));
    wait::until_blocking(SOON, "it is in the group again, as another", || {
        let status = hosts.status_of(leader)?;
        ensure!(agent_of(&status) != agent_of(&before), "{status:#}");
        ensure!(status["hosts"][place]["role"] == "follower", "{status:#}");
        Ok::<_, anyhow::Error>(())
    })?;
    let status = hosts.await_converged(old)?;
    assert_eq!(status["spec_revision"], 2, "it has what it had forgotten");
    assert_eq!(pids(&status), pids_before, "no node was touched");
    load.check()?;
    Ok(())
}

#[test]
fn a_dead_host_is_replaced_by_another_and_its_agent_leaves_without_it() -> Result<()> {
    let mut hosts = Hosts::with_spare(3, 1, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    hosts.power_off(17)?;
    hosts.numbers = vec![15, 16, 18];
    hosts.write_spec(&flags(5000))?;
    let said = hosts.run(&["apply", "cluster.toml", "--timeout", "90s"])?;
    ensure!(said.code == 0, "{said:?}");
    let status = hosts.await_converged(15)?;
    assert_eq!(status["quorum"]["healthy"], 3, "{status:#}");
    assert_eq!(status["quorum"]["voters"], 3, "{status:#}");
    await_group(&hosts, 15, &[15, 16, 18])?;
    load.check_on(hosts.urls())?;
    Ok(())
}
