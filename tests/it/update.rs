//! Changes of binaries: one node after the other, the first one watched, and back again where one fails.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    crash::writers::{self, Writers},
    harness::{
        ctl,
        manager::Managed,
        oracle::{self, Kind, Version},
    },
};

fn spec(binary: &std::path::Path, update: &str) -> String {
    let supervise = "backoff-min = \"100ms\"\nrestart-limit = 2\nready-timeout = \"20s\"";
    format!(
        "[defaults]\nbinary = \"{}\"\n[supervise]\n{supervise}\n[update]\n{update}\n",
        binary.display()
    )
}

/// A program that ends at once, or that never answers.
#[expect(clippy::disallowed_methods, reason = "an operator puts it there")]
fn program(managed: &Managed, name: &str, text: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = managed.root().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// It knows its version, and then does this.
fn says(version: &str, then: &str) -> String {
    format!("[ \"$1\" = --version ] && echo \"etcd Version: {version}\" && exit 0\n{then}")
}

fn pids(managed: &Managed) -> Result<Vec<i64>> {
    let status = managed.status()?;
    let members = status["members"].as_array().context("members")?;
    members.iter().map(|member| member["pid"].as_i64().context("a pid")).collect()
}

fn urls(managed: &Managed) -> Vec<String> {
    managed.ports.iter().map(|(client, _)| client.url()).collect()
}

/// One minor version up, under load; the canary first, and watched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_3_4_becomes_one_of_3_5_under_load() -> Result<()> {
    let update = "canary = \"n3\"\nsoak = \"2s\"";
    let managed = Managed::new(3, &spec(&oracle::server(Kind::Real34)?, update))?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let writers = Writers::start(&urls(&managed), 3)?;
    writers.acknowledged_more(50).await?;
    managed.write_spec(&spec(&oracle::server(Kind::Real35)?, update))?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "{said:?}");
    let at = |text: &str| said.out.find(text).with_context(|| format!("{text}: {}", said.out));
    ensure!(at("restart n3, and watch it for 2s")? < at("restart n1")?, "{}", said.out);
    ensure!(said.out.contains("healthy for 2s"), "{}", said.out);
    writers.acknowledged_more(50).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls(&managed), &acknowledged).await?;
    let status =
        ctl::ok(Version::V35, &managed.endpoints(), &["endpoint", "status", "-w", "json"])?;
    let status: Value = serde_json::from_str(&status)?;
    for member in status.as_array().context("members")? {
        ensure!(member["Status"]["version"] == "3.5.1", "{member}");
    }
    Ok(())
}

/// The first node whose new binary does not start stops the change, and goes back to what it ran before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_that_does_not_start_is_rolled_back() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let good = spec(&oracle::server(Kind::Ours)?, "");
    managed.write_spec(&good)?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let before = pids(&managed)?;
    let bad = program(&managed, "etcd-broken", &says("3.5.21", "exit 3"))?;
    managed.write_spec(&spec(&bad, ""))?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code != 0 && format!("{said:?}").contains("rolled back"), "{said:?}");
    let after = pids(&managed)?;
    let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    ensure!(same == 2, "only the first was touched: {before:?} {after:?}");
    ctl::ok(Version::V35, &managed.endpoints(), &["endpoint", "health"])?;
    let last = managed.status()?["last"].clone();
    ensure!(last["reason"].as_str().is_some_and(|why| why.contains("rolled back")), "{last}");
    // Put right, it goes on as if nothing had been.
    managed.write_spec(&good)?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(pids(&managed)? == after, "nothing had to be restarted");
    Ok(())
}

/// The same of a flag; the node's own words are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_no_node_can_run_with_is_rolled_back() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let good = spec(&oracle::server(Kind::Ours)?, "");
    managed.write_spec(&good)?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let before = pids(&managed)?;
    let elsewhere = "[defaults.flags]\nlisten-metrics-urls = \"http://203.0.113.1:9999\"\n";
    managed.write_spec(&(good + elsewhere))?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 1 && said.err.contains("; rolled back"), "{said:?}");
    ensure!(said.err.contains("203.0.113.1"), "its last words: {said:?}");
    let after = pids(&managed)?;
    let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
    ensure!(same == 2, "only the first was touched: {before:?} {after:?}");
    ctl::ok(Version::V35, &managed.endpoints(), &["endpoint", "health"])?;
    Ok(())
}

