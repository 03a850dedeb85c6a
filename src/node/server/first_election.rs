//! Shortens the wait for the first leader after a start: once enough peers are connected and none of
//! them speaks as leader, most of the election timeout may be taken as passed.

use std::{sync::Arc, time::Duration};

use super::Server;

/// Between two looks, and how long to look, as etcd.
const LOOK: Duration = Duration::from_millis(50);
const GIVE_UP: Duration = Duration::from_secs(5);
/// Ticks left for a leader to be heard in before this member asks for votes.
const TICKS_LEFT: usize = 2;

/// Ends when a leader is known, when the ticks were advanced, or after a while.
pub(super) async fn run(server: Arc<Server>, election_ticks: usize) {
    let mut status = server.raft_status.clone();
    let mut stop = server.stop.subscribe();
    let connected = async {
        while !quorum_is_connected(&server) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = connected => {
            let ticks = election_ticks.saturating_sub(TICKS_LEFT);
            tracing::debug!(ticks, "a quorum is connected: the first election may come sooner");
            server.raft.advance_ticks(ticks);
        }
        _ = status.wait_for(|status| status.leader.is_some()) => {}
        _ = stop.wait_for(Option::is_some) => {}
        () = tokio::time::sleep(GIVE_UP) => {}
    }
}

/// Whether this member and those it is connected with are more than half of the voters. A single
/// voter needs nobody and elects itself at once.
fn quorum_is_connected(server: &Server) -> bool {
    let Some(transport) = server.transport.get() else { return false };
    let voters = server.membership.voters();
    let connected = voters
        .iter()
        .filter(|voter| voter.id == server.member || transport.active_since(voter.id).is_some());
    voters.len() > 1 && connected.count() > voters.len() / 2
}
