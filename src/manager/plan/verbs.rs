//! The goals of `stop`, `start` and `restart`.

use std::collections::BTreeSet;

use super::{
    action::Action,
    converge,
    kinds::{Dir, Record, Run},
    membership,
    note::{Note, NoteKind, Rule},
    observation::{Fact, Process},
    restart,
    survey::Survey,
    table::{Obstacle, Outcome, Pending},
    texts,
    world::World,
};
use crate::spec::NodeSpec;

/// Stops nodes: the leader last, after handing over if others stay up. Changes neither membership nor data (R10).
pub(super) fn stop(survey: &Survey<'_>, nodes: &BTreeSet<String>) -> World {
    let mut world = survey.world();
    let leader = survey.leader();
    let mut order: Vec<&str> = survey
        .observation
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .filter(|name| nodes.contains(*name))
        .collect();
    let position = |name: &str| survey.spec.nodes.iter().position(|node| node.name == name);
    order.sort_by_key(|name| (Some(*name) == leader, position(name), *name));
    for name in order {
        match survey.seen(name).map(|seen| &seen.process) {
            Some(Fact::Known(Process::Stopped { .. } | Process::Removed))
                if survey.history.stopped.contains(name)
                    || !survey.history.nodes.contains_key(name) => {}
            Some(Fact::Known(Process::Foreign { owner })) => {
                let text = format!("what runs there is not ours to stop: {owner}");
                world.notes.push(about(name, NoteKind::Blocked, text, "stop it yourself"));
            }
            Some(Fact::Unknown(reason)) => {
                let text = format!("whether its process runs is unknown: {reason}");
                world.notes.push(about(name, NoteKind::Wait, text, ""));
            }
            Some(Fact::Known(_)) => {
                restart::hand_over(survey, &mut world, name, &|other| !nodes.contains(other));
                let action = Action::StopNode { node: name.to_owned() };
                world.step(action, "the operator asked for it");
            }
            None => {}
        }
    }
    world
}

/// Starts nodes that are down, with what the spec wants now. Changes nothing that runs.
pub(super) fn start(survey: &Survey<'_>, names: &BTreeSet<String>) -> World {
    let mut world = survey.world();
    let nodes: Vec<&NodeSpec> =
        survey.spec.nodes.iter().filter(|node| names.contains(&node.name)).collect();
    for node in &nodes {
        if !survey.is_alive(&node.name) {
            world.notes.extend(membership::moved(node, survey.observation));
        }
        match survey.outcome(&node.name) {
            Some(Outcome::Fresh) => world.notes.push(unborn(node)),
            Some(Outcome::Restart) => {
                let text = "it runs with something else than the spec wants".to_owned();
                let remedy = "`etcd-manager plan` shows what differs";
                world.notes.push(about(&node.name, NoteKind::Drift, text, remedy));
            }
            Some(Outcome::Wait(Pending::Starting)) => {}
            Some(Outcome::Join | Outcome::Rejoin | Outcome::Replace) => {
                world.notes.push(needs_apply(survey, node));
            }
            _ => world.notes.extend(survey.note(node)),
        }
    }
    converge::start(survey, &mut world, &nodes);
    world
}

/// Restarts the process that had this pid when it was asked for; starts the node if it is down.
pub(super) fn restart(survey: &Survey<'_>, name: &str, pid: Option<u32>) -> World {
    let only: BTreeSet<String> = [name.to_owned()].into();
    let running = survey.pid(name);
    let Some(node) = survey.spec.node(name) else {
        let mut world = survey.world();
        let text = "the spec names no such node".to_owned();
        world.notes.push(about(name, NoteKind::Refused, text, "name a node of the spec"));
        return world;
    };
    let looping = survey.kinds(name).is_some_and(|kinds| kinds.run == Run::Looping);
    if looping && survey.outcome(name).is_some_and(|outcome| may_try_again(survey, node, outcome)) {
        let mut world = survey.world();
        let action = Action::StartNode { node: name.to_owned() };
        world.step(action, "the operator asked for another try");
        world.step(Action::AwaitHealthy { nodes: vec![name.to_owned()] }, AWAITED);
        return world;
    }
    if running.is_none() || running != pid {
        return start(survey, &only);
    }
    let mut world = survey.world();
    world.notes.extend(membership::moved(node, survey.observation));
    if let Some(note) = might_not_return(survey, node) {
        world.notes.push(note);
    } else {
        let changes = survey.changes(name);
        let reason = "the operator asked for it".to_owned();
        restart::one(survey, &mut world, node, restart::Wish { changes, reason, soak_ms: None });
    }
    world
}

