//! What operators get wrong over several hosts, and disks that are full: a clear word, and nothing half-done.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{SOON, flags, pids};
use crate::harness::{hosts::Hosts, wait};

#[test]
fn most_voters_at_once_are_not_replaced() -> Result<()> {
    let mut hosts = Hosts::with_spare(3, 2, &flags(5000))?;
    hosts.apply()?;
    let before = pids(&hosts.await_converged(15)?);
    hosts.numbers = vec![15, 18, 19];
    hosts.write_spec(&flags(5000))?;
    let said = hosts.run(&["apply", "cluster.toml", "--agent", "10.0.34.15:2378"])?;
    ensure!(said.code == 5, "{said:?}");
    ensure!(said.err.contains("replaces 2 of 3 voters at once"), "{said:?}");
    hosts.numbers = vec![15, 16, 17];
    hosts.write_spec(&flags(5000))?;
    hosts.apply()?;
    assert_eq!(pids(&hosts.await_converged(16)?), before, "nothing was touched");
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an operator's editor does it so")]
fn an_agent_of_another_cluster_is_left_alone() -> Result<()> {
    let mut hosts = Hosts::with_spare(3, 1, &flags(5000))?;
    hosts.apply()?;
    let folder = hosts.spec().parent().context("a folder")?.to_owned();
    let other = format!(
        "[cluster]\nname = \"other\"\ndir = \"{}\"\n[[node]]\nname = \"o18\"\nhost = \"10.0.34.18\"\n",
        folder.join("other-data").display()
    );
    fs::write(folder.join("other.toml"), other)?;
    let theirs = ["--agent", "10.0.34.18:2378"];
    let said = hosts.run(&[&["apply", "other.toml"], &theirs[..]].concat())?;
    ensure!(said.code == 0, "{said:?}");
    let before = pids(&hosts.status_of(18)?);
    hosts.numbers = vec![15, 16, 17, 18];
    hosts.write_spec(&flags(5000))?;
    let said =
        hosts.run(&["apply", "cluster.toml", "--agent", "10.0.34.15:2378", "--timeout", "5s"])?;
    ensure!(said.code == 1 && said.err.contains("10.0.34.18"), "{said:?}");
    ensure!(said.err.contains("group"), "it says that it is another's: {said:?}");
    let status = hosts.status_of(18)?;
    assert_eq!(status["cluster"], "other", "{status:#}");
    assert_eq!(pids(&status), before, "its node runs on");
    hosts.numbers = vec![15, 16, 17];
    hosts.write_spec(&flags(5000))?;
    hosts.apply()?;
    let status = hosts.await_converged(16)?;
    assert_eq!(status["quorum"]["voters"], 3, "{status:#}");
    Ok(())
}

/// A small disk of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path)?;
        let size = Some("size=8m,mode=700");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), size)?;
        Ok(Self(path))
    }

    /// Until nothing more fits.
    #[expect(clippy::disallowed_methods, reason = "something else fills the disk")]
    fn fill(&self) {
        let chunk = vec![1_u8; 4096];
        for number in 0..4096 {
            if fs::write(self.0.join(format!("fill{number}")), &chunk).is_err() {
                return;
            }
        }
    }

    fn make_room(&self) -> Result<()> {
        for item in fs::read_dir(&self.0)? {
            let path = item?.path();
            let is_filling =
                path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("fill"));
            if is_filling {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It is gone with the machine otherwise.
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap_or_default();
    }
}

/// R13: an agent that cannot write decides nothing; nodes run on, and the other agents too.
#[test]
fn a_full_state_disk_ends_its_agent_and_nothing_else() -> Result<()> {
    let mut hosts = Hosts::without_agents(3, 0)?;
    let disk = SmallDisk::new(hosts.state_dir(17))?;
    hosts.write_spec(&flags(5000))?;
    for number in hosts.numbers.clone() {
        hosts.start_agent(number)?;
    }
    hosts.apply()?;
    let load = hosts.load();
    let before = pids(&hosts.await_converged(15)?);
    disk.fill();
    let mut count = 6000;
    // What is preallocated is still written: the agent ends when it needs more.
    wait::until_blocking(SOON * 2, "the agent cannot write any more", || {
        count += 1;
        // Long, so that few of them fill it.
        hosts.write_spec(&format!("# {}\n{}", "x".repeat(100_000), flags(count)))?;
        let said = hosts.run(&[
            "apply",
            "cluster.toml",
            "--agent",
            "10.0.34.15:2378",
            "--timeout",
            "4s",
        ])?;
        let told = said.code == 0 || said.code == 9 || said.err.contains("10.0.34.17");
        ensure!(told, "it says who is missing: {said:?}");
        disk.fill();
        ensure!(hosts.is_dead(17), "it goes on: {said:?}");
        Ok::<_, anyhow::Error>(())
    })?;
    let log = hosts.log_of(17).to_lowercase();
    ensure!(log.contains("no space left"), "it says why: {log}");
    let status = hosts.status_of(15)?;
    let members = status["members"].as_array().context("members")?;
    ensure!(members[2]["state"] == "unknown", "silence is not death: {status:#}");
    disk.make_room()?;
    hosts.start_agent(17)?;
    let status = hosts.await_converged(17)?;
    for node in ["n15", "n16", "n17"] {
        assert_eq!(hosts.variable(&status, node, "ETCD_SNAPSHOT_COUNT")?, count.to_string());
    }
    assert_eq!(pids(&status).len(), before.len());
    load.check()?;
    Ok(())
}
