//! How long writers wait for planned changes: a leader that hands over, and a member that stops and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    crash::writers::{Writers, note},
    harness::{
        cluster::{Cluster, Node},
        oracle::Kind,
    },
};

/// A writer gives up after 3 s: a longest pause near that is a request that got no answer at all.
const UNANSWERED: Duration = Duration::from_millis(2500);

/// A member that stops answers what it was asked before, or says at once that it cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_left_without_an_answer_by_a_planned_stop() -> Result<()> {
    let mut cluster = Cluster::start(Kind::Ours, 3, &[]).await?;
    let urls: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let writers = Writers::start(&urls, 2)?;
    let progress = writers.progress();
    writers.acknowledged_more(50).await?;
    for round in 0..8_usize {
        let leader = cluster.leader().await?;
        // Told before, or left to the member itself.
        if round % 2 == 0 {
            cluster.lead((leader + 1) % 3).await?;
        }
        progress.longest_gap();
        cluster.nodes[leader].stop()?;
        writers.acknowledged_more(50).await?;
        let stopped = progress.longest_gap();
        cluster.nodes[leader].start()?;
        cluster.ready().await?;
        writers.acknowledged_more(50).await?;
        let started = progress.longest_gap();
        note(&format!("{round}: longest pauses {stopped:?} at the stop, {started:?} at the start"));
        ensure!(stopped < UNANSWERED && started < UNANSWERED, "round {round}");
    }
    writers.stop().await?;
    Ok(())
}