/// Time that is up says nothing against a node: it stays, and the others wait for the next apply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_well_stays_when_there_is_no_time_to_watch_it_to_the_end() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let good = spec(&oracle::server(Kind::Ours)?, "soak = \"60s\"\ncanary = \"n2\"");
    managed.write_spec(&good)?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let before = pids(&managed)?;
    managed.write_spec(&(good + "[defaults.flags]\nsnapshot-count = 5000\n"))?;
    let said = managed.run(&["apply", "cluster.toml", "--timeout", "5s"])?;
    ensure!(said.code == 1 && said.err.contains("not watched any more"), "{said:?}");
    ensure!(!said.err.contains("rolled back"), "{said:?}");
    let after = pids(&managed)?;
    ensure!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2], "{after:?}");
    let environment = fs::read(format!("/proc/{}/environ", after[1]))?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    ensure!(environment.contains("ETCD_SNAPSHOT_COUNT=5000"), "{environment}");
    Ok(())
}

/// A node that runs with its new binary and ends while it is watched is one that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_that_ends_while_it_is_watched_is_rolled_back() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let ours = oracle::server(Kind::Ours)?;
    let update = "soak = \"20s\"\ncanary = \"n2\"";
    let good = spec(&ours, update);
    managed.write_spec(&good)?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let before = pids(&managed)?;
    let mortal = format!("(sleep 4; kill -9 $$) & exec {}", ours.display());
    let bad = program(&managed, "etcd-mortal", &says("3.5.21", &mortal))?;
    managed.write_spec(&spec(&bad, update))?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 1 && format!("{said:?}").contains("; rolled back"), "{said:?}");
    let after = pids(&managed)?;
    ensure!(before[0] == after[0] && before[2] == after[2], "{before:?} {after:?}");
    ctl::ok(Version::V35, &managed.endpoints(), &["endpoint", "health"])?;
    // The program that ran before lies where it lay: the plan still says what is wanted, and does nothing by itself.
    let planned = managed.run(&["plan", "cluster.toml"])?;
    ensure!(planned.out.contains("restart n2"), "{planned:?}");
    ensure!(pids(&managed)? == after, "nothing is tried again");
    Ok(())
}

/// What etcd's versions do not allow is refused before anything is touched.
#[test]
fn versions_that_etcd_does_not_allow_are_refused() -> Result<()> {
    let managed = Managed::new(3, &spec(&oracle::server(Kind::Real35)?, ""))?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let before = pids(&managed)?;
    let old = oracle::server(Kind::Real34)?;
    let far = program(&managed, "etcd-far", &says("3.7.0", "exit 3"))?;
    let mute = program(&managed, "etcd-mute", "echo hello")?;
    let none = managed.root().join("etcd-none");
    for (binary, why) in [
        (&old, "below its cluster's version"),
        (&far, "go over 3.6"),
        (&mute, "names no version of etcd"),
        (&none, "there is no program at"),
    ] {
        managed.write_spec(&spec(binary, ""))?;
        let said = managed.run(&["apply", "cluster.toml"])?;
        ensure!(said.code == 5 && format!("{said:?}").contains(why), "{why}: {said:?}");
    }
    ensure!(pids(&managed)? == before, "nothing was touched");
    Ok(())
}

/// A learner that never keeps up is taken out at its limit; the rest is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_never_answers_is_taken_out_again() -> Result<()> {
    let update = "learner-limit = \"2s\"";
    let mut managed = Managed::new(1, "")?;
    let good = spec(&oracle::server(Kind::Ours)?, update).replace("20s", "8s");
    managed.write_spec(&good)?;
    ensure!(managed.run(&["apply", "cluster.toml"])?.code == 0);
    let mute = program(&managed, "etcd-mute", "exec sleep 600")?;
    let ports = &crate::harness::ports::Port::take;
    managed.ports.push((ports()?, ports()?));
    managed.write_spec(&good)?;
    let mut text = fs::read_to_string(managed.spec())?;
    text += &format!("binary = \"{}\"\n", mute.display());
    put(&managed, &text)?;
    let mut said = managed.run(&["apply", "cluster.toml"])?;
    if !format!("{said:?}").contains("taken out again") {
        ensure!(said.code != 0, "{said:?}");
        said = managed.run(&["apply", "cluster.toml"])?;
    }
    ensure!(said.code != 0 && format!("{said:?}").contains("taken out again"), "{said:?}");
    let first = managed.ports[0].0.url();
    let listed = ctl::ok(Version::V35, &first, &["member", "list"])?;
    ensure!(listed.lines().count() == 1, "{listed}");
    // With a binary that works it joins.
    managed.write_spec(&good)?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "{said:?}");
    let listed = ctl::ok(Version::V35, &first, &["member", "list"])?;
    ensure!(listed.lines().count() == 2, "{listed}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
fn put(managed: &Managed, text: &str) -> Result<()> {
    fs::write(managed.spec(), text).context("write cluster.toml")
}
