//! `etcd-node inspect` on dirs that real processes wrote: ours and both real ones, running, stopped and killed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{
    cluster::Cluster,
    ctl::Said,
    oracle::{self, Kind},
};

#[expect(clippy::disallowed_methods, reason = "the tests start the programs under test")]
fn inspect(dir: &Path, json: bool) -> Result<Said> {
    let form = json.then_some("--json");
    let mut command = Command::new(oracle::server(Kind::Ours)?);
    Ok(command.arg("inspect").args(form).arg(dir).output().context("run inspect")?.into())
}

/// Path and content of all files below.
fn content(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            found.extend(content(&path)?);
        } else {
            found.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_dir_of_each_kind_is_read_once_its_node_has_ended_and_stays_as_it_was() -> Result<()> {
    for (kind, word) in
        [(Kind::Ours, "etcd-node"), (Kind::Real34, "go-etcd"), (Kind::Real35, "go-etcd")]
    {
        let mut cluster = Cluster::start(kind, 1, &[]).await?;
        let mut api = cluster.nodes[0].api()?;
        for number in 0..20 {
            api.put(&format!("k{number}"), "v").await?;
        }
        let revision = api.get("k0").await?.header.unwrap_or_default().revision;
        let dir = cluster.nodes[0].data_dir();
        let busy = inspect(&dir, true)?;
        ensure!(busy.code == 3 && busy.err.contains("in use"), "{kind:?}: {busy:?}");
        for end in ["stop", "kill"] {
            if end == "stop" {
                cluster.nodes[0].stop()?;
            } else {
                cluster.nodes[0].start()?;
                cluster.ready().await?;
                cluster.nodes[0].kill();
            }
            let before = content(&dir)?;
            let said = inspect(&dir, true)?;
            ensure!(said.code == 0, "{kind:?} {end}: {said:?}");
            ensure!(content(&dir)? == before, "{kind:?} {end}: the look changed the dir");
            let report: Value = serde_json::from_str(&said.out)?;
            assert_eq!(report["kind"], word, "{said:?}");
            assert_eq!(report["wal"]["integrity"]["state"], "intact", "{said:?}");
            assert_eq!(report["membership"]["members"][0]["name"], "m0", "{said:?}");
            assert_eq!(report["configurations"].as_array().map(Vec::len), Some(1), "{said:?}");
            let found = report["backend"]["revision"].as_i64().context("a revision")?;
            // After a kill the log has what the backend had not committed yet.
            ensure!(found == revision || (end == "kill" && found < revision), "{end}: {said:?}");
            let people = inspect(&dir, false)?;
            ensure!(people.code == 0 && people.out.contains("verdict        intact"), "{people:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_dir_ends_with_its_own_status_and_a_whole_report() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 1, &[]).await?;
    cluster.nodes[0].api()?.put("k", &"v".repeat(1000)).await?;
    cluster.nodes[0].stop()?;
    let dir = cluster.nodes[0].data_dir();
    let segment = dir.join("member/wal/0000000000000000-0000000000000000.wal");
    let mut bytes = fs::read(&segment)?;
    bytes[100] ^= 1;
    #[expect(clippy::disallowed_methods, reason = "the test damages a file")]
    fs::write(&segment, bytes)?;
    let said = inspect(&dir, true)?;
    let report: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &report["verdict"]), (4, &"damaged".into()), "{said:?}");
    assert_eq!(report["wal"]["integrity"]["state"], "corrupt");
    assert_eq!(report["backend"]["integrity"]["state"], "intact");
    Ok(())
}
