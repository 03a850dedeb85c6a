//! The goal of `apply`: the cluster becomes what the spec says. Bootstrap, else start what is down, then restart what
//! differs, one node at a time and the leader last.

use super::{
    action::Action,
    change,
    kinds::{Dir, Record, Run, Vital},
    membership,
    note::{Note, NoteKind, Rule},
    restart,
    survey::Survey,
    table::{Outcome, Pending},
    world::World,
};
use crate::spec::NodeSpec;

/// Plans it.
pub(super) fn converge(survey: &Survey<'_>) -> World {
    let mut world = survey.world();
    if must_bootstrap_anew(survey) {
        bootstrap(
            survey,
            &mut world,
            "the prepared bootstrap has other members, and none of it has any data yet",
        );
        return world;
    }
    world.notes.extend(change::overhaul(survey));
    world.notes.extend(membership::outgrown(survey));
    world.notes.extend(membership::renewals(survey));
    world.notes.extend(membership::drift(survey));
    let moved = |node| membership::moved(node, survey.observation);
    world.notes.extend(survey.spec.nodes.iter().filter_map(moved));
    let fresh = survey.with(|outcome| outcome == Outcome::Fresh);
    if !fresh.is_empty() && fresh.len() == survey.spec.nodes.len() {
        bootstrap(survey, &mut world, "no cluster was ever formed, and every data dir is empty");
        return world;
    }
    world.notes.extend(fresh.iter().map(|node| not_alone(node)));
    seal(survey, &mut world);
    start(survey, &mut world, &survey.spec.nodes.iter().collect::<Vec<_>>());
    notes(survey, &mut world);
    change::changes(survey, &mut world);
    restart::rolling(survey, &mut world);
    world
}

/// A prepared bootstrap that nothing came of and that the spec has outgrown: given up for a new one (R2).
fn must_bootstrap_anew(survey: &Survey<'_>) -> bool {
    let Some(lineage) = survey.history.lineage.known().and_then(Option::as_ref) else {
        return false;
    };
    let unborn = |node: &NodeSpec| {
        survey.kinds(&node.name).is_some_and(|kinds| {
            kinds.record == Record::Prepared
                && [Run::Stopped, Run::Pausing, Run::Looping].contains(&kinds.run)
                && kinds.dir == Dir::Empty
        })
    };
    let dropped_too =
        lineage.initial_cluster.iter().all(|(name, _)| survey.spec.node(name).is_some());
    lineage.initial_cluster != survey.spec.initial_cluster()
        && dropped_too
        && survey.observation.members.known().is_none()
        && survey.spec.nodes.iter().all(unborn)
}

fn bootstrap(survey: &Survey<'_>, world: &mut World, reason: &str) {
    let nodes: Vec<String> = survey.spec.nodes.iter().map(|node| node.name.clone()).collect();
    world.step(Action::Bootstrap { nodes: nodes.clone() }, reason);
    world.step(
        Action::AwaitHealthy { nodes },
        "a started node counts once it answers a linearizable read",
    );
    world.step(
        Action::SealBootstrap,
        "the cluster is formed: nothing is ever started as new again (R2)",
    );
}

/// R2: not all nodes are known to be empty, so none starts as `new`.
fn not_alone(node: &NodeSpec) -> Note {
    Note {
        kind: NoteKind::Wait,
        rule: Some(Rule(2)),
        node: Some(node.name.clone()),
        text: "it is ready for the first bootstrap, but not all nodes of the spec are".to_owned(),
        remedy: "see what is said of the others".to_owned(),
    }
}

/// As soon as one member answers, the cluster is formed (R2).
fn seal(survey: &Survey<'_>, world: &mut World) {
    let answers = |node: &NodeSpec| {
        survey.kinds(&node.name).is_some_and(|kinds| {
            kinds.record == Record::Prepared
                && kinds.dir == Dir::Own
                && kinds.vital == Vital::Healthy
        })
    };
    if survey.spec.nodes.iter().any(answers) {
        world.step(
            Action::SealBootstrap,
            "the cluster answers: nothing is ever started as new again (R2)",
        );
    }
}

/// Starts those of these nodes that are down and can be started, and waits for them and for any that is starting.
pub(super) fn start(survey: &Survey<'_>, world: &mut World, nodes: &[&NodeSpec]) {
    let mut awaited = Vec::new();
    for node in nodes {
        match survey.outcome(&node.name) {
            Some(Outcome::StartOwn | Outcome::StartNew | Outcome::StartJoin) => {
                if survey.history.stopped.contains(&node.name) {
                    world.notes.push(stopped(node));
                    continue;
                }
                let action = Action::StartNode { node: node.name.clone() };
                world.step(action, survey.start_reason(node));
                awaited.push(node.name.clone());
            }
            Some(Outcome::Wait(Pending::Starting)) => awaited.push(node.name.clone()),
            _ => {}
        }
    }
    if !awaited.is_empty() {
        let reason = "a started node counts once it answers a linearizable read and has caught up";
        world.step(Action::AwaitHealthy { nodes: awaited }, reason);
    }
}

fn stopped(node: &NodeSpec) -> Note {
    Note {
        kind: NoteKind::Blocked,
        rule: None,
        node: Some(node.name.clone()),
        text: "the operator stopped it".to_owned(),
        remedy: format!("`etcd-manager start {}` starts it", node.name),
    }
}

/// What is in the way of nodes, save those that are only starting: they are waited for.
fn notes(survey: &Survey<'_>, world: &mut World) {
    let starting = Outcome::Wait(Pending::Starting);
    let said = survey.with(|outcome| outcome != starting).into_iter();
    let refused: Vec<Option<String>> = world
        .notes
        .iter()
        .filter(|note| note.kind == NoteKind::Refused)
        .map(|note| note.node.clone())
        .collect();
    let rest = said.filter(|node| !refused.contains(&Some(node.name.clone())));
    world.notes.extend(rest.filter_map(|node| survey.note(node)));
}
