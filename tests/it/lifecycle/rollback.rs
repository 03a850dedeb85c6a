//! A member's data disk is put back to an older state, or its record is lost or damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::{applied, members, urls};
use crate::{
    crash::writers::{self, Writers},
    harness::{cluster::READY, hosts::copy_folder, manager::Managed, wait},
};

/// R17: a disk that was put back never votes again; its host's record knows. Without a quorum it stays as it is (R1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test exchanges a disk")]
async fn a_rolled_back_disk_never_votes_again() -> Result<()> {
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\n")?;
    applied(&managed)?;
    let writers = Writers::start(&urls(&managed, &[0, 2]), 3)?;
    writers.acknowledged_more(50).await?;
    let id = |status: &Value| status["members"][1]["id"].clone();
    let before = id(&managed.status()?);
    ok(&managed, &["stop", "n2"])?;
    let (live, old) = (managed.root().join("data/n2"), managed.root().join("old"));
    copy_folder(&live, &old)?;
    ok(&managed, &["start", "n2"])?;
    writers.acknowledged_more(200).await?;
    await_mark(&managed, "n2").await?;
    ok(&managed, &["stop", "n2"])?;
    fs::rename(&live, managed.root().join("newer"))?;
    fs::rename(&old, &live)?;

    let refused = managed.run(&["start", "n2"])?;
    ensure!(refused.code == 1, "{refused:?}");
    let status = managed.status()?.to_string();
    ensure!(status.contains("data-lost") && status.contains("E-NODE-04"), "{status}");
    let acknowledged = writers.stop().await?;
    ok(&managed, &["stop", "n3"])?;
    let waits = managed.run(&["plan", "cluster.toml"])?;
    ensure!(waits.out.contains("older than what this member acknowledged"), "R1: {waits:?}");
    ensure!(waits.out.starts_with("2 steps"), "R1: only n3 is to be started: {waits:?}");
    ok(&managed, &["start", "n3"])?;

    let said = applied(&managed)?;
    assert_eq!(members(&managed, 0)?, ["n1", "n2", "n3"]);
    let status = managed.status()?;
    ensure!(id(&status) != before, "a new id: {status:#}");
    let archived = fs::read_dir(managed.root().join("data/archive"))?;
    let archived: Vec<_> = archived.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let dir = archived.iter().find(|path| path.is_dir()).context(said)?;
    let inspected = fs::read_dir(dir.join("member/wal"))?.count();
    ensure!(inspected > 0, "its old log is kept");
    let retired = find(&managed.root().join("data/agent-records/archive"), "mark")?;
    ensure!(retired.len() == 1, "its record is kept: {retired:?}");
    writers::all_there(&urls(&managed, &[0, 1, 2]), &acknowledged).await
}

/// R13: a damaged record is not taken for none; one that is gone is made anew by a committed start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a failing disk damages and loses files so")]
async fn a_damaged_record_holds_its_node_and_a_lost_one_is_made_anew() -> Result<()> {
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\n")?;
    applied(&managed)?;
    let before = managed.status()?["members"][1]["id"].clone();
    ok(&managed, &["stop", "n2"])?;
    let records = managed.root().join("data/agent-records");
    let own = find(&records, "charter")?;
    let own = own.iter().filter_map(|charter| charter.parent()).find(|it| it.ends_with("n2"));
    let own = own.context("the record of n2")?;
    let fence = fs::read(own.join("fence"))?;
    fs::write(own.join("fence"), &fence[..fence.len() / 2])?;
    let refused = managed.run(&["start", "n2", "--timeout", "3s"])?;
    ensure!(refused.code == 1 && refused.err.contains("its record"), "{refused:?}");
    ensure!(managed.status()?["members"][1]["pid"].is_null(), "nothing was started");
    let plan = managed.run(&["plan", "cluster.toml"])?;
    ensure!(plan.out.contains("its record: ") && !plan.out.contains("+ "), "R13: {plan:?}");

    fs::rename(own, own.with_extension("damaged"))?;
    ok(&managed, &["start", "n2"])?;
    let status = managed.status()?;
    assert_eq!(status["members"][1]["id"], before, "the same member");
    ensure!(own.join("mark").exists() || own.join("reservation").exists(), "a record of its own");
    ok(&managed, &["restart", "n2"])?;
    Ok(())
}

fn ok(managed: &Managed, arguments: &[&str]) -> Result<()> {
    let said = managed.run(arguments)?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

/// Until the node's mark has covered what is committed now.
async fn await_mark(managed: &Managed, node: &str) -> Result<()> {
    let records = managed.root().join("data/agent-records");
    let marks = || find(&records, "mark");
    let mark = || {
        let own =
            marks()?.into_iter().find(|path| path.parent().is_some_and(|it| it.ends_with(node)));
        fs::read(own.context("a mark")?).context("read the mark")
    };
    // The first may have been begun before; the second covers what was there when this began.
    for _ in 0..2 {
        let before = mark()?;
        wait::until(READY, "the next mark", || async {
            if mark()? == before { Err(anyhow!("the same mark")) } else { Ok(()) }
        })
        .await?;
    }
    Ok(())
}

/// Files of this name below a folder.
fn find(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(find(&path, name)?);
        } else if path.file_name().is_some_and(|it| it == name) {
            found.push(path);
        }
    }
    Ok(found)
}
