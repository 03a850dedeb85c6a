//! Changes of membership: asked of the cluster, then recorded. Each can be carried out again after a crash at any point.

use std::{path::Path, time::Duration};

use base::MemberId;
use client::{Client, ClientError, ClientOptions, Member};
use tokio::time::Instant;

use super::Step;
use crate::{
    control::entry::{Entry, Task},
    observe,
    plan::{Fact, NodeObservation},
    spec::INCARNATION_FIRST,
};

/// Longest wait for the answer to one change.
const CHANGE_MAX: Duration = Duration::from_secs(10);
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
        let client = self.voters_without("").await?;
        let before = client.member_list(true).await.map_err(in_words)?;
        let waiting =
            before.iter().find(|it| it.client_urls.is_empty() && it.peer_urls == peer_urls);
        let (id, members) = match waiting {
            Some(member) => (member.id, before.clone()),
            None => self.insist(|| client.member_add_learner(peer_urls)).await?,
        };
        let initial_cluster = initial_cluster(&members, id, node)?;
        let incarnation = self.spec.node(node).map_or(INCARNATION_FIRST, |node| node.incarnation);
        let node = node.to_owned();
        self.commit(Entry::Joined { node, member: id, incarnation, initial_cluster }).await?;
        Ok(format!("member {id}"))
    }

    /// Once it has kept up for a while; etcd has a look of its own. At the spec's limit it is taken out.
    pub(super) async fn promote(&self, node: &str) -> Result<String, String> {
        let id = self.recorded(node)?;
        let client = self.voters_without("").await?;
        let limit = Instant::now() + self.spec.update.learner_limit;
        let mut steady_since = None;
        loop {
            let now = Instant::now();
            let mut why = match self.lag(node).await {
                Ok(lag) if lag <= LAG_STEADY => None,
                Ok(lag) => Some(format!("{lag} entries behind")),
                Err(reason) => Some(reason),
            };
            let since = *steady_since.get_or_insert(now);
            if why.is_some() {
                steady_since = None;
            } else if now.duration_since(since) >= self.spec.update.learner_steady {
                let asked = client.member_promote(id).await;
                if asked.is_ok() || votes(&client, id).await {
                    self.commit(Entry::Promoted { node: node.to_owned() }).await?;
                    return Ok(format!("member {id} votes"));
                }
                why = asked.err().map(in_words);
            }
            if now >= limit || now >= self.deadline || self.should_leave() {
                let reason = why.unwrap_or_else(|| "it has not kept up for long enough".to_owned());
                if now < limit {
                    return Err(format!("not promoted: {reason}"));
                }
                return Err(self.evict(node, id, &reason).await);
            }
            self.voice.waiting(why.unwrap_or_else(|| format!("{node} keeps up")));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A learner that does not keep up must not hold up every other change. Says what came of it.
    async fn evict(&self, node: &str, id: MemberId, reason: &str) -> String {
        let limit = self.spec.update.learner_limit;
        let stalled = format!("it has not kept up within {limit:?} (`learner-limit`): {reason}");
        let out = async {
            self.remove_member(node, &id.to_string()).await?;
            self.archive(node).await
        };
        match out.await {
            Ok(_) => format!("{stalled}; taken out again: mend it and apply again"),
            Err(error) => format!("{stalled}; not taken out: {error}"),
        }
    }

    pub(super) async fn remove_member(&self, node: &str, member: &str) -> Result<String, String> {
        let id = parse(member)?;
        let client = self.voters_without(node).await?;
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
        let client = self.voters_without("").await?;
        self.insist(|| client.member_update(id, peer_urls)).await?;
        Ok(format!("member {id} is at {}", peer_urls.join(",")))
    }

    /// R4, R10, R12: ends the process of a node that is no member, renames its dirs, and forgets what it was.
    pub(super) async fn archive(&self, node: &str) -> Result<String, String> {
        let id = self.recorded(node).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
        let ledger = self.cluster.control.state().node(node).cloned().unwrap_or_default();
        let spec = self.spec.node(node);
        let text = |dir: &Path| dir.to_string_lossy().into_owned();
        let data_dir = ledger.data_dir.or_else(|| Some(text(&spec?.data_dir)));
        let wal_dir = ledger.wal_dir.or_else(|| Some(text(spec?.wal_dir.as_deref()?)));
        let label = format!("{node}-{id}");
        let place = self.order(node, Task::Archive { data_dir, wal_dir, label }).await?;
        let archived = Some(place).filter(|place| !place.is_empty());
        let told = archived.clone().unwrap_or_else(|| "there was no data".to_owned());
        self.commit(Entry::Left { node: node.to_owned(), archived }).await?;
        Ok(told)
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
    async fn lag(&self, node: &str) -> Result<u64, String> {
        let observation = observe::observe(self.cluster, self.spec).await;
        let positions = |node: &NodeObservation| match &node.status {
            Fact::Known(status) => Ok((status.index.get(), status.applied.get())),
            Fact::Unknown(reason) => Err(reason.clone()),
        };
        let own = observation.node(node).ok_or("it was not looked at")?;
        let (_, own) = positions(own)?;
        let furthest = observation.nodes.iter().filter_map(|node| Some(positions(node).ok()?.0));
        Ok(furthest.max().unwrap_or(0).saturating_sub(own))
    }

    /// The members that can answer for a quorum.
    async fn voters_without(&self, node: &str) -> Result<Client, String> {
        let observation = observe::observe(self.cluster, self.spec).await;
        let voters = observe::voters(&observation, node);
        let options = ClientOptions { request_timeout: CHANGE_MAX, ..ClientOptions::default() };
        observe::secure::client_of_any_host(&voters, options)
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
