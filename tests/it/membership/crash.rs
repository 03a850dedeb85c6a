//! SIGKILL round changes of the membership: what was acknowledged holds, all members agree, and a member that joins may
//! die at any moment of it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tonic::Status;
use wire::etcdserverpb::{Member, MemberAddRequest, MemberRemoveRequest, MemberUpdateRequest};

use crate::{
    crash::{
        same_hash_everywhere,
        writers::{self, Writers},
    },
    harness::{
        api::Api,
        child::Process,
        cluster::{Cluster, Node, READY},
        grow::Standing,
        oracle::Kind,
        wait,
    },
};

const ROUNDS: u16 = 20;

/// What is asked in a round; the learner never runs.
#[derive(Debug, Clone)]
enum Change {
    Add(String),
    Update(u64, String),
    Remove(u64),
}

impl Change {
    /// URLs are not used twice, so that a change that comes late is known from one that was acknowledged.
    fn draw(random: &mut StdRng, members: &[Member], round: u16) -> Self {
        let url = format!("http://127.0.0.1:{}", 1000 + round);
        match members.iter().find(|member| member.is_learner) {
            None => Self::Add(url),
            Some(learner) if random.random_range(0..3) == 0 => Self::Update(learner.id, url),
            Some(learner) => Self::Remove(learner.id),
        }
    }

    async fn ask(&self, mut api: Api) -> Result<(), Status> {
        match self.clone() {
            Self::Add(url) => {
                let request = MemberAddRequest { peer_ur_ls: vec![url], is_learner: true };
                api.cluster.member_add(request).await.map(drop)
            }
            Self::Update(id, url) => {
                let request = MemberUpdateRequest { id, peer_ur_ls: vec![url] };
                api.cluster.member_update(request).await.map(drop)
            }
            Self::Remove(id) => {
                api.cluster.member_remove(MemberRemoveRequest { id }).await.map(drop)
            }
        }
    }
}

/// The members as every running node lists them, once all say the same.
async fn agreed_members(cluster: &Cluster) -> Result<Vec<Member>> {
    wait::until(READY, "all list the same members", async || {
        let mut lists = Vec::new();
        for node in cluster.nodes.iter().filter(|node| node.process.is_some()) {
            let mut api = Api::with_timeout(&node.url(), Duration::from_secs(3))?;
            lists.push(api.members().await?);
        }
        ensure!(lists.windows(2).all(|pair| pair[0] == pair[1]), "{lists:?}");
        lists.pop().context("a running member")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_hold_when_nodes_are_killed() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let flags = [
        "--snapshot-count=50",
        "--heartbeat-interval=50",
        "--election-timeout=500",
        "--strict-reconfig-check=false",
    ];
    let mut cluster = Cluster::start(Kind::Ours, 3, &flags).await?;
    let urls: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let writers = Writers::start(&urls, 3)?;
    let (mut members, mut removed) = (agreed_members(&cluster).await?, BTreeSet::new());
    for round in 0..ROUNDS {
        let change = Change::draw(&mut random, &members, round);
        let api = Api::with_timeout(&urls[random.random_range(0..3)], Duration::from_secs(3))?;
        let asked = tokio::spawn({
            let change = change.clone();
            async move { change.ask(api).await }
        });
        writers.acknowledged_more(random.random_range(0..6)).await?;
        let victims = match random.random_range(0..4) {
            0 => vec![0, 1, 2],
            1 => vec![cluster.leader().await?],
            _ => vec![random.random_range(0..3)],
        };
        victims.iter().for_each(|&at| cluster.nodes[at].kill());
        let answer = asked.await?;
        for &at in &victims {
            cluster.nodes[at].start()?;
        }
        cluster.ready().await?;
        members = agreed_members(&cluster).await?;
        let story = || format!("seed {seed}, round {round}: {change:?} {answer:?}: {members:?}");
        match (&change, answer.is_ok()) {
            (Change::Add(url), true) => {
                ensure!(members.iter().any(|member| member.peer_ur_ls.contains(url)), story());
            }
            (Change::Remove(id), true) => {
                removed.insert(*id);
            }
            _ => {}
        }
        ensure!(members.iter().all(|member| !removed.contains(&member.id)), story());
        ensure!(members.iter().filter(|member| !member.is_learner).count() == 3, story());
    }
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls, &acknowledged).await?;
    same_hash_everywhere(&cluster).await
}

/// The lines of its log at which a joining member is killed.
const MOMENTS: [&str; 5] = [
    "starting an etcd-node",
    "joining a cluster",
    "receiving a snapshot",
    "taking the leader's snapshot",
    "the leader's snapshot is in place",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joining_member_may_be_killed_at_any_moment() -> Result<()> {
    let flags = [
        "--snapshot-count=100",
        "--experimental-snapshot-catchup-entries=50",
        "--strict-reconfig-check=false",
    ];
    let mut cluster = Cluster::start(Kind::Ours, 1, &flags).await?;
    let mut api = cluster.nodes[0].api()?;
    for number in 0..400 {
        api.put(&format!("k/{number}"), "v").await?;
    }
    for moment in MOMENTS {
        let place = cluster.reserve(Kind::Ours)?;
        cluster.announce(0, place, Standing::Learner).await?;
        cluster.nodes[place].start()?;
        let process = cluster.nodes[place].process.as_ref().context("started")?;
        wait::until_blocking(READY, moment, || {
            let log = process.log();
            if log.contains(moment) { Ok(()) } else { Err(Process::log_tail(process)) }
        })?;
        cluster.nodes[place].kill();
        cluster.nodes[place].start()?;
        cluster.promote(0, place).await?;
        same_hash_everywhere(&cluster).await.with_context(|| moment.to_owned())?;
        cluster.nodes[place].kill();
        cluster.nodes[place].start()?;
        cluster.ready().await?;
    }
    same_hash_everywhere(&cluster).await
}
