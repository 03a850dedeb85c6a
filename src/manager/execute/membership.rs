//! Changes of membership: asked of the cluster, then recorded. Each can be carried out again after a crash at any point.

use std::{path::Path, time::Duration};

use base::MemberId;
use client::{Client, ClientError, ClientOptions, Member};
use tokio::time::Instant;

use super::Step;
use crate::{control::entry::Entry, observe, plan::Fact};

/// Longest wait for the answer to one change.
const CHANGE_MAX: Duration = Duration::from_secs(10);
/// A learner has to keep up for this long before it gets its vote.
const STEADY: Duration = Duration::from_secs(1);
/// Committed entries behind the furthest member at which a learner still keeps up.
const LAG_STEADY: u64 = 500;
/// Longest wait until etcd counts all members as connected.
const SETTLED_MAX: Duration = Duration::from_secs(20);
/// What it says until then.
const UNSETTLED: [&str; 2] =
    ["unhealthy cluster", "re-configuration failed due to not enough started members"];
const PAUSE: Duration = Duration::from_millis(100);

impl Step<'_> {
    /// Adds it, or finds that it was added before the last agent could say so.
    pub(super) async fn add_learner(
        &self,
        node: &str,
        peer_urls: &[String],
    ) -> Result<String, String> {
        let client = self.voters_without("")?;
        let before = client.member_list(true).await.map_err(in_words)?;
        let waiting =
            before.iter().find(|it| it.client_urls.is_empty() && it.peer_urls == peer_urls);
        let (id, members) = match waiting {
            Some(member) => (member.id, before.clone()),
            None => self.insist(|| client.member_add_learner(peer_urls)).await?,
        };
        let initial_cluster = initial_cluster(&members, id, node)?;
        self.commit(Entry::Joined { node: node.to_owned(), member: id, initial_cluster }).await?;
        Ok(format!("member {id}"))
    }

    /// Once it has kept up for a while; etcd has a look of its own.
    pub(super) async fn promote(&self, node: &str) -> Result<String, String> {
        let id = self.recorded(node)?;
        let client = self.voters_without("")?;
        let deadline = self.deadline.min(Instant::now() + self.spec.supervise.ready_timeout);
        let mut steady_since = None;
        loop {
            let now = Instant::now();
            let mut why = match self.lag(node) {
                Ok(lag) if lag <= LAG_STEADY => None,
                Ok(lag) => Some(format!("{lag} entries behind")),
                Err(reason) => Some(reason),
            };
            let since = *steady_since.get_or_insert(now);
            if why.is_some() {
                steady_since = None;
            } else if now.duration_since(since) >= STEADY {
                let asked = client.member_promote(id).await;
                if asked.is_ok() || votes(&client, id).await {
                    self.commit(Entry::Promoted { node: node.to_owned() }).await?;
                    return Ok(format!("member {id} votes"));
                }
                why = asked.err().map(in_words);
            }
            if now >= deadline || self.should_leave() {
                let reason = why.unwrap_or_else(|| "it has not kept up for long enough".to_owned());
                return Err(format!("not promoted: {reason}"));
            }
            self.voice.waiting(why.unwrap_or_else(|| format!("{node} keeps up")));
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) async fn remove_member(&self, node: &str, member: &str) -> Result<String, String> {
        let id = parse(member)?;
        let client = self.voters_without(node)?;
        if let Err(error) = self.insist(|| client.member_remove(id)).await {
            let members = client.member_list(true).await.map_err(in_words)?;
            if members.iter().any(|member| member.id == id) {
                return Err(error);
            }
        }
        Ok(format!("member {id} is out"))
    }

    pub(super) async fn update_member(
        &self,
        member: &str,
        peer_urls: &[String],
    ) -> Result<String, String> {
        let id = parse(member)?;
        let client = self.voters_without("")?;
        self.insist(|| client.member_update(id, peer_urls)).await?;
        Ok(format!("member {id} is at {}", peer_urls.join(",")))
    }

    /// R4, R10, R12: ends the process of a node that is no member, renames its dirs, and forgets what it was.
    pub(super) async fn archive(&self, node: &str) -> Result<String, String> {
        self.commit(Entry::Wanted { node: node.to_owned(), run: false }).await?;
        if let Ok(kept) = self.node(node) {
            kept.keeper.stop().await?;
        }
        let id = self.recorded(node).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
        let ledger = self.cluster.control.state().node(node).cloned().unwrap_or_default();
        let spec = self.spec.node(node);
        let data_dir =
            ledger.data_dir.map(Into::into).or_else(|| spec.map(|node| node.data_dir.clone()));
        let wal_dir =
            ledger.wal_dir.map(Into::into).or_else(|| spec.and_then(|node| node.wal_dir.clone()));
        let mut archived = None;
        if let Some(dir) = &data_dir {
            archived = self.put_away(dir, &format!("{node}-{id}"))?;
        }
        if let Some(dir) = &wal_dir {
            self.put_away(dir, &format!("{node}-{id}-wal"))?;
        }
        let told = archived.clone().unwrap_or_else(|| "there was no data".to_owned());
        self.commit(Entry::Left { node: node.to_owned(), archived }).await?;
        Ok(told)
    }

    /// Beside the dir, so that it is a rename.
    fn put_away(&self, dir: &Path, label: &str) -> Result<Option<String>, String> {
        let disk = &*self.cluster.tools.disk;
        let told = |error| format!("{}: {error}", dir.display());
        if !disk.exists(dir).map_err(told)? {
            return Ok(None);
        }
        let Some(parent) = dir.parent() else {
            return Err(format!("{} has no parent", dir.display()));
        };
        let place = disk::archive(disk, dir, &parent.join("archive"), label).map_err(told)?;
        Ok(Some(place.display().to_string()))
    }

    /// etcd changes members only once all have been connected for five seconds (strict-reconfig-check): it is
    /// asked again for so long.
    async fn insist<T, F>(&self, ask: impl Fn() -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let deadline = self.deadline.min(Instant::now() + SETTLED_MAX);
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let settling = matches!(&error, ClientError::Refused { message, .. }
                if UNSETTLED.iter().any(|text| message.contains(text)));
            if !settling || Instant::now() >= deadline || self.should_leave() {
                return Err(in_words(error));
            }
            self.voice
                .waiting("waiting until all members have been connected for a while".to_owned());
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn recorded(&self, node: &str) -> Result<MemberId, String> {
        let state = self.cluster.control.state();
        let seen = state.node(node).and_then(crate::control::state::NodeLedger::member);
        let member = seen.or_else(|| state.lineage()?.member(node));
        member.map(|(_, id)| id).ok_or_else(|| format!("no member of {node} is recorded"))
    }

    /// Committed entries behind the furthest member.
    fn lag(&self, node: &str) -> Result<u64, String> {
        let positions = |node: &crate::agent::cluster::Node| match &node.probe.borrow().status {
            Fact::Known(status) => Ok((status.commit.get(), status.applied.get())),
            Fact::Unknown(reason) => Err(reason.clone()),
        };
        let (_, own) = positions(&self.node(node)?)?;
        let nodes = self.cluster.nodes();
        let furthest = nodes.values().filter_map(|node| Some(positions(node).ok()?.0)).max();
        Ok(furthest.unwrap_or(0).saturating_sub(own))
    }

    /// The members that can answer for a quorum.
    fn voters_without(&self, node: &str) -> Result<Client, String> {
        let voters = observe::voters(self.cluster, node);
        let options = ClientOptions { request_timeout: CHANGE_MAX, ..ClientOptions::default() };
        observe::secure::client(&voters, options)
    }
}

/// What etcd demands of a joining member: every member with its name, itself by the name it will have.
fn initial_cluster(
    members: &[Member],
    own: MemberId,
    node: &str,
) -> Result<Vec<(String, Vec<String>)>, String> {
    let named = |member: &Member| match (member.id == own, member.name.as_str()) {
        (true, _) => Ok((node.to_owned(), member.peer_urls.clone())),
        (false, "") => Err(format!("member {} has never started", member.id)),
        (false, name) => Ok((name.to_owned(), member.peer_urls.clone())),
    };
    members.iter().map(named).collect()
}

async fn votes(client: &Client, id: MemberId) -> bool {
    let members = client.member_list(true).await.unwrap_or_default();
    members.iter().any(|member| member.id == id && !member.is_learner)
}

fn parse(member: &str) -> Result<MemberId, String> {
    member.parse().map_err(|error| format!("{member}: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn in_words(error: ClientError) -> String {
    base::ErrorChain(&error).to_string()
}
