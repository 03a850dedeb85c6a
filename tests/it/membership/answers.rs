//! The Cluster service, call by call: ours answers what a real etcd 3.5.1 answers, codes and texts.

use anyhow::{Context, Result};
use tonic::{Response, Status};
use wire::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, ResponseHeader,
};

use crate::harness::{
    api::Api,
    cluster::{Cluster, READY},
    http,
    oracle::Kind,
    wait,
};

/// Where nobody listens; the same for both clusters.
const NOBODY: &str = "http://127.0.0.1:1";
const NOBODY_ELSE: &str = "http://127.0.0.1:2";
/// No member has this id.
const UNKNOWN: u64 = 0x1234;

/// Asks one cluster and notes the answers.
struct Asker<'a> {
    cluster: &'a Cluster,
    api: Api,
    answers: Vec<String>,
    /// Whether anything can be committed.
    has_quorum: bool,
}

impl<'a> Asker<'a> {
    fn new(cluster: &'a Cluster, at: usize) -> Result<Self> {
        Ok(Self { cluster, api: cluster.nodes[at].api()?, answers: Vec::new(), has_quorum: true })
    }

    fn note(&mut self, call: &str, answer: Result<(Option<ResponseHeader>, Vec<Member>), Status>) {
        let answer = match answer {
            Ok((header, members)) => {
                let revision = header.map(|header| header.revision);
                format!("revision {revision:?} {:?}", self.shown(&members))
            }
            Err(status) => format!("{:?} {:?}", status.code(), status.message()),
        };
        self.answers.push(format!("{call}: {answer}"));
    }

    /// Members without what differs between two clusters, in an order that does not.
    fn shown(&self, members: &[Member]) -> Vec<String> {
        let url = |url: &String| {
            let mut url = url.clone();
            for node in &self.cluster.nodes {
                url = url.replace(&node.url(), &format!("{}-client", node.name));
                url = url.replace(&node.peer_url(), &format!("{}-peer", node.name));
            }
            url
        };
        let mut shown: Vec<String> = members
            .iter()
            .map(|member| {
                let peers: Vec<_> = member.peer_ur_ls.iter().map(url).collect();
                let clients: Vec<_> = member.client_ur_ls.iter().map(url).collect();
                let learner = if member.is_learner { "learner" } else { "voter" };
                format!("{:?} {peers:?} {clients:?} {learner}", member.name)
            })
            .collect();
        shown.sort();
        shown
    }

    /// The id of whoever has this peer URL.
    async fn id(&mut self, url: &str) -> Result<u64> {
        let members = self.api.members().await?;
        let found = members.iter().find(|member| member.peer_ur_ls.iter().any(|u| u == url));
        Ok(found.with_context(|| format!("nobody has {url}"))?.id)
    }

    /// A leader of etcd loses a change that comes while it has not quite finished the one before; it answers a
    /// linearizable read only afterwards.
    async fn settle(&mut self) {
        if self.has_quorum {
            drop(self.api.members().await);
        }
    }

    async fn add(&mut self, urls: &[&str], learner: bool) {
        let peer_ur_ls = urls.iter().map(|&url| url.to_owned()).collect();
        let request = MemberAddRequest { peer_ur_ls, is_learner: learner };
        self.settle().await;
        let answer = self.api.cluster.member_add(request).await.map(Response::into_inner);
        let answer = answer.map(|answer| {
            let mut all = answer.members;
            all.extend(answer.member);
            (answer.header, all)
        });
        self.note(&format!("add {urls:?} {learner}"), answer);
    }

    async fn remove(&mut self, who: &str, id: u64) {
        self.settle().await;
        let answer = self.api.cluster.member_remove(MemberRemoveRequest { id }).await;
        let answer = answer.map(Response::into_inner);
        self.note(&format!("remove {who}"), answer.map(|a| (a.header, a.members)));
    }

    async fn promote(&mut self, who: &str, id: u64) {
        self.settle().await;
        let answer = self.api.cluster.member_promote(MemberPromoteRequest { id }).await;
        let answer = answer.map(Response::into_inner);
        self.note(&format!("promote {who}"), answer.map(|a| (a.header, a.members)));
    }

    async fn update(&mut self, who: &str, id: u64, urls: &[&str]) {
        let peer_ur_ls = urls.iter().map(|&url| url.to_owned()).collect();
        let request = MemberUpdateRequest { id, peer_ur_ls };
        self.settle().await;
        let answer = self.api.cluster.member_update(request).await.map(Response::into_inner);
        self.note(&format!("update {who}"), answer.map(|a| (a.header, a.members)));
    }

    async fn list(&mut self, linearizable: bool) {
        let request = MemberListRequest { linearizable };
        let answer = self.api.cluster.member_list(request).await.map(Response::into_inner);
        self.note("list", answer.map(|a| (a.header, a.members)));
    }
}

