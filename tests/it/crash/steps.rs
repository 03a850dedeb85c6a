//! Power cuts at chosen steps: a lonely member is killed before its n-th change or sync of its disk,
//! while it starts, and while its log segments fill, are cut, recycled and purged.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use lossy::Loss;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use wire::etcdserverpb::CompactionRequest;

use super::{
    power::{BULK_BYTES, FLAGS},
    writers,
};
use crate::harness::{
    api::Api,
    child::Process,
    cluster::{Cluster, Node, READY},
    oracle::Kind,
    wait,
};

/// Members that are killed while they start, and how many steps a start has.
const STARTS: usize = 12;
const FIRST_STEPS: u64 = 60;
const LATER_STEPS: u64 = 20;
/// Lives under writes, and how many steps they have; a segment takes some three hundred.
const LIVES: usize = 6;
const LIFE_STEPS: u64 = 700;

/// A lonely member, killed at any step of its first start, or of a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_starts_after_a_power_cut_at_any_step_of_a_start() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let mut lost = Loss::default();
    for round in 0..STARTS {
        let (first, later) =
            (random.random_range(1..=FIRST_STEPS), random.random_range(1..=LATER_STEPS));
        let context = || format!("seed {seed}, round {round}, steps {first} and {later}");
        let mut cluster = Cluster::prepare(&[Kind::Ours], &FLAGS)?;
        cluster.nodes[0].make_disk_lossy()?;
        let mut keys = Vec::new();
        for step in [first, later, later] {
            let node = &mut cluster.nodes[0];
            node.start_to_die_at(step)?;
            node.await_death().with_context(context)?;
            lost += node.cut_power(random.random())?;
            node.start()?;
            cluster.ready().await.with_context(context)?;
            let node = &mut cluster.nodes[0];
            let mut api = node.api()?;
            keys.push(format!("k{}", keys.len()));
            api.put(&keys[keys.len() - 1], "v").await?;
            for key in &keys {
                let found = api.get(key).await?.kvs;
                ensure!(found.len() == 1, "{}: {key} is lost", context());
            }
            lost += node.cut_power(random.random())?;
        }
    }
    writers::note(&format!("{lost:?}"));
    ensure!(lost.sectors > 0 && lost.names > 0, "no power cut ever took anything: {lost:?}");
    Ok(())
}

/// The test of the tests: a member that does not sync is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_a_power_cut_loses_what_was_acknowledged() -> Result<()> {
    for seed in 0..20 {
        let mut cluster = Cluster::prepare(&[Kind::Ours], &["--unsafe-no-fsync"])?;
        cluster.nodes[0].make_disk_lossy()?;
        cluster.nodes[0].start()?;
        cluster.ready().await?;
        let mut api = cluster.nodes[0].api()?;
        for number in 0..20 {
            api.put(&format!("k{number}"), "v").await?;
        }
        let lost = cluster.nodes[0].cut_power(seed)?;
        ensure!(lost.sectors_at_stake > 0, "it does not sync, but nothing is at stake");
        cluster.nodes[0].start()?;
        let node = &cluster.nodes[0];
        let kept = wait::until(READY, "it refuses, or serves", || kept(node))
            .await
            .with_context(|| node.process.as_ref().map(Process::log_tail).unwrap_or_default())?;
        if kept < 20 {
            return Ok(());
        }
    }
    anyhow::bail!("twenty power cuts took nothing from a member that does not sync")
}

/// How many of twenty keys there are; none if the member refuses to start.
async fn kept(node: &Node) -> Result<usize> {
    let log = node.process.as_ref().map(Process::log).unwrap_or_default();
    // redb panics where it finds its own file in disorder.
    if log.contains("this member does not run") || log.contains("panicked") {
        return Ok(0);
    }
    let mut api = node.api()?;
    let mut kept = 0;
    for number in 0..20 {
        kept += api.get(&format!("k{number}")).await?.kvs.len();
    }
    Ok(kept)
}

/// One key's newest acknowledged write: number and revision.
type Newest = BTreeMap<String, (u64, i64)>;

/// A lonely member under large writes, killed at any step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_by_a_power_cut_at_any_step() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let mut lost = Loss::default();
    let mut cluster = Cluster::prepare(&[Kind::Ours], &FLAGS)?;
    cluster.nodes[0].make_disk_lossy()?;
    let (mut newest, mut number) = (Newest::new(), 0);
    for life in 0..LIVES {
        let steps = random.random_range(100..=LIFE_STEPS);
        let context = || format!("seed {seed}, life {life}, step {steps}");
        let node = &mut cluster.nodes[0];
        node.start_to_die_at(steps)?;
        write_until_it_dies(node, &mut newest, &mut number).await.with_context(context)?;
        lost += node.cut_power(random.random())?;
        node.start()?;
        cluster.ready().await.with_context(context)?;
        let node = &mut cluster.nodes[0];
        check(&mut node.api()?, &newest).await.with_context(context)?;
        lost += node.cut_power(random.random())?;
    }
    writers::note(&format!("{lost:?}, {number} large puts"));
    ensure!(lost.sectors > 0, "no power cut ever took anything: {lost:?}");
    Ok(())
}

async fn write_until_it_dies(node: &mut Node, newest: &mut Newest, number: &mut u64) -> Result<()> {
    let mut api = Api::with_timeout(&node.url(), Duration::from_secs(3))?;
    let filling = "x".repeat(BULK_BYTES);
    while node.is_alive() {
        *number += 1;
        let key = format!("k{}", *number % 3);
        let Ok(revision) = api.put(&key, &format!("{number} {filling}")).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        newest.insert(key, (*number, revision));
        if number.is_multiple_of(16) {
            // Refused or lost: then the next one does it.
            drop(api.kv.compact(CompactionRequest { revision, physical: false }).await);
        }
    }
    node.await_death()
}

/// Each key has its newest acknowledged write, or one behind it that nobody was told of.
async fn check(api: &mut Api, newest: &Newest) -> Result<()> {
    for (key, (number, revision)) in newest {
        let found = api.get(key).await?.kvs;
        let found = found.first().with_context(|| format!("{key} is lost"))?;
        let text = String::from_utf8_lossy(&found.value);
        let found_number: u64 = text.split(' ').next().unwrap_or_default().parse()?;
        let same = (found_number, found.mod_revision) == (*number, *revision);
        let later = found_number > *number && found.mod_revision > *revision;
        ensure!(
            same || later,
            "{key}: acknowledged {number} at {revision}, found {found_number} at {}",
            found.mod_revision
        );
        ensure!(found.value.len() > BULK_BYTES, "{key} is cut short");
    }
    Ok(())
}
