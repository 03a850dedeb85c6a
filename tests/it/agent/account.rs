//! `user = "..."`: the node is that user's, the agent stays whose it was.

use std::{os::unix::fs::MetadataExt, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use disk::RealDisk;
use lineage::Fence;
use records::{Charter, Record};

use super::{agent_pid, pid_of};
use crate::harness::{
    ctl::{self, Said},
    manager::Managed,
    oracle::{self, Kind, Version},
    ports::Port,
};

/// Its user; a process's folder in /proc is the effective user's.
fn owner(path: &str) -> Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.to_owned())?.uid())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
fn a_node_and_its_files_belong_to_the_user_of_the_spec() -> Result<()> {
    let managed = Managed::new(1, "")?;
    // The build folder may be closed to this user. The in-tree node is the one beside the manager.
    let (node, manager) = (managed.root().join("etcd-node"), managed.root().join("etcd-manager"));
    std::fs::copy(oracle::server(Kind::Ours)?, &node)?;
    std::fs::copy(oracle::manager(), &manager)?;
    managed.write_spec("[defaults]\nuser = \"nobody\"\n")?;
    if !nix::unistd::Uid::effective().is_root() {
        let said = managed.run(&["apply", "cluster.toml", "--timeout", "10s"])?;
        assert_eq!(said.code, 1, "{said:?}");
        ensure!(said.err.contains("could not be started"), "only root may: {said:?}");
        return Ok(());
    }
    let nobody = nix::unistd::User::from_name("nobody")?.context("the user nobody")?.uid.as_raw();
    // Temporary folders are private; this user has to get in.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(managed.root(), open)?;
    let mut apply = Command::new(manager);
    let applied: Said =
        apply.args(["apply", "cluster.toml"]).current_dir(managed.root()).output()?.into();
    assert_eq!(applied.code, 0, "{applied:?}");
    let status = managed.status()?;
    let node = pid_of(&status["members"][0])?;
    assert_eq!(owner(&format!("/proc/{node}/status"))?, nobody);
    let groups = std::fs::read_to_string(format!("/proc/{node}/status"))?;
    let groups = groups.lines().find(|line| line.starts_with("Gid:")).context("Gid")?.to_owned();
    ensure!(!groups.split_whitespace().any(|gid| gid == "0"), "no group of root: {groups}");
    assert_eq!(owner(&format!("/proc/{}/status", agent_pid(&status)?))?, 0);
    let dir = status["members"][0]["data_dir"].as_str().context("data_dir")?;
    for path in ["", "/member", "/member/wal", "/member/snap"] {
        assert_eq!(owner(&format!("{dir}{path}"))?, nobody, "{path}");
    }
    assert_eq!(std::fs::metadata(dir)?.mode() & 0o777, 0o700);
    let uuid = status["uuid"].as_str().context("uuid")?;
    let record = managed.root().join(format!("data/agent-records/{uuid}/n1"));
    for part in ["", "charter", "fence", "reservation"] {
        assert_eq!(owner(&record.join(part).display().to_string())?, nobody, "{part}");
    }
    ctl::ok(Version::V35, &managed.endpoints(), &["put", "a", "1"])?;
    let said = managed.run(&["restart", "n1"])?;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(ctl::ok(Version::V35, &managed.endpoints(), &["get", "a"])?, "a\n1\n");
    Ok(())
}

#[test]
fn an_unknown_user_is_named_with_the_remedy() -> Result<()> {
    let managed = Managed::new(1, "[defaults]\nuser = \"no-such-user\"\n")?;
    let said = managed.run(&["apply", "cluster.toml", "--timeout", "10s"])?;
    ensure!(said.code == 1 || said.code == 3, "{said:?}");
    ensure!(said.err.contains("no-such-user"), "{said:?}");
    ensure!(said.err.contains("user"), "{said:?}");
    Ok(())
}

/// R2, R3, R9: a bootstrap that nothing came of gives way to one of a higher epoch, in the records too.
#[test]
#[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
fn a_bootstrap_that_could_not_start_gives_way_to_one_of_a_higher_epoch() -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(()); // The records' own tests walk through every crash of this.
    }
    let mut managed = Managed::new(1, "")?;
    let (node, manager) = (managed.root().join("etcd-node"), managed.root().join("etcd-manager"));
    std::fs::copy(oracle::server(Kind::Ours)?, &node)?;
    std::fs::copy(oracle::manager(), &manager)?;
    // This user may not run the program.
    std::fs::set_permissions(&node, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    managed.write_spec("[defaults]\nuser = \"nobody\"\n")?;
    let mut apply = Command::new(manager);
    apply.args(["apply", "cluster.toml", "--timeout", "5s"]).current_dir(managed.root());
    let failed: Said = apply.output()?.into();
    ensure!(failed.code == 1 && failed.err.contains("could not be started"), "{failed:?}");
    let uuid = managed.status()?["uuid"].as_str().context("uuid")?.to_owned();
    let records = managed.root().join("data/agent-records").join(&uuid);
    let epochs = |node: &str| -> Result<(u64, u64)> {
        let record = Record::look(Arc::new(RealDisk), &records.join(node));
        let charter: Charter = record.read()?.context("a charter")?;
        let fence: Fence = record.read()?.context("a fence")?;
        Ok((charter.identity.epoch.get(), fence.lineage.get()))
    };
    assert_eq!(epochs("n1")?, (1, 1));
    managed.ports.push((Port::take()?, Port::take()?));
    managed.write_spec("")?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    assert_eq!(said.code, 0, "{said:?}");
    for name in ["n1", "n2"] {
        assert_eq!(epochs(name)?, (2, 2), "{name}");
    }
    assert_eq!(managed.status()?["uuid"], uuid, "the cluster stays what it is");
    Ok(())
}
