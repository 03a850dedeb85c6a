//! Whether what an agent knows is what the group knows: one that was away tells of an earlier time until it has
//! caught up with the agent that leads.

use std::time::Duration;

use super::gather::NO_QUORUM;
use crate::{agent::cluster::Cluster, control::Leadership};

/// Longest wait for the entries that are missing here.
const CATCH_UP_MAX: Duration = Duration::from_secs(3);

const LET_GO: &str = "this agent is not in the group any more, since the spec has no node on its host: \
    ask another with --agent";

/// Whether the log, as far as it came here, says so.
fn was_let_go(cluster: &Cluster) -> bool {
    let group = &cluster.control.state().group;
    let own = cluster.control.membership().map(|(own, _)| own);
    own.is_some_and(|own| !group.voters.is_empty() && !group.agents.contains_key(&own))
}

/// Waits until everything is applied here that the leading agent has applied now.
///
/// # Errors
/// Why what is known here may be old, in a sentence.
pub(super) async fn catch_up(cluster: &Cluster) -> Result<(), String> {
    let leader = match cluster.control.leadership() {
        Leadership::NoGroup | Leadership::Own(_) => return Ok(()),
        Leadership::Nobody if was_let_go(cluster) => return Err(LET_GO.to_owned()),
        Leadership::Nobody => return Err(NO_QUORUM.to_owned()),
        Leadership::Other(leader) => leader,
    };
    let state = cluster.control.state();
    let (Some(agent), Some(many)) = (state.group.agents.get(&leader), &cluster.many) else {
        return Err(old("the agent that leads is not known here yet"));
    };
    let greeting = many.peers.greet(&agent.address).await;
    let greeting = greeting
        .map_err(|reason| old(&format!("the agent of {}, which leads: {reason}", agent.host)))?;
    let caught_up = cluster.control.applied(greeting.applied);
    let waited = tokio::time::timeout(CATCH_UP_MAX, caught_up).await;
    waited.map_err(|_elapsed| old("it has not caught up with the other agents"))
}

fn old(reason: &str) -> String {
    format!("what this agent knows may be of an earlier time: {reason}")
}
