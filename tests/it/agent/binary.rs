//! Another file at a binary's path: `plan` says so, `apply` restarts the nodes with it, one at a time.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

use super::{apply, member_pids};
use crate::harness::{
    manager::Managed,
    oracle::{self, Kind},
};

/// As a package manager does it: a new file, renamed over the old one.
#[expect(clippy::disallowed_methods, reason = "the operator upgrades a program")]
fn install(program: &Path, path: &Path) -> Result<()> {
    let draft = path.with_extension("new");
    fs::copy(program, &draft)?;
    fs::rename(draft, path)?;
    Ok(())
}

#[test]
fn a_replaced_binary_is_rolled_out_by_the_next_apply() -> Result<()> {
    for (first, second) in [(Kind::Ours, Kind::Ours), (Kind::Real34, Kind::Real35)] {
        let place = tempfile::Builder::new().prefix("em-bin-").tempdir()?;
        let path = place.path().join("etcd");
        install(&oracle::server(first)?, &path)?;
        let managed = Managed::new(3, &format!("[defaults]\nbinary = \"{}\"\n", path.display()))?;
        apply(&managed)?;
        let before = member_pids(&managed.status()?);
        apply(&managed)?;
        assert_eq!(before, member_pids(&managed.status()?), "the same file is no change");
        install(&oracle::server(second)?, &path)?;
        let reason = format!("the binary at {} was replaced", path.display());
        let plan = managed.run(&["plan", "cluster.toml"])?;
        ensure!(plan.code == 0 && plan.out.matches(&reason).count() >= 3, "{plan:?}");
        let status = managed.status()?;
        assert_eq!(status["converged"], false, "{status}");
        assert_eq!(before, member_pids(&status), "nothing is restarted without an apply");
        apply(&managed)?;
        let status = managed.status()?;
        let after = member_pids(&status);
        ensure!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
        if second == Kind::Real35 {
            assert_eq!(status["members"][0]["version"], "3.5.1", "it runs the new one");
        }
        let plan = managed.run(&["plan", "cluster.toml"])?;
        ensure!(!plan.out.contains("was replaced"), "done: {plan:?}");
    }
    Ok(())
}