/// Everything that one member alone can be asked.
async fn alone(kind: Kind) -> Result<Vec<String>> {
    let cluster = Cluster::start(kind, 1, &[]).await?;
    let own_url = cluster.nodes[0].peer_url();
    let mut asker = Asker::new(&cluster, 0)?;
    let own = asker.id(&own_url).await?;
    for urls in [
        &[][..],
        &["xx"],
        &["127.0.0.1:1"],
        &["http://127.0.0.1"],
        &["http://127.0.0.1:1/path"],
        &["ftp://127.0.0.1:1"],
        &[NOBODY, ""],
    ] {
        asker.add(urls, false).await;
    }
    asker.add(&[&own_url], true).await;
    asker.promote("a voter", own).await;
    asker.promote("nobody", UNKNOWN).await;
    asker.add(&[NOBODY_ELSE, NOBODY], true).await;
    let learner = asker.id(NOBODY).await?;
    asker.add(&["http://127.0.0.1:3"], true).await;
    asker.promote("a learner that does not run", learner).await;
    asker.list(true).await;
    asker.update("nobody", UNKNOWN, &[NOBODY]).await;
    asker.update("a voter", own, &[NOBODY]).await;
    asker.update("a voter", own, &["http://127.0.0.1:9", &own_url]).await;
    asker.update("a voter", own, &[&own_url]).await;
    asker.remove("nobody", UNKNOWN).await;
    asker.remove("the learner", learner).await;
    asker.remove("the learner", learner).await;
    asker.promote("the removed", learner).await;
    asker.update("the removed", learner, &[NOBODY]).await;
    asker.remove("the last voter", own).await;
    // A second voter that never starts: from here on nothing is committed.
    asker.add(&[NOBODY], false).await;
    asker.has_quorum = false;
    asker.list(false).await;
    asker.add(&["http://127.0.0.1:3"], false).await;
    asker.remove("the one that runs", own).await;
    Ok(asker.answers)
}

#[tokio::test]
async fn a_member_alone_answers_every_change_as_the_real_one() -> Result<()> {
    let mine = alone(Kind::Ours).await?;
    let expected = alone(Kind::Real35).await?;
    for (mine, expected) in mine.iter().zip(&expected) {
        assert_eq!(mine, expected);
    }
    assert_eq!(mine.len(), expected.len());
    Ok(())
}

/// Three members, one of which is down.
async fn with_one_down(kind: Kind) -> Result<Vec<String>> {
    let mut cluster = Cluster::start(kind, 3, &[]).await?;
    cluster.nodes[2].kill();
    cluster.ready().await?;
    let mut asker = Asker::new(&cluster, 0)?;
    let (healthy, down) = (
        asker.id(&cluster.nodes[1].peer_url()).await?,
        asker.id(&cluster.nodes[2].peer_url()).await?,
    );
    asker.add(&[NOBODY], false).await;
    asker.add(&[NOBODY], true).await;
    asker.remove("a healthy one", healthy).await;
    // As soon as its loss is noticed, the one that is down may go.
    let api = asker.api.clone();
    let removed = wait::until(READY, "the member that is down may be removed", || {
        let mut api = api.clone();
        async move { api.cluster.member_remove(MemberRemoveRequest { id: down }).await }
    })
    .await?
    .into_inner();
    asker.note("remove the one that is down", Ok((removed.header, removed.members)));
    asker.remove("the one that is down", down).await;
    asker.list(true).await;
    // One of them leads, and the other passes it on.
    for at in [0, 1] {
        asker.api = cluster.nodes[at].api()?;
        asker.promote("a voter", healthy).await;
        asker.promote("nobody", UNKNOWN).await;
    }
    Ok(asker.answers)
}

#[tokio::test]
async fn three_members_protect_their_quorum_as_the_real_ones() -> Result<()> {
    let mine = with_one_down(Kind::Ours).await?;
    let expected = with_one_down(Kind::Real35).await?;
    assert_eq!(mine, expected);
    Ok(())
}

/// What other members ask a leader on its peer port when a client wants a promotion of them.
async fn on_the_peer_port(kind: Kind) -> Result<Vec<String>> {
    let cluster = Cluster::start(kind, 1, &[]).await?;
    let url = cluster.nodes[0].peer_url();
    let own = cluster.id_of(0, 0).await?;
    let mut asker = Asker::new(&cluster, 0)?;
    asker.add(&[NOBODY], true).await;
    let learner = asker.id(NOBODY).await?;
    let mut answers = Vec::new();
    for (method, path) in [
        ("POST", format!("/members/promote/{learner}")),
        ("POST", format!("/members/promote/{own}")),
        ("POST", "/members/promote/1234".to_owned()),
        ("POST", "/members/promote/xyz".to_owned()),
        ("PUT", "/members/promote/1234".to_owned()),
    ] {
        asker.settle().await;
        let answer = http::request(method, &url, &path)?;
        let cluster_id = !answer.header("x-etcd-cluster-id").is_empty();
        let allow = answer.header("allow");
        answers.push(format!("{method} {} {allow:?} {cluster_id} {}", answer.code, answer.body));
    }
    Ok(answers)
}

#[tokio::test]
async fn the_peer_port_refuses_promotions_as_the_real_one() -> Result<()> {
    let expected = on_the_peer_port(Kind::Real35).await?;
    assert_eq!(on_the_peer_port(Kind::Ours).await?, expected);
    Ok(())
}
