//! Power cuts under writers: nodes are killed and their disks lose what was not synced, all of it or a
//! random part. SIGKILL alone cannot show a missing sync: the page cache outlives the process.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lossy::Loss;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use wire::etcdserverpb::CompactionRequest;

use super::{
    same_hash_everywhere,
    writers::{self, Progress, Writers},
};
use crate::harness::{
    api::Api,
    cluster::{Cluster, Node},
    oracle::Kind,
};

const ROUNDS: usize = 20;
/// Snapshots every fifty entries, and none kept for a follower that is further behind than
/// ten; as few log segments as may be, so that they are recycled.
pub(super) const FLAGS: [&str; 6] = [
    "--snapshot-count=50",
    "--experimental-snapshot-catchup-entries=10",
    "--max-wals=1",
    "--max-snapshots=1",
    "--heartbeat-interval=50",
    "--election-timeout=500",
];
/// A log segment is full after some sixty of these.
pub(super) const BULK_BYTES: usize = 1024 * 1024;
/// One of them after so many writes of the writers.
const BULK_AFTER: u64 = 30;

/// Whose power goes in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    One(usize),
    Leader,
    All,
    /// Stays away until it needs a snapshot, and loses power again on its way back.
    Behind(usize),
}

impl Victim {
    fn choose(random: &mut StdRng) -> Self {
        match random.random_range(0..8) {
            0 | 1 => Self::One(random.random_range(0..3)),
            2 | 3 => Self::Leader,
            4 | 5 => Self::Behind(random.random_range(0..3)),
            _ => Self::All,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_power_goes() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let (mut cluster, urls) = start(&FLAGS).await?;
    let writers = Writers::start(&urls, 4)?;
    let bulk = tokio::spawn(fill(urls.clone(), writers.progress()));
    let mut lost = Loss::default();
    for round in 0..ROUNDS {
        writers.acknowledged_more(random.random_range(1..60)).await?;
        let victim = Victim::choose(&mut random);
        let context = || format!("seed {seed}, round {round}, victim {victim:?}");
        lost += cut_and_restart(&mut cluster, victim, &writers, &mut random)
            .await
            .with_context(context)?;
        writers.check_so_far().await.with_context(context)?;
    }
    cluster.ready().await?;
    let acknowledged = writers.stop().await?;
    let puts = bulk.await??;
    writers::note(&format!("{lost:?}, {puts} large puts, {} small", acknowledged.len()));
    ensure!(acknowledged.len() > ROUNDS, "the writers hardly wrote: {}", acknowledged.len());
    ensure!(lost.sectors > 0, "no power cut ever took anything: {lost:?}");
    writers::all_there(&urls, &acknowledged).await?;
    same_hash_everywhere(&cluster).await
}

/// Three members, each on a disk of its own that loses what is not synced.
async fn start(flags: &[&str]) -> Result<(Cluster, Vec<String>)> {
    let mut cluster = Cluster::prepare(&[Kind::Ours; 3], flags)?;
    for node in &mut cluster.nodes {
        node.make_disk_lossy()?;
        node.start()?;
    }
    cluster.ready().await?;
    let urls = cluster.nodes.iter().map(Node::url).collect();
    Ok((cluster, urls))
}

async fn cut_and_restart(
    cluster: &mut Cluster,
    victim: Victim,
    writers: &Writers,
    random: &mut StdRng,
) -> Result<Loss> {
    let victims = match victim {
        Victim::One(at) | Victim::Behind(at) => vec![at],
        Victim::Leader => vec![cluster.leader().await?],
        Victim::All => vec![0, 1, 2],
    };
    for &at in &victims {
        cluster.nodes[at].kill();
    }
    let mut lost = Loss::default();
    for &at in &victims {
        lost += cluster.nodes[at].cut_power(random.random())?;
    }
    if let Victim::Behind(at) = victim {
        writers.acknowledged_more(80).await?;
        cluster.nodes[at].start()?;
        writers.acknowledged_more(random.random_range(1..60)).await?;
        lost += cluster.nodes[at].cut_power(random.random())?;
    }
    for &at in &victims {
        cluster.nodes[at].start()?;
    }
    cluster.ready().await?;
    Ok(lost)
}

/// Fills log segments beside the writers, by one key, and compacts what it leaves behind.
async fn fill(urls: Vec<String>, writers: Progress) -> Result<u64> {
    let value = "x".repeat(BULK_BYTES);
    let mut puts = 0;
    while !writers.is_over() {
        for url in &urls {
            let mut api = Api::with_timeout(url, Duration::from_secs(3))?;
            let Ok(revision) = api.put("bulk", &value).await else { continue };
            puts += 1;
            if puts % 8 == 0 {
                // Refused or lost: then the next one does it.
                drop(api.kv.compact(CompactionRequest { revision, physical: false }).await);
            }
            writers.acknowledged_more(BULK_AFTER).await?;
        }
    }
    Ok(puts)
}
