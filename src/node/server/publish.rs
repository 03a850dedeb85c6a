//! Tells the cluster this member's name and client URLs, through the log; only then the client port opens.

use std::{sync::Arc, time::Duration};

use state::membership::Attributes;

use super::Server;

/// Between two tries.
const RETRY: Duration = Duration::from_millis(100);

/// Publishes until it worked, or until the server stops.
pub(super) async fn run(server: Arc<Server>) {
    let attributes = Attributes {
        name: server.settings.name.clone(),
        client_urls: server.settings.client_urls.clone(),
    };
    let path = format!("/0/members/{}/attributes", server.member);
    let mut stop = server.stop.subscribe();
    loop {
        let tried = tokio::select! {
            tried = server.propose_v2(path.clone(), attributes.to_json()) => tried,
            () = published_by_snapshot(&server, &attributes) => break,
            _ = stop.wait_for(Option::is_some) => return,
        };
        match tried {
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(%error, "not published yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    tracing::info!(
        member = %server.member,
        name = server.settings.name,
        "published local member to cluster through raft"
    );
    server.ready.send_replace(true);
}

/// Resolves when a snapshot of the leader, taken since this was asked, holds these attributes. Then the proposal's own
/// entry is within the snapshot, and nobody will hear of it: the rule for a member that joins a cluster with a short log.
async fn published_by_snapshot(server: &Server, attributes: &Attributes) {
    let mut taken = server.snapshot_taken.subscribe();
    while taken.changed().await.is_ok() {
        let member = server.membership.member(server.member);
        let published = member.is_some_and(|member| {
            member.name == attributes.name && member.client_urls == attributes.client_urls
        });
        if published {
            return;
        }
    }
    std::future::pending::<()>().await;
}
