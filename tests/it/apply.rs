//! `etcd-manager apply` end to end: from empty folders to a healthy cluster, again, after an edit, after a bad edit.

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::harness::{
    ctl,
    manager::Managed,
    oracle::{self, Kind, Version},
};

fn members(status: &Value) -> Result<&Vec<Value>> {
    status["members"].as_array().with_context(|| format!("members in {status}"))
}

fn pids(status: &Value) -> Result<Vec<i64>> {
    members(status)?.iter().map(|member| member["pid"].as_i64().context("pid")).collect()
}

fn applied(managed: &Managed) -> Result<String> {
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "apply: {said:?}");
    Ok(said.out)
}

#[test]
fn a_spec_becomes_a_healthy_cluster_and_applying_again_changes_nothing() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let plan = managed.run(&["plan", "cluster.toml"])?;
    ensure!(plan.code == 0 && !plan.out.is_empty(), "{plan:?}");
    ensure!(!managed.root().join("data").exists(), "a plan touches nothing");
    applied(&managed)?;
    for version in Version::ALL {
        ctl::ok(version, &managed.endpoints(), &["put", "greeting", "hello"])?;
        let listed = ctl::ok(version, &managed.endpoints(), &["member", "list"])?;
        assert_eq!(listed.lines().count(), 3, "{listed}");
    }
    let before = managed.status()?;
    assert_eq!(before["converged"], true);
    assert_eq!(before["spec_revision"], 1, "{before}");
    for member in members(&before)? {
        assert_eq!(member["health"], "healthy", "{member}");
        for key in ["name", "id", "client_urls", "peer_urls", "role", "pid"] {
            ensure!(!member[key].is_null(), "{key} is missing in {member}");
        }
    }
    let leaders = members(&before)?.iter().filter(|member| member["role"] == "leader").count();
    assert_eq!(leaders, 1);
    applied(&managed)?;
    let after = managed.status()?;
    assert_eq!(pids(&before)?, pids(&after)?, "a converged cluster is left alone");
    let table = managed.run(&["status"])?;
    ensure!(
        table.code == 0 && table.out.contains("n1") && table.out.contains("leader"),
        "{table:?}"
    );
    Ok(())
}

#[test]
fn a_changed_flag_rolls_through_one_node_at_a_time_leader_last() -> Result<()> {
    let managed = Managed::new(3, "")?;
    applied(&managed)?;
    let before = managed.status()?;
    let leader = members(&before)?
        .iter()
        .find(|member| member["role"] == "leader")
        .and_then(|member| member["name"].as_str())
        .context("a leader")?
        .to_owned();
    managed.write_spec("[defaults.flags]\nsnapshot-count = 5000\n")?;
    let plan = managed.run(&["plan", "cluster.toml"])?;
    ensure!(plan.out.contains("snapshot-count"), "the plan names what changed: {plan:?}");
    let output = applied(&managed)?;
    let after = managed.status()?;
    let (old, new) = (pids(&before)?, pids(&after)?);
    ensure!(old.iter().all(|pid| !new.contains(pid)), "all nodes were restarted: {old:?} {new:?}");
    for member in members(&after)? {
        assert_eq!(member["health"], "healthy", "{member}");
    }
    let restarts: Vec<&str> =
        output.lines().filter(|line| line.to_lowercase().contains("restart")).collect();
    let last = restarts.last().with_context(|| output.clone())?;
    ensure!(last.contains(&leader), "the leader {leader} goes last: {output}");
    let pid = new[0];
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    ensure!(environment.contains("ETCD_SNAPSHOT_COUNT=5000"), "{environment}");
    ensure!(environment.contains("ETCD_INITIAL_CLUSTER_STATE=existing"), "R2: {environment}");
    Ok(())
}

#[test]
fn a_broken_spec_is_refused_with_its_place_and_the_cluster_goes_on() -> Result<()> {
    let managed = Managed::new(3, "")?;
    applied(&managed)?;
    let before = pids(&managed.status()?)?;
    managed
        .write_spec("[defaults.flags]\nsnapshot-cuont = 5000\nheartbeat-interval = \"soon\"\n")?;
    for command in [["apply", "cluster.toml"], ["plan", "cluster.toml"]] {
        let said = managed.run(&command)?;
        assert_eq!(said.code, 3, "{said:?}");
        for words in ["cluster.toml:6:1", "snapshot-cuont", "snapshot-count", "heartbeat-interval"]
        {
            ensure!(said.err.contains(words), "{words} in {}", said.err);
        }
    }
    assert_eq!(pids(&managed.status()?)?, before);
    Ok(())
}

