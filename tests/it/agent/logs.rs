//! `logs NODE -f`: across a restart and across rotations of the file, each line once and in order.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, apply};
use crate::harness::{
    child::Process,
    manager::Managed,
    oracle::{self, Kind},
    wait,
};

/// Says 900 long numbered lines (more than one file of the least size) at each start, then is the node.
#[expect(clippy::disallowed_methods, reason = "the test writes its program")]
fn talker(managed: &Managed) -> Result<String> {
    let path = managed.root().join("talker");
    let pad = "x".repeat(80);
    let node = oracle::server(Kind::Ours)?;
    let script = format!(
        "#!/bin/sh\ni=0\nwhile [ $i -lt 900 ]; do echo \"line $i of $$ {pad}\"; i=$((i+1)); done\nexec {}\n",
        node.display()
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

#[test]
fn follow_goes_on_across_rotation_and_restart() -> Result<()> {
    let managed = Managed::new(1, "")?;
    let binary = talker(&managed)?;
    managed.write_spec(&format!(
        "[defaults]\nbinary = \"{binary}\"\n[log]\nmax-bytes = 65536\nkeep = 9\n"
    ))?;
    let arguments = ["logs", "n1", "-f", "--file"].map(str::to_owned).to_vec();
    let arguments = [arguments, vec![managed.spec().display().to_string()]].concat();
    let output = managed.root().join("followed");
    // Begun before there is a log at all.
    let mut follower = Process::start(&oracle::manager(), &arguments, &[], &output)?;
    apply(&managed)?;
    let said = managed.run(&["restart", "n1"])?;
    ensure!(said.code == 0, "{said:?}");
    let log = wait::until_blocking(SOON, "both runs were followed", || {
        let log = follower.log();
        ensure!(log.matches("line 899 of").count() == 2, "{}", log.len());
        Ok::<_, anyhow::Error>(log)
    })?;
    let numbers: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.split_whitespace().next())
        .collect();
    let wanted: Vec<String> = (0..900).chain(0..900).map(|at: u32| at.to_string()).collect();
    assert_eq!(numbers, wanted, "each line once and in order");
    let folder = managed.run(&["status", "--output", "json"])?;
    ensure!(folder.out.contains("n1.log"), "{folder:?}");
    follower.signal(Signal::SIGINT)?;
    let ended = follower.wait(SOON)?;
    assert_eq!(ended.code(), Some(0), "Ctrl-C is the way to end it");
    Ok(())
}
