//! `apply` interrupted at random points, by Ctrl-C and by SIGKILL of the command line: the next one completes it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, member_pids};
use crate::harness::{child::Process, ctl, manager::Managed, oracle, oracle::Version, wait};

/// Starts an apply, and sends the signal as soon as its output says so (or it has ended).
fn interrupted(managed: &Managed, signal: Signal, when: &str) -> Result<(Option<i32>, String)> {
    let log = managed.root().join(format!("apply-{signal}.out"));
    let spec = managed.spec().display().to_string();
    let arguments = ["apply".to_owned(), spec];
    let mut process = Process::start(&oracle::manager(), &arguments, &[], &log)?;
    wait::until_blocking(SOON, "it came so far", || {
        let log = process.log();
        ensure!(log.contains(when), "{when:?} is not in {log:?}");
        Ok::<_, anyhow::Error>(())
    })?;
    process.signal(signal)?;
    let status = process.wait(SOON)?;
    Ok((status.code(), process.log()))
}

/// Node processes of this cluster, by data dir: each at most once.
fn one_process_each(managed: &Managed) -> Result<()> {
    let mut dirs = BTreeSet::new();
    for (pid, _) in managed.processes()? {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let Some(dir) = environment.split('\0').find(|text| text.starts_with("ETCD_DATA_DIR="))
        else {
            continue;
        };
        ensure!(dirs.insert(dir.to_owned()), "{dir} has two processes");
    }
    assert_eq!(dirs.len(), managed.ports.len());
    Ok(())
}

fn completes(managed: &Managed) -> Result<()> {
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "{said:?}");
    let status = managed.status()?;
    assert_eq!(status["converged"], true, "{status}");
    one_process_each(managed)?;
    let listed = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    assert_eq!(listed.lines().count(), managed.ports.len(), "{listed}");
    Ok(())
}

#[test]
fn a_first_apply_that_was_interrupted_is_completed_by_the_next() -> Result<()> {
    for (signal, when) in [
        (Signal::SIGINT, "form a new cluster"),
        (Signal::SIGKILL, "form a new cluster"),
        (Signal::SIGINT, "wait until healthy"),
    ] {
        let managed = Managed::new(3, "")?;
        let (code, log) = interrupted(&managed, signal, when)?;
        let wanted = if signal == Signal::SIGINT { Some(6) } else { None };
        assert_eq!(code, wanted, "{signal} {when}: {log}");
        ensure!(code.is_none() || log.contains("interrupted"), "it says so: {log}");
        completes(&managed)?;
        assert_eq!(managed.status()?["spec_revision"], 1);
    }
    Ok(())
}

#[test]
fn an_interrupted_rolling_restart_finishes_its_step_and_then_holds() -> Result<()> {
    let managed = Managed::new(3, "")?;
    completes(&managed)?;
    for (signal, count) in [(Signal::SIGINT, 5001), (Signal::SIGKILL, 5002)] {
        let before = member_pids(&managed.status()?);
        managed.write_spec(&format!("[defaults.flags]\nsnapshot-count = {count}\n"))?;
        let (code, log) = interrupted(&managed, signal, "restart n")?;
        ensure!(signal == Signal::SIGKILL || code == Some(6), "{code:?}: {log}");
        let held = wait::until_blocking(Duration::from_secs(30), "the agent holds", || {
            let status = managed.status()?;
            ensure!(status["goal"].is_null() && status["last"]["outcome"] == "held", "{status}");
            Ok::<_, anyhow::Error>(status)
        })?;
        let changed = before.iter().zip(member_pids(&held)).filter(|(old, new)| **old != *new);
        assert_eq!(changed.count(), 1, "the running step was finished, no other begun: {held}");
        for member in held["members"].as_array().context("members")? {
            assert_eq!(member["health"], "healthy", "its step ended with a healthy node: {member}");
        }
        assert_eq!(held["converged"], false);
        completes(&managed)?;
        let after = member_pids(&managed.status()?);
        ensure!(before.iter().all(|pid| !after.contains(pid)), "all run with the new flag");
    }
    Ok(())
}
