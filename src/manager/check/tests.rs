//! For each rule a plan that breaks it.

use super::*;
use crate::plan::{DataDir, Step, Tolerance, fixture::Scene};

fn plan_of(actions: Vec<Action>) -> Plan {
    let tolerance = Tolerance { before: 1, during: 0, after: 1, full: 1 };
    let step = |action| Step { action, reason: "test".to_owned(), tolerance };
    Plan { steps: actions.into_iter().map(step).collect(), notes: Vec::new() }
}

const NONE: [u8; 0] = [];

fn start(node: &str) -> Action {
    Action::StartNode { node: node.to_owned() }
}

fn stop(node: &str) -> Action {
    Action::StopNode { node: node.to_owned() }
}

fn restart(node: &str) -> Action {
    Action::RestartNode { node: node.to_owned(), changes: Vec::new(), soak_ms: None }
}

fn bootstrap(scene: &Scene) -> Action {
    Action::Bootstrap { nodes: scene.names() }
}

/// Numbers of the rules that the plan breaks.
fn broken(scene: &Scene, actions: Vec<Action>) -> Vec<u8> {
    let notes = check(&plan_of(actions), &scene.spec, &scene.observation, &scene.history);
    assert!(notes.iter().all(|note| note.kind == NoteKind::Refused));
    notes.iter().filter_map(|note| note.rule).map(|rule| rule.0).collect()
}

#[test]
fn a_lawful_plan_breaks_none() {
    let hand_over = Action::MoveLeader { from: "n1".to_owned(), to: "n2".to_owned() };
    let scene = Scene::healthy(3);
    let rolling = vec![restart("n2"), restart("n3"), hand_over, restart("n1")];
    assert_eq!(broken(&scene, rolling), NONE);
    assert_eq!(broken(&scene, vec![stop("n2"), stop("n3"), stop("n1")]), NONE);
    let scene = Scene::virgin(3);
    assert_eq!(broken(&scene, vec![bootstrap(&scene)]), NONE);
}

/// R1
#[test]
fn no_bootstrap_beside_a_cluster_that_answers() {
    let mut scene = Scene::virgin(3);
    scene.observation.members = Fact::Known(Vec::new());
    assert_eq!(broken(&scene, vec![bootstrap(&scene)]), [1]);
}

/// R2
#[test]
fn no_bootstrap_after_the_latch() {
    let mut scene = Scene::virgin(3);
    scene.history.lineage = Scene::healthy(3).history.lineage;
    assert_eq!(broken(&scene, vec![bootstrap(&scene)]), [2]);
}

/// R2
#[test]
fn no_bootstrap_of_some_nodes_or_with_a_dir_that_is_not_known_to_be_empty() {
    let mut scene = Scene::virgin(3);
    let some = Action::Bootstrap { nodes: vec!["n1".to_owned(), "n2".to_owned()] };
    assert_eq!(broken(&scene, vec![some]), [2]);
    scene.see("n3").process = Fact::Unknown("its shim does not answer".to_owned());
    assert_eq!(broken(&scene, vec![bootstrap(&scene)]), [2]);
}

fn remove(scene: &Scene, node: &str) -> Action {
    let (_, member) = scene.identity(node);
    Action::RemoveMember { node: node.to_owned(), member: member.to_string() }
}

fn add(node: &str) -> Action {
    Action::AddLearner { node: node.to_owned(), peer_urls: vec!["http://127.0.0.1:9".to_owned()] }
}

fn archive(node: &str) -> Action {
    Action::Archive { node: node.to_owned() }
}

fn promote(node: &str) -> Action {
    Action::Promote { node: node.to_owned() }
}

/// R4
#[test]
fn no_archive_of_what_is_a_members() {
    let mut scene = Scene::healthy(3);
    assert_eq!(broken(&scene, vec![archive("n3")]), [4]);
    assert_eq!(broken(&scene, vec![remove(&scene, "n3"), archive("n3")]), NONE);
    scene.observation.members = Fact::Unknown("nobody answers".to_owned());
    assert_eq!(broken(&scene, vec![archive("n3")]), [4], "nobody says that it is no member");
}

