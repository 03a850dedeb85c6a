//! Moves of peer URLs, one member at a time: the cluster is told first, then the node is restarted with them. In
//! between the others cannot dial it, so no other move begins before it has been restarted.

use super::{
    action::Action, change::permitted, membership, restart, survey::Survey, table::Outcome,
    world::World,
};
use crate::spec::NodeSpec;

const SERVES: &str = "it serves its new peer URLs from then on";
/// Flag of the peer URLs that a node tells others.
const FLAG: &str = "initial-advertise-peer-urls";

/// Restarts the nodes that the cluster looks for where they do not serve yet. Whether none is left.
pub(super) fn finish(survey: &Survey<'_>, world: &mut World) -> bool {
    let mut is_done = true;
    for node in survey.with(|outcome| outcome == Outcome::Restart) {
        let changes = survey.changes(&node.name);
        let is_told = changes.iter().any(|change| change.what == FLAG) && !is_untold(survey, node);
        if is_told {
            let before = world.steps.len();
            let reason = SERVES.to_owned();
            restart::one(survey, world, node, restart::Wish { changes, reason, soak_ms: None });
            is_done &= world.steps.len() > before;
        }
    }
    is_done
}

/// Tells the cluster of a node's new URLs and restarts it, for each that the spec moves, the leader last. What is well
/// stays where it is while another move is not `finished`.
pub(super) fn begin(survey: &Survey<'_>, world: &mut World, finished: bool) -> Option<()> {
    let leader = survey.leader();
    let mut nodes = survey.with(|outcome| outcome == Outcome::Restart);
    nodes.sort_by_key(|node| Some(node.name.as_str()) == leader);
    for node in nodes {
        let Some(member) = membership::listed(survey, &node.name) else { continue };
        if !is_untold(survey, node) || !finished && world.is_healthy(&node.name) {
            continue;
        }
        permitted(survey, world, &node.name)?;
        restart::hand_over(survey, world, &node.name, &|other| other != node.name);
        let (old, new) = (member.peer_urls.join(","), node.advertise_peer_urls.clone());
        let reason = format!("the spec moves it from {old}");
        let (name, member) = (node.name.clone(), member.id.to_string());
        world.step(Action::UpdateMember { node: name, member, peer_urls: new }, reason);
        let changes = survey.changes(&node.name);
        world.step(Action::RestartNode { node: node.name.clone(), changes, soak_ms: None }, SERVES);
    }
    Some(())
}

/// Whether the cluster certainly lists other peer URLs of a member than the spec wants.
pub(super) fn is_untold(survey: &Survey<'_>, node: &NodeSpec) -> bool {
    membership::listed(survey, &node.name)
        .is_some_and(|member| !membership::same_set(&member.peer_urls, &node.advertise_peer_urls))
}