const AWAITED: &str = "a started node counts once it answers a linearizable read and has caught up";

/// A crash loop is over when the operator says so, if nothing else is in the way.
fn may_try_again(survey: &Survey<'_>, node: &NodeSpec, outcome: Outcome) -> bool {
    outcome == Outcome::Block(Obstacle::CrashLoop)
        && membership::moved(node, survey.observation).is_none()
}

/// A process is only stopped for a restart if it may be started again after it (R14).
fn might_not_return(survey: &Survey<'_>, node: &NodeSpec) -> Option<Note> {
    let seen = survey.seen(&node.name);
    let kinds = survey.kinds(&node.name)?;
    let waits = |why| Some(texts::pending(why, node, seen));
    let blocked = |why| Some(texts::obstacle(why, node, seen, survey.history));
    match (survey.outcome(&node.name)?, kinds.record, kinds.dir) {
        (Outcome::Block(why), _, _) => blocked(why),
        (_, Record::Unknown, _) => waits(Pending::RecordUnknown),
        (_, Record::Absent, _) => blocked(Obstacle::NoRecord),
        (_, _, Dir::Unknown) => waits(Pending::DirUnknown),
        (_, _, Dir::Damaged) => blocked(Obstacle::Damaged),
        (_, _, Dir::Stale) => blocked(Obstacle::Stale),
        (_, _, Dir::Fenced) => waits(Pending::Fenced),
        (_, _, Dir::Other) => blocked(Obstacle::OtherDir),
        (_, _, Dir::Foreign) => blocked(Obstacle::ForeignDir),
        (_, Record::Formed, Dir::Empty) | (_, _, Dir::Lost) => blocked(Obstacle::DirGone),
        (_, Record::Prepared, Dir::Empty) | (_, _, Dir::Own) => None,
    }
}

/// A change of membership is no start.
fn needs_apply(survey: &Survey<'_>, node: &NodeSpec) -> Note {
    if survey.is_renewed(&node.name) {
        let text = "the spec counts its incarnation up: its member is to be replaced".to_owned();
        let remedy = "`etcd-manager apply` replaces it";
        return about(&node.name, NoteKind::Blocked, text, remedy);
    }
    let dir = survey.kinds(&node.name).map(|kinds| kinds.dir);
    let obstacle = match (survey.outcome(&node.name), dir) {
        (Some(Outcome::Replace), Some(Dir::Damaged)) => Obstacle::Damaged,
        (Some(Outcome::Replace), Some(Dir::Stale)) => Obstacle::Stale,
        (Some(Outcome::Replace), _) => Obstacle::LostDisk,
        _ => Obstacle::NotAMember,
    };
    let remedy = "`etcd-manager apply` takes it into the cluster anew".to_owned();
    Note { remedy, ..texts::obstacle(obstacle, node, survey.seen(&node.name), survey.history) }
}

fn unborn(node: &NodeSpec) -> Note {
    let text = "no cluster was formed yet".to_owned();
    Note {
        rule: Some(Rule(2)),
        ..about(&node.name, NoteKind::Blocked, text, "`etcd-manager apply` forms it")
    }
}

fn about(node: &str, kind: NoteKind, text: String, remedy: &str) -> Note {
    Note { kind, rule: None, node: Some(node.to_owned()), text, remedy: remedy.to_owned() }
}
