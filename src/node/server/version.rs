//! The cluster version: the leader asks all members for theirs and puts the lowest minor into the log.

use std::{sync::Arc, time::Duration};

use semver::Version;

use super::Server;

/// Between two looks, as in etcd.
const INTERVAL: Duration = Duration::from_secs(4);
/// What is decided while not all members can be asked.
const LOWEST: Version = Version::new(3, 0, 0);

/// Looks every 4 s, and as soon as this member begins to lead.
pub(super) async fn run(server: Arc<Server>) {
    let mut status = server.raft_status.clone();
    let mut stop = server.stop.subscribe();
    loop {
        let leads = server.is_leader();
        if leads && let Some(decided) = decide(&server).await {
            set(&server, &decided).await;
        }
        let begins = status.wait_for(|now| !leads && now.leader == Some(server.member));
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            began = begins => if began.is_err() { return },
            _ = stop.wait_for(Option::is_some) => return,
        }
    }
}

/// The version to set, if another one than the present.
async fn decide(server: &Server) -> Option<Version> {
    let current = server.membership.cluster_version().and_then(|text| Version::parse(&text).ok());
    let lowest = lowest_of_members(server).await;
    match (current, lowest) {
        (None, lowest) => Some(lowest.unwrap_or(LOWEST)),
        (Some(current), Some(lowest)) => is_valid_change(&current, &lowest).then_some(lowest),
        (Some(_), None) => None,
    }
}

/// Upwards, or down by exactly one minor (etcd 3.5's rule).
fn is_valid_change(from: &Version, to: &Version) -> bool {
    let up = (from.major, from.minor) < (to.major, to.minor);
    up || (from.major == to.major && from.minor == to.minor + 1)
}

/// The lowest `major.minor.0` of all members; nothing if one cannot be asked.
async fn lowest_of_members(server: &Server) -> Option<Version> {
    let own = Version::parse(crate::VERSION).ok()?;
    let mut lowest = Version::new(own.major, own.minor, 0);
    for member in server.membership.members() {
        if member.id == server.member {
            continue;
        }
        let version = ask(server, &member.peer_urls).await;
        let Some(version) = version else {
            tracing::debug!(member = %member.id, "its version is not known");
            return None;
        };
        lowest = lowest.min(Version::new(version.major, version.minor, 0));
    }
    Some(lowest)
}

async fn ask(server: &Server, urls: &[String]) -> Option<Version> {
    for url in urls {
        match server.fetcher.version(url, INTERVAL).await {
            Ok(fetched) => return Version::parse(&fetched.server).ok(),
            Err(error) => tracing::debug!(%error, url, "a member's version could not be read"),
        }
    }
    None
}

async fn set(server: &Server, version: &Version) {
    match server.propose_v2("/0/version".to_owned(), version.to_string()).await {
        Ok(_) => tracing::info!(%version, "cluster version is updated"),
        Err(error) => tracing::warn!(%error, %version, "the cluster version was not set"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_rises_at_will_and_falls_by_one_minor() {
        let v = Version::new;
        assert!(is_valid_change(&v(3, 0, 0), &v(3, 5, 0)));
        assert!(is_valid_change(&v(3, 5, 0), &v(3, 4, 0)));
        assert!(!is_valid_change(&v(3, 5, 0), &v(3, 3, 0)));
        assert!(!is_valid_change(&v(3, 5, 0), &v(3, 5, 0)));
    }
}
