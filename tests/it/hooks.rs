//! Hooks before and after each step: what they are told, and what they can forbid.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::manager::Managed;

#[expect(clippy::disallowed_methods, reason = "an operator's editor writes hooks so")]
fn write_hook(managed: &Managed, name: &str, script: &str) -> Result<()> {
    let path = managed.root().join(name);
    let root = managed.root().display();
    std::fs::write(&path, format!("#!/bin/sh\nroot={root}\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn spec(count: u32, timeout: &str) -> String {
    format!(
        "[hooks]\nbefore = \"before\"\nbefore-timeout = \"{timeout}\"\nafter = \"after\"\n\
         [defaults.flags]\nsnapshot-count = {count}\n"
    )
}

fn ended(managed: &Managed, arguments: &[&str], code: i32) -> Result<String> {
    let said = managed.run(arguments)?;
    ensure!(said.code == code, "{arguments:?} ends with {code}: {said:?}");
    Ok(said.out + &said.err)
}

fn pids(status: &Value) -> Result<Vec<i64>> {
    let members = status["members"].as_array().context("members")?;
    members.iter().map(|member| member["pid"].as_i64().context("pid")).collect()
}

const TELL: &str = "echo \"$ETCD_MANAGER_PHASE $ETCD_MANAGER_STEP $ETCD_MANAGER_NODE \
    $ETCD_MANAGER_CLUSTER $ETCD_MANAGER_OUTCOME\" >> $root/told";

#[test]
fn hooks_surround_each_step_and_one_before_can_forbid_it() -> Result<()> {
    let managed = Managed::new(3, &spec(5000, "20s"))?;
    write_hook(&managed, "before", TELL)?;
    write_hook(&managed, "after", TELL)?;
    ended(&managed, &["apply"], 0)?;
    let told = std::fs::read_to_string(managed.root().join("told"))?;
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    assert_eq!(lines, ["before bootstrap  it", "after bootstrap  it done"]);
    // One that forbids: nothing is restarted, and its last lines say why.
    let before = pids(&managed.status()?)?;
    write_hook(&managed, "before", "echo 'the balancer still sends traffic' >&2; exit 7")?;
    managed.write_spec(&spec(6000, "20s"))?;
    let said = ended(&managed, &["apply"], 1)?;
    ensure!(said.contains("ended with 7") && said.contains("still sends traffic"), "{said}");
    assert_eq!(pids(&managed.status()?)?, before);
    // One that hangs is ended, and forbids as well.
    write_hook(&managed, "before", "exec sleep 1000")?;
    managed.write_spec(&spec(6000, "300ms"))?;
    let said = ended(&managed, &["apply"], 1)?;
    ensure!(said.contains("took longer than 300ms"), "{said}");
    assert_eq!(pids(&managed.status()?)?, before);
    // One after a step fails: that is told, and changes nothing.
    write_hook(&managed, "before", TELL)?;
    write_hook(&managed, "after", "echo 'no mail'; exit 1")?;
    managed.write_spec(&spec(6000, "20s"))?;
    let said = ended(&managed, &["apply"], 0)?;
    ensure!(said.contains("hook after") && said.contains("no mail"), "{said}");
    ensure!(pids(&managed.status()?)?.iter().all(|pid| !before.contains(pid)));
    let told = std::fs::read_to_string(managed.root().join("told"))?;
    for name in ["n1", "n2", "n3"] {
        ensure!(told.contains(&format!("before restart-node {name} it")), "{told}");
    }
    ensure!(told.contains("before move-leader"), "{told}");
    let events = ended(&managed, &["events"], 0)?;
    ensure!(events.contains("no mail"), "{events}");
    Ok(())
}
