//! A data dir that a manager owns, run by a real process: its record is written before anything is acknowledged, and
//! what it forbids is not run.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use base::Epoch;
use disk::{Disk, RealDisk};
use lineage::{Attempt, Configuration, Fence, FenceOrder, HighWater, Identity, Reservation};
use records::{Charter, Latch, NewCharter, Record};
use uuid::Uuid;

use crate::harness::{
    cluster::{Cluster, READY},
    oracle::Kind,
    wait,
};

fn manage(root: &Path, name: &str, data_dir: &Path) -> Result<Record> {
    let identity = Identity {
        cluster: Uuid::new_v4(),
        epoch: Epoch::new(1),
        token: "t".to_owned(),
        cluster_id: None,
    };
    let new = NewCharter { identity, node: name.to_owned(), data_dir: data_dir.to_owned() };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    Ok(Record::create(disk, root, &new)?)
}

#[tokio::test]
async fn a_managed_node_notes_what_it_acknowledges_and_honours_its_fence() -> Result<()> {
    let mut cluster = Cluster::prepare(&[Kind::Ours], &[])?;
    let (root, dir) = (cluster.nodes[0].root().join("records"), cluster.nodes[0].data_dir());
    let record = manage(&root, "m0", &dir)?;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    let mut api = cluster.nodes[0].api()?;
    for number in 0..50 {
        api.put(&format!("k{number}"), "v").await?;
    }
    let reserved: Reservation = record.read()?.context("a reservation")?;
    ensure!(reserved.index.get() > 50 && reserved.term.get() >= 1, "{reserved:?}");
    let all: Vec<Configuration> = record.read()?.context("configurations")?;
    ensure!(all.len() == 1 && all[0].voters.len() == 1, "{all:?}");
    let charter: Charter = record.read()?.context("a charter")?;
    assert_eq!(charter.bootstrap, Latch::Formed);
    wait::until(READY, "the mark follows", || async {
        let mark: Option<HighWater> = record.read()?;
        mark.filter(|mark| mark.commit.get() >= 50 && mark.revision.get() > 50).context("a mark")
    })
    .await?;
    cluster.nodes[0].kill();
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    cluster.nodes[0].stop()?;

    let fence: Fence = record.read()?.context("a fence")?;
    let attempt = Attempt { epoch: Epoch::new(2), by: Uuid::new_v4() };
    let order = FenceOrder { cluster: fence.cluster, replaces: Epoch::new(1), attempt };
    record.write(&fence.promise(&order)?)?;
    refused(&mut cluster, 8, "E-NODE-02")?;
    record.write(&fence)?;
    RealDisk.rename(record.dir(), &root.join("away"))?;
    refused(&mut cluster, 9, "E-NODE-03")?;
    RealDisk.rename(&root.join("away"), record.dir())?;
    for item in fs::read_dir(dir.join("member/wal"))? {
        fs::remove_file(item?.path())?;
    }
    refused(&mut cluster, 10, "E-NODE-04")
}

fn refused(cluster: &mut Cluster, status: i32, code: &str) -> Result<()> {
    cluster.nodes[0].start()?;
    let mut process = cluster.nodes[0].process.take().context("started")?;
    let ended = process.wait(Duration::from_secs(20))?;
    assert_eq!(ended.code(), Some(status), "{}", process.log_tail());
    ensure!(process.log().contains(code), "{}", process.log_tail());
    Ok(())
}

#[tokio::test]
async fn a_managed_node_whose_record_cannot_be_written_stops_acknowledging() -> Result<()> {
    let mut cluster = Cluster::prepare(&[Kind::Ours], &[])?;
    let (root, dir) = (cluster.nodes[0].root().join("records"), cluster.nodes[0].data_dir());
    let record = manage(&root, "m0", &dir)?;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    let mut api = cluster.nodes[0].api()?;
    api.put("k", "v").await?;
    // Its folder goes away under it, as a disk would: the next mark or reservation finds out.
    RealDisk.rename(record.dir(), &root.join("away"))?;
    let mut process = cluster.nodes[0].process.take().context("running")?;
    for number in 0..10_000 {
        if api.put(&format!("k{number}"), "v").await.is_err() {
            break;
        }
    }
    let ended = process.wait(Duration::from_secs(20))?;
    assert_eq!(ended.code(), Some(1), "{}", process.log_tail());
    ensure!(process.log().contains("the record cannot be written"), "{}", process.log_tail());
    Ok(())
}
