//! All hosts lose their power at once, and come back one by one.

use anyhow::{Context, Result, ensure};
use base::Epoch;
use disk::RealDisk;
use lineage::{Attempt, Fence, Hold};
use records::Record;
use serde_json::Value;
use uuid::Uuid;

use super::{SOON, flags};
use crate::harness::{hosts::Hosts, wait};

fn member<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let mut members = status["members"].as_array().context("members")?.iter();
    members.find(|member| member["name"] == name).context("the node")
}

/// One host alone starts its own node, which does no harm, and says that nothing can be changed; two serve.
#[test]
fn after_a_power_cut_of_all_each_host_starts_its_own_node_and_two_serve() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let load = hosts.load();
    let before = hosts.await_converged(15)?;
    for number in [15, 16, 17] {
        hosts.power_off(number)?;
    }
    hosts.start_agent(15)?;
    let status = wait::until_blocking(SOON, "its node runs, and alone", || {
        let status = hosts.status_of(15)?;
        let own = member(&status, "n15")?;
        ensure!(own["pid"].is_i64(), "{own}");
        ensure!(own["health"] != "healthy", "{own}");
        Ok::<_, anyhow::Error>(status)
    })?;
    ensure!(member(&status, "n15")?["pid"] != member(&before, "n15")?["pid"], "a new process");
    ensure!(status["notes"].to_string().contains("no quorum"), "{status:#}");
    let agent = "10.0.34.15:2378";
    let said = hosts.run(&["restart", "n15", "--agent", agent])?;
    ensure!(said.code == 9 && said.err.contains("no quorum"), "{said:?}");
    hosts.start_agent(16)?;
    wait::until_blocking(SOON, "two of three serve", || {
        let status = hosts.status_of(16)?;
        for name in ["n15", "n16"] {
            let own = member(&status, name)?;
            ensure!(own["health"] == "healthy", "{own}");
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let third = hosts.status_of(16)?;
    ensure!(member(&third, "n17")?["state"] == "unknown", "silence is not death: {third:#}");
    hosts.start_agent(17)?;
    hosts.await_converged(17)?;
    load.check()?;
    Ok(())
}

/// R3: what a host has promised holds its node down also when its agent finds nobody to ask.
#[test]
fn a_host_that_promised_a_recovery_starts_nothing_after_a_power_cut() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let status = hosts.await_converged(15)?;
    let cluster: Uuid = status["uuid"].as_str().context("uuid")?.parse()?;
    for number in [15, 16, 17] {
        hosts.power_off(number)?;
    }
    let mut root = hosts.state_dir(15).into_os_string();
    root.push("-records");
    let dir = records::record_dir(root.as_ref(), cluster, "n15")?;
    let record = Record::look(std::sync::Arc::new(RealDisk), &dir);
    let fence: Fence = record.read()?.context("a fence")?;
    let promised = Attempt { epoch: Epoch::new(2), by: Uuid::new_v4() };
    record.write(&Fence { promised, hold: Hold::Promised, ..fence })?;
    for number in [15, 16, 17] {
        hosts.start_agent(number)?;
    }
    wait::until_blocking(SOON, "the others serve without it", || {
        let status = hosts.status_of(16)?;
        for name in ["n16", "n17"] {
            let own = member(&status, name)?;
            ensure!(own["health"] == "healthy", "{own}");
        }
        let fenced = member(&status, "n15")?;
        ensure!(fenced["pid"].is_null() && fenced["state"] == "held", "{fenced}");
        ensure!(status["notes"].to_string().contains("a recovery was promised"), "{status:#}");
        Ok::<_, anyhow::Error>(())
    })?;
    let said = hosts.run(&["start", "n15", "--timeout", "3s"])?;
    ensure!(said.code == 1 && said.err.contains("a recovery was promised"), "R3: {said:?}");
    record.write(&fence)?;
    let said = hosts.run(&["start", "n15"])?;
    ensure!(said.code == 0, "once it is given up: {said:?}");
    hosts.await_converged(15)?;
    Ok(())
}
