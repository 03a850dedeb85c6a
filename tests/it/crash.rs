//! SIGKILL at random moments under writers: no acknowledged write is lost, revisions never go back, and all
//! members agree afterwards. What SIGKILL cannot show, a missing sync, is shown by power cuts (`power`, `steps`, `machine`).

mod machine;
mod managed;
mod power;
pub(crate) mod register;
mod steps;
pub(crate) mod writers;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::harness::{
    cluster::{Cluster, Node, READY},
    oracle::Kind,
    wait,
};
use writers::Writers;

const ROUNDS: usize = 50;

/// Who is killed in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    One(usize),
    Leader,
    All,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_nodes_are_killed() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    // Snapshots and log purges every few hundred entries, so that restarts meet them too.
    let flags = ["--snapshot-count=500", "--heartbeat-interval=50", "--election-timeout=500"];
    let mut cluster = Cluster::start(Kind::Ours, 3, &flags).await?;
    let urls: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let writers = Writers::start(&urls, 6)?;
    for round in 0..ROUNDS {
        writers.acknowledged_more(random.random_range(1..120)).await?;
        let victim = match random.random_range(0..5) {
            0 | 1 => Victim::One(random.random_range(0..3)),
            2 | 3 => Victim::Leader,
            _ => Victim::All,
        };
        kill_and_restart(&mut cluster, victim).await?;
        writers.check_so_far().await.map_err(|error| {
            error.context(format!("seed {seed}, round {round}, victim {victim:?}"))
        })?;
    }
    cluster.ready().await?;
    let acknowledged = writers.stop().await?;
    ensure!(acknowledged.len() > ROUNDS, "the writers hardly wrote: {}", acknowledged.len());
    writers::all_there(&urls, &acknowledged).await?;
    same_hash_everywhere(&cluster).await
}

async fn kill_and_restart(cluster: &mut Cluster, victim: Victim) -> Result<()> {
    let victims = match victim {
        Victim::One(at) => vec![at],
        Victim::Leader => vec![cluster.leader().await?],
        Victim::All => vec![0, 1, 2],
    };
    for &at in &victims {
        cluster.nodes[at].kill();
    }
    for &at in &victims {
        cluster.nodes[at].start()?;
    }
    cluster.ready().await
}

/// HashKV of all running members at one revision, once all have it.
pub(crate) async fn same_hash_everywhere(cluster: &Cluster) -> Result<()> {
    let running = || cluster.nodes.iter().filter(|node| node.process.is_some());
    let mut first = running().next().context("a running member")?.api()?;
    let revision = first.get("health").await?.header.map_or(0, |header| header.revision);
    let mut hashes = Vec::new();
    for node in running() {
        let api = node.api()?;
        let hash =
            wait::until(READY.min(Duration::from_secs(20)), "the member has the revision", || {
                let mut api = api.clone();
                async move { api.hash_kv(revision).await }
            })
            .await?;
        hashes.push(hash);
    }
    ensure!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "HashKV({revision}): {hashes:?}");
    Ok(())
}
