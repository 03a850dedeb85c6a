//! When an apply's steps may begin: maintenance windows and deadlines; and two applies at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{manager::Managed, wait};

fn flags(count: u32) -> String {
    format!("[defaults.flags]\nsnapshot-count = {count}\n")
}

/// A window of a minute that opens half a day from now.
#[expect(clippy::disallowed_methods, reason = "system tests live in real time")]
fn far_window() -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() / 60;
    let opens = (now + 12 * 60) % (24 * 60);
    let closes = (opens + 1) % (24 * 60);
    let time = |minute: u64| format!("{:02}:{:02}", minute / 60, minute % 60);
    Ok(format!("[maintenance]\nwindows = [\"daily {}-{} UTC\"]\n", time(opens), time(closes)))
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

#[test]
fn a_rolling_restart_waits_for_its_window_and_what_is_down_does_not() -> Result<()> {
    let managed = Managed::new(3, &far_window()?)?;
    // First starts are not disruptive.
    ended(&managed, &["apply"], 0)?;
    let before = pids(&managed.status()?)?;
    managed.write_spec(&(far_window()? + &flags(5000)))?;
    let plan = ended(&managed, &["plan"], 0)?;
    ensure!(plan.contains("waits for the maintenance window that opens at"), "{plan}");
    let said = ended(&managed, &["apply"], 6)?;
    ensure!(said.contains("maintenance window that opens at"), "{said}");
    let status = managed.status()?;
    assert_eq!(status["last"]["outcome"], "postponed", "{status}");
    ensure!(status["notes"].to_string().contains("maintenance window"), "{status}");
    assert_eq!(pids(&status)?, before);
    // Asked for by name it is done at once, and a stopped node is started at any time.
    ended(&managed, &["stop", "n1"], 0)?;
    ended(&managed, &["start", "n1"], 0)?;
    let after = pids(&managed.status()?)?;
    ensure!(after[0] != before[0] && after[1..] == before[1..], "{after:?}");
    ended(&managed, &["apply", "--now"], 0)?;
    let status = managed.status()?;
    assert_eq!(status["converged"], true, "{status}");
    let last = pids(&status)?;
    ensure!(last[1] != before[1] && last[2] != before[2], "{last:?}");
    Ok(())
}

#[test]
fn after_its_deadline_an_apply_begins_no_further_step() -> Result<()> {
    let managed = Managed::new(3, "")?;
    ended(&managed, &["apply"], 0)?;
    let before = pids(&managed.status()?)?;
    managed.write_spec(&flags(5000))?;
    let said = ended(&managed, &["apply", "--deadline", "1ms"], 6)?;
    ensure!(said.contains("its deadline has passed; not begun: ") && said.contains("n1"), "{said}");
    assert_eq!(pids(&managed.status()?)?, before);
    // The same by the spec, and an option overrides it.
    managed.write_spec(&format!("[apply]\ndeadline = \"1ms\"\n{}", flags(5000)))?;
    ended(&managed, &["apply"], 6)?;
    ended(&managed, &["apply", "--deadline", "5m"], 0)?;
    ensure!(pids(&managed.status()?)?.iter().all(|pid| !before.contains(pid)));
    Ok(())
}

#[test]
fn of_two_applies_at_once_the_first_is_told_that_it_was_superseded() -> Result<()> {
    let managed = Managed::new(3, "")?;
    ended(&managed, &["apply"], 0)?;
    managed.write_spec(&flags(5000))?;
    let (first, second) = std::thread::scope(|scope| -> Result<_> {
        let first = scope.spawn(|| managed.run(&["apply"]));
        wait::until_blocking(Duration::from_secs(20), "the first apply is under way", || {
            let status = managed.status().map_err(|error| error.to_string())?;
            let is_under_way = status["spec_revision"] == 2 && status["goal"] == "converge";
            if is_under_way { Ok(()) } else { Err(status.to_string()) }
        })?;
        managed.write_spec(&flags(6000))?;
        let second = managed.run(&["apply", "--expect", "2"])?;
        let first = first.join().ok().context("the first apply's thread")??;
        Ok((first, second))
    })?;
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(first.code, 6, "{first:?}");
    ensure!(first.err.contains("superseded") && first.err.contains("revision 3"), "{first:?}");
    for pid in pids(&managed.status()?)? {
        let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        ensure!(environment.contains("ETCD_SNAPSHOT_COUNT=6000"), "{environment}");
    }
    let late = managed.run(&["apply", "--expect", "2"])?;
    ensure!(late.code == 5 && late.err.contains("revision 3"), "{late:?}");
    Ok(())
}
