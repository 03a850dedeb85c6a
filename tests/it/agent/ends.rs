//! Nodes that end by themselves: `apply` and `status` say why, with the cause's own word, its remedy and the last words.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use super::SOON;
use crate::harness::{ctl::Said, manager::Managed, wait};

/// A tiny file system, unmounted in the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let size = Some("size=256k,mode=0700");
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), size)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what is still open goes with its last user.
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap_or_default();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test writes its program")]
fn program(managed: &Managed, script: &str) -> Result<String> {
    let path = managed.root().join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

/// What `apply` and `status` say of a node that does not come up.
fn failed_apply(managed: &Managed, cause: &str) -> Result<(Said, Value)> {
    let said = managed.run(&["apply", "cluster.toml", "--timeout", "5s"])?;
    assert_eq!(said.code, 1, "{said:?}");
    let member = wait::until_blocking(SOON, "the cause is known", || {
        let member = managed.status()?["members"][0].clone();
        ensure!(member["last_exit"]["cause"] == cause, "{member}");
        Ok::<_, anyhow::Error>(member)
    })?;
    Ok((said, member))
}

#[test]
fn an_exit_code_is_shown_with_the_last_words() -> Result<()> {
    let managed = Managed::new(1, "")?;
    let binary = program(&managed, "echo 'out of cheese' >&2\nexit 3")?;
    managed.write_spec(&format!(
        "[defaults]\nbinary = \"{binary}\"\n[supervise]\nbackoff-min = \"50ms\"\nready-timeout = \"4s\"\n"
    ))?;
    let (said, _) = failed_apply(&managed, "failed")?;
    for words in ["exit code 3", "out of cheese"] {
        ensure!(said.err.contains(words), "{words} in {said:?}");
    }
    let looping = wait::until_blocking(SOON, "it is a crash loop", || {
        let member = managed.status()?["members"][0].clone();
        ensure!(member["state"] == "crash-loop", "{member}");
        Ok::<_, anyhow::Error>(member)
    })?;
    ensure!(looping["reason"].to_string().contains("out of cheese"), "{looping}");
    let table = managed.run(&["status"])?;
    for words in ["crash-loop", "exit code 3", "out of cheese"] {
        ensure!(table.out.contains(words), "{words} in {table:?}");
    }
    Ok(())
}

#[test]
fn a_full_disk_is_named_as_such() -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(()); // Only root mounts; the classifier's own tests know the texts.
    }
    let spec = "[supervise]\nbackoff-min = \"50ms\"\nready-timeout = \"4s\"\n";
    let managed = Managed::new(1, spec)?;
    let _disk = SmallDisk::mount(&managed.root().join("data").join("n1"))?;
    let (said, member) = failed_apply(&managed, "disk-full")?;
    ensure!(said.err.contains("the disk is full"), "{said:?}");
    ensure!(member["last_exit"]["remedy"].to_string().contains("free space"), "{member}");
    Ok(())
}

#[test]
fn a_signal_from_outside_is_named() -> Result<()> {
    let managed = Managed::new(1, "")?;
    let binary = program(&managed, "kill -SEGV $$")?;
    managed.write_spec(&format!(
        "[defaults]\nbinary = \"{binary}\"\n[supervise]\nbackoff-min = \"50ms\"\nready-timeout = \"4s\"\n"
    ))?;
    let (said, _) = failed_apply(&managed, "killed")?;
    ensure!(said.err.contains("SIGSEGV"), "{said:?}");
    Ok(())
}
