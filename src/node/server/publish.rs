//! Tells the cluster this member's name and client URLs, through the log; only then the client port opens.

use std::{sync::Arc, time::Duration};

use super::Server;

/// Between two tries.
const RETRY: Duration = Duration::from_millis(100);

/// Publishes until it worked, or until the server stops.
pub(super) async fn run(server: Arc<Server>) {
    let attributes = state::membership::Attributes {
        name: server.settings.name.clone(),
        client_urls: server.settings.client_urls.clone(),
    };
    let path = format!("/0/members/{}/attributes", server.member);
    let mut stop = server.stop.subscribe();
    loop {
        let tried = tokio::select! {
            tried = server.propose_v2(path.clone(), attributes.to_json()) => tried,
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
