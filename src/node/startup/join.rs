//! Joins a cluster that runs: ids come from its members, matched by peer URLs; the log begins empty
//! and is filled by the leader.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use base::{ClusterId, ErrorChain, Index, MemberId, flags};
use consensus::Durable;
use wal::{Wal, snap::SnapDir};
use wire::{raftpb, walpb};

use super::{Begun, Start, StartupError};
use crate::peer::fetch::{FetchedMember, FetchedMembers};

/// How long one member may take to tell of the others.
const LIMIT: Duration = Duration::from_secs(10);
/// How long one member may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// What the members that run say.
#[derive(Debug)]
pub(super) struct Joined {
    member: MemberId,
    cluster: ClusterId,
    remotes: Vec<(MemberId, Vec<String>)>,
}

/// Asks the members that run, and matches them with the settings.
pub(super) async fn check(start: &Start<'_>) -> Result<Joined, StartupError> {
    let name = &start.config.settings.name;
    start.config.cluster.verify_listed(name)?;
    let running = ask(start, name).await?;
    let member = match_members(start, name, &running).await?;
    check_versions(start, member, &running.members).await?;
    let remotes = running
        .members
        .into_iter()
        .filter(|other| other.id != member.get())
        .map(|other| (MemberId::new(other.id), other.peer_urls))
        .collect();
    Ok(Joined { member, cluster: running.cluster, remotes })
}

/// The first listed member that answers tells of all.
async fn ask(start: &Start<'_>, name: &str) -> Result<FetchedMembers, StartupError> {
    let others = start.config.cluster.members.iter().filter(|(other, _)| *other != name);
    let mut urls: Vec<&String> = others.flat_map(|(_, urls)| urls).collect();
    urls.sort_unstable();
    for url in urls {
        match start.around.fetcher.members(url, LIMIT).await {
            Ok(answer) if !answer.members.is_empty() => return Ok(answer),
            Ok(_) => tracing::warn!(url, "the member there knows of no members"),
            Err(error) => {
                tracing::warn!(url, error = %ErrorChain(&error), "failed to get cluster response");
            }
        }
    }
    Err(StartupError::Cluster(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
            .to_owned(),
    ))
}

/// The id of this member: the running cluster must have exactly the members of `--initial-cluster`.
async fn match_members(
    start: &Start<'_>,
    name: &str,
    running: &FetchedMembers,
) -> Result<MemberId, StartupError> {
    let listed = &start.config.cluster;
    let wrong = |reason: String| {
        StartupError::Settings(format!("error validating peerURLs {listed}: {reason}"))
    };
    if listed.members.len() != running.members.len() {
        return Err(wrong("member count is unequal".to_owned()));
    }
    let mut me = None;
    for existing in &running.members {
        let mut found = None;
        for (other, urls) in &listed.members {
            if same_urls(urls, &existing.peer_urls).await {
                found = Some(other);
                break;
            }
        }
        let id = MemberId::new(existing.id);
        let Some(found) = found else {
            return Err(wrong(format!(
                "PeerURLs: no match found for existing member ({id}, [{}])",
                existing.peer_urls.join(" ")
            )));
        };
        if found == name {
            me = Some(id);
        }
    }
    me.ok_or_else(|| wrong(format!("no running member has the peer URLs of {name:?}")))
}

/// Whether two lists name the same places, host names resolved.
async fn same_urls(one: &[String], other: &[String]) -> bool {
    let plain = |urls: &[String]| urls.iter().cloned().collect::<BTreeSet<String>>();
    if plain(one) == plain(other) {
        return true;
    }
    match (resolve(one).await, resolve(other).await) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

async fn resolve(urls: &[String]) -> Option<BTreeSet<SocketAddr>> {
    let mut places = BTreeSet::new();
    for url in urls {
        let (_, address) = flags::parse_url(url).ok()?;
        let mut found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.ok()?.collect();
        // As Go does: the first address of the preferred family stands for the name.
        found.sort_unstable_by_key(SocketAddr::is_ipv6);
        places.insert(*found.first()?);
    }
    Some(places)
}

/// Every member that answers must run a cluster version that this program can be part of.
async fn check_versions(
    start: &Start<'_>,
    member: MemberId,
    running: &[FetchedMember],
) -> Result<(), StartupError> {
    let own = crate::own_version();
    let mut compatible = false;
    for other in running.iter().filter(|other| other.id != member.get()) {
        let Some(version) = cluster_version(start, other).await else { continue };
        if version.major != own.major || version.minor > own.minor {
            tracing::warn!(member = %MemberId::new(other.id), %version, "its cluster version does not suit");
            return Err(incompatible());
        }
        compatible = true;
    }
    if compatible { Ok(()) } else { Err(incompatible()) }
}

fn incompatible() -> StartupError {
    StartupError::Cluster("incompatible with current running cluster".to_owned())
}

async fn cluster_version(start: &Start<'_>, member: &FetchedMember) -> Option<semver::Version> {
    for url in &member.peer_urls {
        match start.around.fetcher.version(url, VERSION_LIMIT).await {
            Ok(answer) => return semver::Version::parse(&answer.cluster).ok(),
            Err(error) => {
                tracing::warn!(url, error = %ErrorChain(&error), "failed to get its version");
            }
        }
    }
    None
}

/// Makes the store and an empty log.
pub(super) fn begin(start: &Start<'_>, joined: Joined) -> Result<Begun, StartupError> {
    let Joined { member, cluster, remotes } = joined;
    let opened = start.open_store(member, cluster)?;
    let metadata = walpb::Metadata { node_id: member.get(), cluster_id: cluster.get() };
    let disk = Arc::clone(&start.around.disk);
    let wal = Wal::create(Arc::clone(&disk), &start.layout.wal, metadata, start.wal_config())
        .map_err(StartupError::log("make"))?;
    tracing::info!(%member, %cluster, "starting local member, joining a cluster");
    let durable = Durable {
        wal,
        snaps: SnapDir::new(disk, &start.layout.snap),
        snapshot: raftpb::SnapshotMetadata::default(),
        hard_state: raftpb::HardState::default(),
        entries: Vec::new(),
        applied: Index::new(0),
    };
    Ok(Begun { member, cluster, durable, opened, remotes })
}
