//! Clusters grow and shrink under writers, with Go members among ours: no acknowledged write is lost, whoever joins has
//! all, and whoever is removed ends by itself.

use anyhow::{Context, Result, ensure};
use tonic::Code;
use wire::etcdserverpb::{MemberListRequest, RangeRequest};

use crate::{
    crash::{
        same_hash_everywhere,
        writers::{self, Writers},
    },
    harness::{
        cluster::{Cluster, Node},
        grow::Standing,
        oracle::Kind,
    },
};

/// Kills and restarts the running members in turn.
async fn restart_each(cluster: &mut Cluster) -> Result<()> {
    for place in 0..cluster.nodes.len() {
        if cluster.nodes[place].process.is_some() {
            cluster.nodes[place].kill();
            cluster.nodes[place].start()?;
            cluster.ready().await?;
        }
    }
    Ok(())
}

/// What a learner answers, and what it refuses.
async fn behaves_as_learner(node: &Node) -> Result<()> {
    let mut api = node.api()?;
    let texts = [
        api.put("k", "v").await.err(),
        api.get("k").await.err(),
        api.cluster.member_list(MemberListRequest { linearizable: false }).await.err(),
    ];
    for refused in texts {
        let refused = refused.context("a learner answered")?;
        ensure!(refused.code() == Code::Unavailable, "{refused:?}");
        ensure!(refused.message() == "etcdserver: rpc not supported for learner", "{refused:?}");
    }
    let request =
        RangeRequest { key: b"k".to_vec().into(), serializable: true, ..Default::default() };
    api.kv.range(request).await?;
    Ok(())
}

/// From one of ours to three with a Go member, and to two others.
async fn come_and_go(go: Kind) -> Result<()> {
    // The strict check would wait five seconds before each change.
    let flags = ["--snapshot-count=200", "--strict-reconfig-check=false"];
    let mut cluster = Cluster::prepare(&[Kind::Ours], &flags)?;
    for kind in [go, Kind::Ours, Kind::Ours, Kind::Ours] {
        cluster.reserve(kind)?;
    }
    for place in [0, 2, 3, 4] {
        cluster.nodes[place].set_flag("--experimental-snapshot-catchup-entries", "100");
    }
    cluster.nodes[0].start()?;
    cluster.ready().await?;
    let urls: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let writers = Writers::start(&urls[..4], 4)?;
    // So many that whoever joins needs a snapshot.
    writers.acknowledged_more(400).await?;
    cluster.join(0, 1, Standing::Learner).await?;
    behaves_as_learner(&cluster.nodes[1]).await?;
    cluster.promote(0, 1).await?;
    writers.acknowledged_more(20).await?;
    // The Go member passes a promotion on to our leader.
    cluster.join(1, 2, Standing::Learner).await?;
    cluster.lead(0).await?;
    cluster.promote(1, 2).await?;
    writers.acknowledged_more(20).await?;
    restart_each(&mut cluster).await?;
    // The leader goes, which is ours, then the Go member, by way of a follower each time.
    cluster.lead(0).await?;
    cluster.leave(1, 0).await?;
    writers.acknowledged_more(20).await?;
    cluster.join(1, 3, Standing::Voter).await?;
    writers.acknowledged_more(20).await?;
    // Ours passes a promotion on to a Go leader.
    cluster.join(1, 4, Standing::Learner).await?;
    behaves_as_learner(&cluster.nodes[4]).await?;
    cluster.lead(1).await?;
    cluster.promote(2, 4).await?;
    cluster.leave(3, 4).await?;
    cluster.leave(3, 1).await?;
    writers.acknowledged_more(20).await?;
    restart_each(&mut cluster).await?;
    same_hash_everywhere(&cluster).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls[2..4], &acknowledged).await?;
    same_hash_everywhere(&cluster).await?;
    // A removed member that is started again learns it and ends.
    for place in [0, 1] {
        cluster.nodes[place].start()?;
        cluster.ends_as_removed(place)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_ours_and_of_3_5_come_and_go() -> Result<()> {
    come_and_go(Kind::Real35).await
}

/// The last of three is removed while it is down; started again, it learns it from the others and ends.
async fn removed_while_down(kinds: [Kind; 3]) -> Result<()> {
    let mut cluster = Cluster::start_mixed(&kinds, &["--pre-vote=true"]).await?;
    let id = cluster.id_of(0, 2).await?;
    cluster.nodes[2].kill();
    cluster.ready().await?;
    cluster.remove(1, id).await?;
    cluster.nodes[2].start()?;
    cluster.ends_as_removed(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_the_other_kind_tell_a_member_that_it_was_removed() -> Result<()> {
    removed_while_down([Kind::Real35, Kind::Real35, Kind::Ours]).await?;
    removed_while_down([Kind::Ours, Kind::Ours, Kind::Real35]).await?;
    removed_while_down([Kind::Ours, Kind::Ours, Kind::Real34]).await
}

/// A Go cluster of one is taken over by ours, by the log alone.
async fn take_over(go: Kind) -> Result<()> {
    let mut cluster = Cluster::start(go, 1, &[]).await?;
    let place = cluster.reserve(Kind::Ours)?;
    let urls: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let writers = Writers::start(&urls, 2)?;
    writers.acknowledged_more(50).await?;
    cluster.join(0, place, Standing::Learner).await?;
    behaves_as_learner(&cluster.nodes[place]).await?;
    // The member to be promoted refuses to answer for itself: the leader is asked.
    cluster.promote(0, place).await?;
    cluster.lead(place).await?;
    cluster.leave(place, 0).await?;
    writers.acknowledged_more(20).await?;
    cluster.nodes[place].kill();
    cluster.nodes[place].start()?;
    writers.acknowledged_more(20).await?;
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls[place..], &acknowledged).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_takes_over_from_3_5() -> Result<()> {
    take_over(Kind::Real35).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_takes_over_from_3_4() -> Result<()> {
    take_over(Kind::Real34).await
}