/// R5
#[test]
fn no_change_of_membership_beside_an_ill_voter_or_another_change() {
    let mut scene = Scene::healthy(3);
    assert_eq!(broken(&scene, vec![add("n4"), promote("n4"), add("n5")]), NONE);
    assert_eq!(broken(&scene, vec![add("n4"), add("n5")]), [5]);
    scene.ill("n3", "deadline exceeded");
    assert_eq!(broken(&scene, vec![add("n4")]), [5]);
    assert_eq!(broken(&scene, vec![remove(&scene, "n2")]), [5, 6]);
    assert_eq!(broken(&scene, vec![remove(&scene, "n3")]), NONE, "it is the ill one");
    let moved = |node: &str| Action::UpdateMember {
        node: node.to_owned(),
        member: scene.identity(node).1.to_string(),
        peer_urls: vec!["http://127.0.0.1:9".to_owned()],
    };
    assert_eq!(broken(&scene, vec![moved("n2")]), [5]);
}

/// R6
#[test]
fn no_removal_below_a_quorum() {
    let mut scene = Scene::healthy(5);
    for node in ["n3", "n4", "n5"] {
        scene.ill(node, "deadline exceeded");
    }
    assert_eq!(broken(&scene, vec![remove(&scene, "n3")]), [5, 6]);
    let scene = Scene::healthy(3);
    assert_eq!(broken(&scene, vec![remove(&scene, "n3"), remove(&scene, "n2")]), NONE);
    assert_eq!(
        broken(&scene, vec![remove(&scene, "n3"), remove(&scene, "n2"), remove(&scene, "n1")]),
        [6]
    );
}

/// R3
#[test]
fn no_start_on_what_is_not_its_own_dir() {
    for dir in [
        Fact::Known(DataDir::Foreign),
        Fact::Known(DataDir::Damaged),
        Fact::Known(DataDir::Formed { cluster: 1.into(), member: 2.into() }),
        Fact::Unknown("unreadable".to_owned()),
    ] {
        let mut scene = Scene::healthy(3);
        scene.down("n2", "exit code 1");
        scene.see("n2").data_dir = dir;
        assert_eq!(broken(&scene, vec![start("n2")]), [3]);
    }
}

/// R5, R11
#[test]
fn no_restart_of_a_healthy_member_beside_an_unhealthy_one() {
    let mut scene = Scene::healthy(3);
    scene.ill("n3", "deadline exceeded");
    assert_eq!(broken(&scene, vec![restart("n2")]), [5, 11]);
    assert_eq!(broken(&scene, vec![restart("n3")]), NONE);
}

/// R10
#[test]
fn no_stop_that_does_more() {
    let scene = Scene::healthy(3);
    assert_eq!(broken(&scene, vec![stop("n3"), start("n2")]), [10]);
}

/// R11
#[test]
fn no_stop_or_restart_of_a_leader_that_was_not_asked_to_hand_over() {
    let scene = Scene::healthy(3);
    assert_eq!(broken(&scene, vec![restart("n1")]), [11]);
    assert_eq!(broken(&scene, vec![stop("n1")]), [11]);
    assert_eq!(broken(&Scene::healthy(1), vec![restart("n1")]), NONE);
}

/// R13
#[test]
fn no_start_by_an_unreadable_record() {
    let mut scene = Scene::virgin(3);
    scene.history.lineage = Fact::Unknown("checksum".to_owned());
    assert_eq!(broken(&scene, vec![start("n1")]), [13]);
    assert!(broken(&scene, vec![bootstrap(&scene)]).contains(&2));
}

/// R14
#[test]
fn no_stop_of_what_is_unknown() {
    let mut scene = Scene::healthy(3);
    scene.see("n2").process = Fact::Unknown("its shim does not answer".to_owned());
    assert_eq!(broken(&scene, vec![restart("n2")]), [14]);
}

/// R17
#[test]
fn no_start_of_a_lost_disk() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "exit code 1");
    scene.see("n2").data_dir = Fact::Known(DataDir::Empty);
    assert_eq!(broken(&scene, vec![start("n2")]), [17]);
}
