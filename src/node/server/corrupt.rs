//! The members' cross-check of their data: at start against the peers, and every so often by the leader.

use std::{sync::Arc, time::Duration};

use base::{ClusterId, MemberId, Revision};
use state::{ApiError, HashKv, Kv, membership::Member};
use wire::etcdserverpb::{
    AlarmRequest, AlarmType, InternalRaftRequest, alarm_request::AlarmAction,
};

use super::Server;
use crate::peer::fetch::Fetcher;

/// One peer's answer may take this long.
const LIMIT: Duration = Duration::from_secs(7);

/// A peer with other data at the same revision and the same compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// Which peer.
    pub member: MemberId,
    /// The revision compared.
    pub revision: i64,
    /// Our hash.
    pub ours: u32,
    /// Its hash.
    pub theirs: u32,
}

/// Hashes the local data and asks each peer for its hash at that revision. Peers that cannot be asked, or that
/// compacted elsewhere, cannot be compared and are logged.
///
/// # Errors
/// Hashing the local data failed.
pub async fn compare_with_peers(
    kv: &Arc<Kv>,
    peers: &[Member],
    fetcher: &Fetcher,
    cluster: ClusterId,
) -> Result<Vec<Mismatch>, ApiError> {
    let local = local_hash(kv).await?;
    let mut mismatches = Vec::new();
    for peer in peers {
        let Some((hash, compact_revision)) = ask(fetcher, cluster, peer, local.revision).await
        else {
            continue;
        };
        if compact_revision != local.compact_revision {
            tracing::info!(member = %peer.id, "compacted elsewhere: its data cannot be compared");
        } else if hash != local.hash {
            let revision = local.revision;
            mismatches.push(Mismatch { member: peer.id, revision, ours: local.hash, theirs: hash });
        }
    }
    Ok(mismatches)
}

async fn local_hash(kv: &Arc<Kv>) -> Result<HashKv, ApiError> {
    let kv = Arc::clone(kv);
    tokio::task::spawn_blocking(move || kv.hash_kv(0))
        .await
        .map_err(|error| ApiError::Other(format!("hash the data: {error}")))?
}

async fn ask(
    fetcher: &Fetcher,
    cluster: ClusterId,
    peer: &Member,
    revision: i64,
) -> Option<(u32, i64)> {
    for url in &peer.peer_urls {
        match fetcher.hash_kv(url, cluster, Revision::new(revision), LIMIT).await {
            Ok(answer) => return Some((answer.hash, answer.compact_revision.get())),
            Err(error) => {
                tracing::info!(member = %peer.id, %error, "its data cannot be compared");
            }
        }
    }
    None
}

/// The leader's check, every `--experimental-corrupt-check-time`; zero switches it off.
pub(super) async fn run(server: Arc<Server>) {
    let every = server.settings.corrupt_check_time;
    if every.is_zero() {
        return;
    }
    let mut stop = server.stop.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stop.wait_for(Option::is_some) => return,
        }
        if server.is_leader()
            && let Err(error) = check(&server).await
        {
            tracing::warn!(%error, "the members' data was not compared");
        }
    }
}

async fn check(server: &Server) -> Result<(), ApiError> {
    server.linearizable_read().await?;
    let mut peers = server.membership.members();
    peers.retain(|member| member.id != server.member);
    for mismatch in compare_with_peers(&server.kv, &peers, &server.fetcher, server.cluster).await? {
        tracing::error!(?mismatch, "a member's data differs: raising the CORRUPT alarm");
        let alarm = AlarmRequest {
            action: AlarmAction::Activate.into(),
            member_id: mismatch.member.get(),
            alarm: AlarmType::Corrupt.into(),
        };
        let request = InternalRaftRequest { alarm: Some(alarm), ..Default::default() };
        server.propose(request).await?;
    }
    Ok(())
}
