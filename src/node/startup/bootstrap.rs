//! Forms a new cluster: every member computes the same ids and writes the same first entries.

use std::{sync::Arc, time::Duration};

use base::{ClusterId, ErrorChain, Index, MemberId};
use consensus::{Durable, bootstrap_entries};
use state::membership::{Member, cluster_id};
use wal::{Wal, snap::SnapDir};
use wire::{raftpb, walpb};

use super::{Begun, Start, StartupError, store::Opened};

/// How long one of the other members may take to say whether we ran before.
const LIMIT: Duration = Duration::from_secs(1);

/// The cluster as all its members compute it.
#[derive(Debug)]
pub(super) struct NewCluster {
    /// By id.
    members: Vec<Member>,
    member: MemberId,
    cluster: ClusterId,
}

impl NewCluster {
    fn compute(start: &Start<'_>) -> Result<Self, StartupError> {
        let config = &start.config.cluster;
        let name = &start.config.settings.name;
        let mut members: Vec<Member> = config
            .members
            .iter()
            .map(|(name, urls)| Member::new(name, urls, &config.token, None))
            .collect();
        members.sort_unstable_by_key(|member| member.id);
        let ids: Vec<MemberId> = members.iter().map(|member| member.id).collect();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StartupError::Settings(format!(
                "member IDs of --initial-cluster {config} are not unique"
            )));
        }
        let me = members.iter().find(|member| &member.name == name);
        let Some(member) = me.map(|member| member.id) else {
            return Err(StartupError::Settings(format!(
                "couldn't find local name {name:?} in the initial cluster configuration"
            )));
        };
        Ok(Self { cluster: cluster_id(&ids), member, members })
    }

    fn first_entries(&self) -> (Vec<raftpb::Entry>, raftpb::HardState) {
        let contexts: Vec<_> =
            self.members.iter().map(|member| (member.id, member.to_json().into())).collect();
        bootstrap_entries(&contexts)
    }
}

/// Checks the settings, and asks the other members whether this one was part of the cluster before:
/// then its data is lost, and starting it as new would break its votes.
pub(super) async fn check(start: &Start<'_>) -> Result<NewCluster, StartupError> {
    let config = &start.config.cluster;
    config.verify_listed(&start.config.settings.name)?;
    config.verify_advertised(&start.config.settings.name, &start.config.settings.peer_urls)?;
    let cluster = NewCluster::compute(start)?;
    let others = cluster.members.iter().filter(|member| member.id != cluster.member);
    let urls = others.flat_map(|member| &member.peer_urls);
    let asked = urls.map(|url| knows_us(start, url, cluster.member));
    if futures::future::join_all(asked).await.contains(&true) {
        return Err(StartupError::Cluster(format!(
            "member {} has already been bootstrapped",
            cluster.member
        )));
    }
    Ok(cluster)
}

/// Whether a member says that this one has run before. One that does not answer knows nothing.
async fn knows_us(start: &Start<'_>, url: &str, member: MemberId) -> bool {
    match start.around.fetcher.members(url, LIMIT).await {
        Ok(answer) => {
            let me = answer.members.iter().find(|listed| listed.id == member.get());
            me.is_some_and(|me| !me.client_urls.is_empty())
        }
        Err(error) => {
            tracing::debug!(url, error = %ErrorChain(&error), "no member answers there yet");
            false
        }
    }
}

/// Whether the settings would bootstrap this very member with a log that begins like this.
pub(super) fn begins(
    start: &Start<'_>,
    (member, cluster): (MemberId, ClusterId),
    entries: &[raftpb::Entry],
) -> bool {
    let Ok(computed) = NewCluster::compute(start) else { return false };
    (computed.member, computed.cluster) == (member, cluster)
        && computed.first_entries().0.starts_with(entries)
}

/// Makes the log. The store comes first: a dir with a log always has one.
pub(super) fn form(start: &Start<'_>, new: &NewCluster) -> Result<Begun, StartupError> {
    let metadata = walpb::Metadata { node_id: new.member.get(), cluster_id: new.cluster.get() };
    let opened = start.open_store(new.member, new.cluster)?;
    let disk = Arc::clone(&start.around.disk);
    let wal = Wal::create(disk, &start.layout.wal, metadata, start.wal_config())
        .map_err(StartupError::log("make"))?;
    fill(start, wal, opened)
}

/// Writes the first entries into a log that is empty, or has some of them.
pub(super) fn fill(start: &Start<'_>, mut wal: Wal, opened: Opened) -> Result<Begun, StartupError> {
    let new = NewCluster::compute(start)?;
    let (member, cluster) = (new.member, new.cluster);
    let (entries, hard_state) = new.first_entries();
    wal.append(&entries, Some(&hard_state), true).map_err(StartupError::log("begin"))?;
    tracing::info!(
        %member,
        %cluster,
        initial_cluster = %start.config.cluster,
        "starting local member of a new cluster"
    );
    let durable = Durable {
        wal,
        snaps: SnapDir::new(Arc::clone(&start.around.disk), &start.layout.snap),
        snapshot: raftpb::SnapshotMetadata::default(),
        hard_state,
        entries,
        applied: Index::new(0),
    };
    Ok(Begun { member, cluster, durable, opened, remotes: Vec::new() })
}