#[test]
fn a_killed_node_comes_back_and_is_counted() -> Result<()> {
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\n")?;
    applied(&managed)?;
    let before = managed.status()?;
    let victim = pids(&before)?[1];
    kill(Pid::from_raw(i32::try_from(victim)?), Signal::SIGKILL)?;
    let after = crate::harness::wait::until_blocking(
        std::time::Duration::from_secs(30),
        "the node is back",
        || {
            let status = managed.status()?;
            let member = &members(&status)?[1];
            ensure!(member["health"] == "healthy" && member["pid"] != victim, "{member}");
            Ok::<_, anyhow::Error>(status)
        },
    )?;
    assert_eq!(members(&after)?[1]["restarts"], 1, "{after}");
    let said = managed.run(&["logs", "n2"])?;
    ensure!(said.code == 0 && !said.out.is_empty(), "{said:?}");
    Ok(())
}

#[test]
fn stop_and_start_keep_members_and_data() -> Result<()> {
    let managed = Managed::new(3, "")?;
    applied(&managed)?;
    ctl::ok(Version::V35, &managed.endpoints(), &["put", "kept", "1"])?;
    let list = || ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"]);
    let before = list()?;
    let said = managed.run(&["stop"])?;
    ensure!(said.code == 0, "{said:?}");
    for member in members(&managed.status()?)? {
        ensure!(member["pid"].is_null(), "stopped: {member}");
    }
    ensure!(managed.root().join("data").exists(), "R10: data stays");
    let said = managed.run(&["start"])?;
    ensure!(said.code == 0, "{said:?}");
    let kept = ctl::ok(Version::V35, &managed.endpoints(), &["get", "kept"])?;
    assert_eq!(kept, "kept\n1\n");
    assert_eq!(list()?, before, "R10: membership stays");
    let before = pids(&managed.status()?)?;
    let said = managed.run(&["restart", "n1"])?;
    ensure!(said.code == 0, "{said:?}");
    let after = pids(&managed.status()?)?;
    ensure!(before[0] != after[0] && before[1..] == after[1..], "{before:?} {after:?}");
    Ok(())
}

#[test]
fn a_real_etcd_is_supervised_as_well() -> Result<()> {
    for kind in [Kind::Real34, Kind::Real35] {
        let binary = oracle::server(kind)?;
        let extra = format!("[defaults]\nbinary = \"{}\"\n", binary.display());
        let managed = Managed::new(3, &extra)?;
        applied(&managed)?;
        ctl::ok(Version::V34, &managed.endpoints(), &["put", "a", "1"])?;
        for member in members(&managed.status()?)? {
            assert_eq!(member["health"], "healthy", "{member}");
        }
        let before = pids(&managed.status()?)?;
        let said = managed.run(&["restart", "n2"])?;
        ensure!(said.code == 0, "{said:?}");
        ensure!(pids(&managed.status()?)?[1] != before[1], "restarted");
        let said = managed.run(&["stop"])?;
        ensure!(said.code == 0, "{said:?}");
        applied(&managed)?;
        assert_eq!(ctl::ok(Version::V34, &managed.endpoints(), &["get", "a"])?, "a\n1\n");
    }
    Ok(())
}

#[test]
fn a_removed_member_is_never_restarted() -> Result<()> {
    let binary = oracle::server(Kind::Real35)?;
    let extra = format!(
        "[defaults]\nbinary = \"{}\"\n[supervise]\nbackoff-min = \"100ms\"\n",
        binary.display()
    );
    let managed = Managed::new(3, &extra)?;
    applied(&managed)?;
    let status = managed.status()?;
    let member = &members(&status)?[2];
    let id = member["id"].as_str().context("id")?;
    crate::harness::wait::until_blocking(
        std::time::Duration::from_secs(20),
        "etcd lets a member go",
        || ctl::ok(Version::V35, &managed.ports[0].0.url(), &["member", "remove", id]),
    )?;
    let gone = crate::harness::wait::until_blocking(
        std::time::Duration::from_secs(30),
        "the removed node has ended and is known as removed",
        || {
            let status = managed.status()?;
            let member = members(&status)?[2].clone();
            ensure!(member["pid"].is_null() && member.to_string().contains("removed"), "{member}");
            Ok::<_, anyhow::Error>(member)
        },
    )?;
    assert_eq!(gone["restarts"], 0);
    Ok(())
}
