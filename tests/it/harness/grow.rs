//! Clusters whose members come and go: additions by the API, and processes that join by it.

use anyhow::{Context, Result, ensure};
use tonic::Code;
use wire::etcdserverpb::{
    MemberAddRequest, MemberPromoteRequest, MemberRemoveRequest, MoveLeaderRequest, StatusRequest,
};

use super::{
    child::Process,
    cluster::{Cluster, READY},
    oracle::Kind,
    ports::Port,
    wait,
};

/// With or without a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Votes from the start.
    Voter,
    /// Has to be promoted.
    Learner,
}

impl Cluster {
    /// A node with ports and a name that is no member yet. Returns its place among the nodes.
    ///
    /// # Errors
    /// If no ports are free.
    pub(crate) fn reserve(&mut self, kind: Kind) -> Result<usize> {
        let node = self.node(kind, Port::take()?, Port::take()?);
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Makes a reserved node a member by asking node `asked`; it is ready to be started then, with
    /// `--initial-cluster-state existing`.
    ///
    /// # Errors
    /// If the cluster refuses for another reason than its health.
    pub(crate) async fn announce(
        &mut self,
        asked: usize,
        place: usize,
        standing: Standing,
    ) -> Result<()> {
        let request = MemberAddRequest {
            peer_ur_ls: vec![self.nodes[place].peer_url()],
            is_learner: standing == Standing::Learner,
        };
        let api = self.nodes[asked].api()?;
        let added = patiently("the member is added", || {
            let (mut api, request) = (api.clone(), request.clone());
            async move { api.cluster.member_add(request).await }
        })
        .await?;
        let mine = added.member.context("the new member")?.id;
        let node = &mut self.nodes[place];
        let pairs: Vec<String> = added
            .members
            .iter()
            .flat_map(|member| {
                let name = if member.id == mine { &node.name } else { &member.name };
                member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
            })
            .collect();
        node.set_flag("--initial-cluster", &pairs.join(","));
        node.set_flag("--initial-cluster-state", "existing");
        Ok(())
    }

    /// The same, and starts it and waits until it answers.
    ///
    /// # Errors
    /// If the cluster refuses for another reason than its health, or the member does not come up.
    pub(crate) async fn join(
        &mut self,
        asked: usize,
        place: usize,
        standing: Standing,
    ) -> Result<()> {
        self.announce(asked, place, standing).await?;
        self.nodes[place].start()?;
        let api = self.nodes[place].api()?;
        let answer = wait::until(READY, "the new member answers", || {
            let mut api = api.clone();
            async move { api.maintenance.status(StatusRequest {}).await }
        });
        let log = || self.nodes[place].process.as_ref().map(Process::log_tail).unwrap_or_default();
        let status = answer.await.with_context(log)?.into_inner();
        ensure!(status.is_learner == (standing == Standing::Learner), "{status:?}");
        Ok(())
    }

    /// Moves leadership to a node.
    ///
    /// # Errors
    /// If it does not lead in the end.
    pub(crate) async fn lead(&self, place: usize) -> Result<()> {
        let target_id = self.id_of(place, place).await?;
        let leader = self.leader().await?;
        if leader != place {
            let mut api = self.nodes[leader].api()?;
            api.maintenance.move_leader(MoveLeaderRequest { target_id }).await?;
        }
        ensure!(self.leader().await? == place, "it does not lead");
        Ok(())
    }

    /// The id of a node, as node `asked` knows it.
    ///
    /// # Errors
    /// If it is no member.
    pub(crate) async fn id_of(&self, asked: usize, place: usize) -> Result<u64> {
        let members = self.nodes[asked].api()?.members().await?;
        let url = self.nodes[place].peer_url();
        let found = members.iter().find(|member| member.peer_ur_ls.contains(&url));
        Ok(found.context("it is no member")?.id)
    }

    /// Gives a learner its vote as soon as it is in sync, by asking node `asked`, and waits until it knows.
    ///
    /// # Errors
    /// If the cluster refuses for another reason.
    pub(crate) async fn promote(&self, asked: usize, place: usize) -> Result<()> {
        let id = self.id_of(asked, place).await?;
        let api = self.nodes[asked].api()?;
        patiently("the learner is promoted", || {
            let mut api = api.clone();
            async move { api.cluster.member_promote(MemberPromoteRequest { id }).await }
        })
        .await?;
        self.ready().await
    }

    /// Removes a member by asking node `asked`, and waits until its process has ended by itself, as a removed
    /// member's does: with status 0, and with the reason in its log.
    ///
    /// # Errors
    /// If the cluster refuses for another reason than its health, or the process goes on or ends otherwise.
    pub(crate) async fn leave(&mut self, asked: usize, place: usize) -> Result<()> {
        let id = self.id_of(asked, place).await?;
        self.remove(asked, id).await?;
        self.ends_as_removed(place)
    }

    /// Removes a member by its id, by asking node `asked`.
    ///
    /// # Errors
    /// If the cluster refuses for another reason than its health.
    pub(crate) async fn remove(&self, asked: usize, id: u64) -> Result<()> {
        let api = self.nodes[asked].api()?;
        patiently("the member is removed", || {
            let mut api = api.clone();
            async move { api.cluster.member_remove(MemberRemoveRequest { id }).await }
        })
        .await?;
        Ok(())
    }

    /// Waits for the end of a removed member's process.
    ///
    /// # Errors
    /// If it goes on or ends otherwise.
    pub(crate) fn ends_as_removed(&mut self, place: usize) -> Result<()> {
        let mut process = self.nodes[place].process.take().context("it runs")?;
        let ended = process.wait(READY)?;
        ensure!(ended.code() == Some(0), "{ended}: {}", process.log_tail());
        let log = process.log();
        for words in [
            "the member has been permanently removed from the cluster",
            "data-dir used by this member must be removed",
        ] {
            ensure!(log.contains(words), "{words:?} is missing: {}", process.log_tail());
        }
        Ok(())
    }
}

/// Asks again while the cluster says that it is not healthy enough yet, or the learner not in sync.
async fn patiently<T, F, Fut>(what: &str, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let answer = wait::until(READY, what, || {
        let asked = ask();
        async move {
            match asked.await {
                Ok(answer) => Ok(Ok(answer.into_inner())),
                Err(status) if is_passing(&status) => Err(status),
                Err(status) => Ok(Err(status)),
            }
        }
    })
    .await?;
    answer.with_context(|| what.to_owned())
}

fn is_passing(status: &tonic::Status) -> bool {
    let not_ready = status.message().contains("in sync with leader");
    not_ready
        || status.code() == Code::Unavailable && status.message().contains("unhealthy cluster")
}
