//! The order of changes by failure domain. Nodes of one zone are expected to fail together, so newcomers go where fewest
//! votes are, and a rolling restart goes through one zone before it touches the next. A node without a zone is one of its own.

use std::collections::BTreeMap;

use super::{membership, survey::Survey};
use crate::spec::NodeSpec;

/// Newcomers: always the next of the zone that has the fewest members by then; in the order of the file among equals.
pub(super) fn growth_order<'a>(survey: &Survey<'_>, joins: Vec<&'a NodeSpec>) -> Vec<&'a NodeSpec> {
    let mut members: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &survey.spec.nodes {
        if let (Some(zone), Some(_)) = (&node.zone, membership::listed(survey, &node.name)) {
            *members.entry(zone).or_default() += 1;
        }
    }
    let mut left = joins;
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let crowd = |node: &NodeSpec| {
            node.zone.as_deref().and_then(|zone| members.get(zone)).copied().unwrap_or(0)
        };
        // The first of those with the fewest.
        let at = (0..left.len()).min_by_key(|at| (crowd(left[*at]), *at)).unwrap_or(0);
        let next = left.remove(at);
        if let Some(zone) = &next.zone {
            *members.entry(zone).or_default() += 1;
        }
        ordered.push(next);
    }
    ordered
}

/// Sorts restarts: unhealthy nodes first, their restart costs nothing; then the canary; the zone of the leader last, and in it the leader.
pub(super) fn restart_order(
    survey: &Survey<'_>,
    nodes: &mut [&NodeSpec],
    is_healthy: impl Fn(&str) -> bool,
) {
    let leader = survey.leader();
    let leading = leader.and_then(|leader| survey.spec.node(leader)).and_then(zone);
    // A zone that is half through goes on: those that wait for their restart are fewer than its nodes.
    let begun = |node: &NodeSpec, waiting: &[&NodeSpec]| {
        let of_zone = |other: &NodeSpec| zone(other).is_some() && zone(other) == zone(node);
        let all = survey.spec.nodes.iter().filter(|other| of_zone(other)).count();
        all > waiting.iter().filter(|other| of_zone(other)).count()
    };
    let first = |node: &NodeSpec| {
        zone(node)?;
        survey.spec.nodes.iter().position(|other| zone(other) == zone(node))
    };
    let keys: BTreeMap<String, _> = nodes
        .iter()
        .map(|node| {
            let key = (
                is_healthy(&node.name),
                survey.spec.update.canary.as_ref() != Some(&node.name),
                Some(node.name.as_str()) == leader,
                zone(node).is_some() && zone(node) == leading,
                !begun(node, nodes),
                first(node),
            );
            (node.name.clone(), key)
        })
        .collect();
    nodes.sort_by_key(|node| keys[&node.name]);
}

fn zone(node: &NodeSpec) -> Option<&str> {
    node.zone.as_deref()
}
