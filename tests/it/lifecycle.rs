//! A cluster's life by editing its spec: it grows, shrinks, loses a disk and moves, while clients write.

mod rollback;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    crash::writers::{self, Writers},
    harness::{
        ctl,
        manager::Managed,
        oracle::{self, Kind, Version},
    },
};

fn binary(kind: Kind) -> Result<String> {
    let binary = oracle::server(kind)?;
    Ok(format!(
        "[defaults]\nbinary = \"{}\"\n[supervise]\nbackoff-min = \"100ms\"\n",
        binary.display()
    ))
}

fn applied(managed: &Managed) -> Result<String> {
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "apply: {said:?}");
    let again = managed.run(&["plan", "cluster.toml"])?;
    ensure!(
        again.out.starts_with("Nothing to do"),
        "an applied spec leaves nothing to do: {again:?}"
    );
    Ok(said.out)
}

/// Names of the members, sorted.
fn members(managed: &Managed, through: usize) -> Result<Vec<String>> {
    let endpoint = managed.ports[through].0.url();
    let listed = ctl::ok(Version::V35, &endpoint, &["member", "list", "-w", "json"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    let members = listed["members"].as_array().context("members")?;
    ensure!(
        members.iter().all(|member| member["isLearner"] != true),
        "a learner is left: {listed}"
    );
    let mut names: Vec<String> =
        members.iter().map(|member| member["name"].as_str().unwrap_or("").to_owned()).collect();
    names.sort();
    Ok(names)
}

fn urls(managed: &Managed, nodes: &[usize]) -> Vec<String> {
    nodes.iter().map(|at| managed.ports[*at].0.url()).collect()
}

/// R4, R5, R6: 1 -> 3 -> 5 -> 3 -> 1 under load: nothing acknowledged is lost, and every data dir is still somewhere.
async fn grows_and_shrinks(kind: Kind) -> Result<()> {
    let extra = binary(kind)?;
    let managed = Managed::new(5, "")?;
    managed.write_spec_of(&[0], &extra)?;
    applied(&managed)?;
    let writers = Writers::start(&urls(&managed, &[0]), 3)?;
    writers.acknowledged_more(50).await?;
    for nodes in [&[0, 1, 2][..], &[0, 1, 2, 3, 4], &[0, 1, 2], &[0]] {
        managed.write_spec_of(nodes, &extra)?;
        applied(&managed)?;
        let names: Vec<String> = nodes.iter().map(|at| format!("n{}", at + 1)).collect();
        assert_eq!(members(&managed, 0)?, names);
        writers.acknowledged_more(50).await?;
    }
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls(&managed, &[0]), &acknowledged).await?;
    let archive = managed.root().join("data/archive");
    let is_dir = |path: &Path| path.metadata().is_ok_and(|kind| kind.is_dir());
    let archived: Vec<PathBuf> =
        fs::read_dir(archive)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let (dirs, notes): (Vec<_>, Vec<_>) = archived.iter().partition(|path| is_dir(path));
    assert_eq!(dirs.len(), 4, "what left is in the archive");
    for dir in dirs {
        assert!(notes.contains(&&dir.with_extension("json")), "{} has no note", dir.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_3_5_grows_and_shrinks_by_its_spec() -> Result<()> {
    grows_and_shrinks(Kind::Real35).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_3_4_grows_and_shrinks_by_its_spec() -> Result<()> {
    grows_and_shrinks(Kind::Real34).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_ours_grows_and_shrinks_by_its_spec() -> Result<()> {
    grows_and_shrinks(Kind::Ours).await
}

fn pid_of(managed: &Managed, node: &str) -> Result<Pid> {
    let status = managed.status()?;
    let members = status["members"].as_array().context("members")?;
    let member = members.iter().find(|member| member["name"] == node).context("the node")?;
    Ok(Pid::from_raw(i32::try_from(member["pid"].as_i64().context("a pid")?)?))
}

/// R4, R17: the member leaves, what is left of its data goes to the archive, and it joins anew under another id.
#[expect(clippy::disallowed_methods, reason = "somebody took the disk away")]
async fn replaces_a_lost_disk(kind: Kind) -> Result<()> {
    let extra = binary(kind)?;
    let managed = Managed::new(3, &extra)?;
    applied(&managed)?;
    let writers = Writers::start(&urls(&managed, &[0, 2]), 3)?;
    writers.acknowledged_more(50).await?;
    let before = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    let stopped = managed.run(&["stop", "n2"])?;
    ensure!(stopped.code == 0, "{stopped:?}");
    fs::rename(managed.root().join("data/n2"), managed.root().join("lost"))?;
    applied(&managed)?;
    let after = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    assert_eq!(members(&managed, 0)?, ["n1", "n2", "n3"]);
    ensure!(before != after, "n2 has a new id: {after}");
    writers.acknowledged_more(50).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls(&managed, &[0, 1, 2]), &acknowledged).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_is_replaced() -> Result<()> {
    replaces_a_lost_disk(Kind::Real35).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_disk_of_ours_is_replaced() -> Result<()> {
    replaces_a_lost_disk(Kind::Ours).await
}

/// Damage in the middle of a log, which only a start finds: the node is held, and the next apply replaces it.
#[expect(clippy::disallowed_methods, reason = "a failing disk damages files so")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_damaged_in_its_middle_is_replaced() -> Result<()> {
    let extra = binary(Kind::Ours)?;
    let managed = Managed::new(3, &extra)?;
    applied(&managed)?;
    let writers = Writers::start(&urls(&managed, &[0, 2]), 3)?;
    writers.acknowledged_more(200).await?;
    let before = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    let stopped = managed.run(&["stop", "n2"])?;
    ensure!(stopped.code == 0, "{stopped:?}");
    let logs = fs::read_dir(managed.root().join("data/n2/member/wal"))?;
    let logs = logs.filter_map(|entry| Some(entry.ok()?.path()));
    let log = logs.filter(|path| path.extension().is_some_and(|end| end == "wal")).min();
    let log = log.context("a segment")?;
    let mut content = fs::read(&log)?;
    let used = content.iter().rposition(|byte| *byte != 0).context("records")?;
    content[used / 2..used / 2 + 16].fill(0xa5);
    fs::write(&log, &content)?;

    let refused = managed.run(&["start", "n2"])?;
    ensure!(refused.code == 1, "{refused:?}");
    let status = managed.status()?.to_string();
    ensure!(status.contains("its data dir is damaged"), "{status}");
    let said = applied(&managed)?;
    assert_eq!(members(&managed, 0)?, ["n1", "n2", "n3"]);
    let after = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    ensure!(before != after, "n2 has a new id: {after}");
    let archived = fs::read_dir(managed.root().join("data/archive"))?;
    let archived = archived.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = archived.filter(|path| path.is_dir()).min().context(said)?;
    let kept = archive.join("member/wal").join(log.file_name().context("a name")?);
    ensure!(fs::read(&kept)? == content, "the damaged log is kept as it was");
    writers.acknowledged_more(50).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls(&managed, &[0, 1, 2]), &acknowledged).await
}

/// The cluster is told of new peer URLs before the node serves them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_urls_move_by_the_spec() -> Result<()> {
    let extra = binary(Kind::Real35)?;
    let mut managed = Managed::new(3, &extra)?;
    applied(&managed)?;
    let writers = Writers::start(&urls(&managed, &[0, 1, 2]), 3)?;
    writers.acknowledged_more(50).await?;
    managed.ports[1].1 = crate::harness::ports::Port::take()?;
    managed.write_spec(&extra)?;
    let said = applied(&managed)?;
    ensure!(said.contains("peer URLs"), "{said}");
    let listed = ctl::ok(Version::V35, &managed.endpoints(), &["member", "list"])?;
    ensure!(listed.contains(&managed.ports[1].1.number().to_string()), "{listed}");
    writers.acknowledged_more(50).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls(&managed, &[0, 1, 2]), &acknowledged).await
}

/// R5: killed at any moment of a change, the next agent finishes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_cut_short_is_finished_by_the_next_agent() -> Result<()> {
    let extra = binary(Kind::Real35)?;
    let managed = Managed::new(3, "")?;
    managed.write_spec_of(&[0], &extra)?;
    applied(&managed)?;
    managed.write_spec_of(&[0, 1, 2], &extra)?;
    for wait in [5_u64, 120, 400, 900, 1600] {
        // It may say that a node waits for an apply: what counts is that an agent runs.
        managed.run(&["start"])?;
        let agent = managed.status()?["agent"]["pid"].as_i64().context("the agent's pid")?;
        let agent = Pid::from_raw(i32::try_from(agent)?);
        let killer = std::thread::spawn(move || {
            #[expect(clippy::disallowed_methods, reason = "the moment is what the test varies")]
            std::thread::sleep(std::time::Duration::from_millis(wait));
            kill(agent, Signal::SIGKILL)
        });
        // Cut short, or quicker than the killer.
        managed.run(&["apply", "cluster.toml"])?;
        killer.join().expect("the killer ends")?;
    }
    applied(&managed)?;
    assert_eq!(members(&managed, 0)?, ["n1", "n2", "n3"]);
    ensure!(pid_of(&managed, "n3")?.as_raw() > 0, "n3 runs");
    Ok(())
}
