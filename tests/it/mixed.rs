//! Real Go etcd peers and ours in one cluster: every member writes, every member agrees, and HashKV is equal.

mod our_log;
pub(crate) mod snapshots;

use anyhow::Result;

use crate::{
    crash::same_hash_everywhere,
    harness::{cluster::Cluster, oracle::Kind},
};

async fn agree(kinds: &[Kind]) -> Result<()> {
    let mut cluster = Cluster::start_mixed(kinds, &["--pre-vote=true"]).await?;
    for round in 0..3 {
        for (at, node) in cluster.nodes.iter().enumerate() {
            let mut api = node.api()?;
            for number in 0..40 {
                api.put(&format!("{at}/{number}"), &format!("{round}-{number}")).await?;
            }
        }
        same_hash_everywhere(&cluster).await?;
        // Whoever leads goes away and comes back, so that both kinds lead and follow in time.
        let leader = cluster.leader().await?;
        cluster.nodes[leader].kill();
        let other = (leader + 1) % cluster.nodes.len();
        let mut api = cluster.nodes[other].api()?;
        crate::harness::wait::until(crate::harness::cluster::READY, "the rest goes on", || {
            let mut api = api.clone();
            async move { api.put("meanwhile", "1").await }
        })
        .await?;
        api.put("meanwhile", &round.to_string()).await?;
        cluster.nodes[leader].start()?;
        cluster.ready().await?;
    }
    same_hash_everywhere(&cluster).await
}

#[tokio::test]
async fn one_of_ours_among_two_of_3_5() -> Result<()> {
    agree(&[Kind::Ours, Kind::Real35, Kind::Real35]).await
}

#[tokio::test]
async fn two_of_ours_and_one_of_3_5() -> Result<()> {
    agree(&[Kind::Ours, Kind::Real35, Kind::Ours]).await
}
