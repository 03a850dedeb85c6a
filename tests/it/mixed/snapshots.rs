//! Followers that fell behind are caught up by snapshots across programs: our leader's file is read by a Go member, a Go
//! leader's by ours.

use anyhow::{Context, Result, ensure};

use crate::{
    crash::same_hash_everywhere,
    harness::{
        cluster::{Cluster, Node},
        http,
        oracle::Kind,
    },
};

/// Starts three members, the last of which stops, misses `entries` writes, and comes back twice.
async fn lags_behind(kinds: [Kind; 3], entries: usize) -> Result<()> {
    let mut cluster = Cluster::prepare(&kinds, &["--snapshot-count=200", "--enable-pprof=false"])?;
    for node in cluster.nodes.iter_mut().filter(|node| node.kind == Kind::Ours) {
        node.set_flag("--experimental-snapshot-catchup-entries", "100");
    }
    lags_behind_in(&mut cluster, entries).await
}

/// The same with a prepared cluster.
pub(crate) async fn lags_behind_in(cluster: &mut Cluster, entries: usize) -> Result<()> {
    for node in &mut cluster.nodes {
        node.start()?;
    }
    cluster.ready().await?;
    write(&cluster.nodes[0], "early", 100).await?;
    cluster.nodes[2].stop()?;
    cluster.ready().await?;
    write(&cluster.nodes[0], "missed", entries).await?;
    cluster.nodes[2].start()?;
    cluster.ready().await?;
    same_hash_everywhere(cluster).await?;
    ensure!(snapshots_received(&cluster.nodes[2])? > 0, "it caught up without a snapshot");
    // It goes on from there, also after a crash, and as one of two.
    write(&cluster.nodes[2], "after", 50).await?;
    cluster.nodes[2].kill();
    cluster.nodes[2].start()?;
    cluster.ready().await?;
    cluster.nodes[0].kill();
    cluster.ready().await?;
    write(&cluster.nodes[2], "as one of two", 50).await?;
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    same_hash_everywhere(cluster).await
}

/// Many clients at once: each key has its writer.
async fn write(node: &Node, prefix: &str, entries: usize) -> Result<()> {
    const CLIENTS: usize = 50;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut api = node.api()?;
        let prefix = format!("{prefix}/{client}");
        clients.push(tokio::spawn(async move {
            for number in 0..entries.div_ceil(CLIENTS) {
                api.put(&format!("{prefix}/{number}"), "some value or other").await?;
            }
            Ok::<_, tonic::Status>(())
        }));
    }
    for client in clients {
        client.await??;
    }
    Ok(())
}

/// How many snapshots of a leader a member has taken, by its own metrics.
fn snapshots_received(node: &Node) -> Result<u64> {
    let metrics = http::request("GET", &node.url(), "/metrics")?;
    let lines = metrics.body.lines();
    let counts = lines.filter(|line| line.starts_with("etcd_network_snapshot_receive_success"));
    let counts = counts.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum::<Option<u64>>().context("a count is no number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_3_5_takes_our_snapshot() -> Result<()> {
    lags_behind([Kind::Ours, Kind::Ours, Kind::Real35], 1500).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_3_4_takes_our_snapshot() -> Result<()> {
    lags_behind([Kind::Ours, Kind::Ours, Kind::Real34], 1500).await
}

/// Both versions keep 5000 entries for those who come late, and no flag of theirs changes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_takes_a_snapshot_of_3_5() -> Result<()> {
    lags_behind([Kind::Real35, Kind::Real35, Kind::Ours], 6000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_takes_a_snapshot_of_3_4() -> Result<()> {
    lags_behind([Kind::Real34, Kind::Real34, Kind::Ours], 6000).await
}
