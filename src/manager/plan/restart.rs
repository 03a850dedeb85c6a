//! Restarts: one node at a time, only beside healthy others, the leader last and after it was asked to hand over (R11).

use super::{
    action::Action,
    membership, moves,
    note::{Note, NoteKind, Rule},
    survey::Survey,
    table::Outcome,
    world::World,
    zones,
};
use crate::{generate::Change, spec::NodeSpec};

/// Restarts every node that runs with something else than the spec wants; where the cluster has to be told first, that
/// is a change of its own.
pub(super) fn rolling(survey: &Survey<'_>, world: &mut World) {
    let done = |name: &str| {
        let restarts =
            |action: &Action| matches!(action, Action::RestartNode { node, .. } if node == name);
        world.steps.iter().any(|step| restarts(&step.action))
    };
    let mut nodes = survey.with(|outcome| outcome == Outcome::Restart);
    nodes.retain(|node| !done(&node.name) && !moves::is_untold(survey, node));
    zones::restart_order(survey, &mut nodes, |name| world.is_healthy(name));
    let soaked = soaked(survey, &nodes).map(str::to_owned);
    for node in nodes {
        let changes = survey.changes(&node.name);
        let reason = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let soak = survey.spec.update.soak.filter(|_| soaked.as_ref() == Some(&node.name));
        let soak_ms = soak.map(|soak| u64::try_from(soak.as_millis()).unwrap_or(u64::MAX));
        one(survey, world, node, Wish { changes, reason, soak_ms });
    }
}

/// The node that is watched before others follow: the canary, else the first, unless one runs with what is wanted already.
fn soaked<'a>(survey: &Survey<'_>, nodes: &[&'a NodeSpec]) -> Option<&'a str> {
    let canary = survey.spec.update.canary.as_deref();
    let named = nodes.iter().find(|node| Some(node.name.as_str()) == canary);
    let is_first = survey.with(|outcome| outcome == Outcome::Keep).is_empty();
    let first = nodes.first().filter(|_| is_first && survey.spec.nodes.len() > 1);
    named.or(first).map(|node| node.name.as_str())
}

/// Why and how a node is restarted.
#[derive(Debug)]
pub(super) struct Wish {
    /// What differs.
    pub(super) changes: Vec<Change>,
    pub(super) reason: String,
    pub(super) soak_ms: Option<u64>,
}

/// Restarts one node, or says why not now.
pub(super) fn one(survey: &Survey<'_>, world: &mut World, node: &NodeSpec, wish: Wish) {
    let name = &node.name;
    if let Some(note) = hindrance(survey, world, node) {
        world.notes.push(note);
        return;
    }
    hand_over(survey, world, name, &|other| other != name);
    let Wish { changes, reason, soak_ms } = wish;
    world.step(Action::RestartNode { node: name.clone(), changes, soak_ms }, reason);
}

/// Asks a leader that is about to be stopped to hand over to the best of the healthy voters that stay.
pub(super) fn hand_over(
    survey: &Survey<'_>,
    world: &mut World,
    node: &str,
    stays: &dyn Fn(&str) -> bool,
) {
    if survey.leader() != Some(node) {
        return;
    }
    let staying = world.healthy().iter().map(String::as_str).filter(|other| stays(other));
    if let Some(to) = survey.best_successor(staying) {
        let action = Action::MoveLeader { from: node.to_owned(), to: to.to_owned() };
        let reason =
            format!("{node} leads, and {to} is the most caught-up of those that stay up (R11)");
        world.step(action, reason);
    }
}

/// R5, R11: a healthy node is restarted only while all others are healthy; an unhealthy one only where it cannot cost
/// the quorum, or where there is none to lose.
fn hindrance(survey: &Survey<'_>, world: &World, node: &NodeSpec) -> Option<Note> {
    // What is certainly no member yet is not waited for: it may be kept from joining for long.
    let may_be_member = |other: &NodeSpec| {
        survey.observation.members.known().is_none()
            || membership::listed(survey, &other.name).is_some()
    };
    let others = survey.spec.nodes.iter().filter(|other| other.name != node.name);
    let ill: Vec<&str> = others
        .filter(|other| may_be_member(other) && !world.is_healthy(&other.name))
        .map(|other| other.name.as_str())
        .collect();
    let many = survey.spec.nodes.len() > 1;
    let votes = i64::try_from(world.healthy().len()).unwrap_or(i64::MAX);
    let harmless = if world.is_healthy(&node.name) {
        ill.is_empty() && votes >= world.voters()
    } else {
        world.tolerance() >= 0 || world.healthy().is_empty()
    };
    let text = if !harmless {
        format!("its restart waits until {} healthy", whose(&ill))
    } else if many && survey.leader().is_none() && world.is_healthy(&node.name) {
        "its restart waits until it is known who leads".to_owned()
    } else {
        return None;
    };
    Some(Note {
        kind: NoteKind::Wait,
        rule: Some(Rule(11)),
        node: Some(node.name.clone()),
        text,
        remedy: String::new(),
    })
}

fn whose(ill: &[&str]) -> String {
    match ill {
        [] => "enough others are".to_owned(),
        [one] => format!("{one} is"),
        many => format!("{} are", many.join(", ")),
    }
}
