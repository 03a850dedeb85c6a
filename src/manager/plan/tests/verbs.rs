//! What `stop`, `start` and `restart` would do.

use std::collections::BTreeSet;

use crate::plan::{
    Fact, Goal, NoteKind, Process,
    fixture::{Scene, steps},
    render,
};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn restart(node: &str, pid: Option<u32>) -> Goal {
    Goal::Restart { node: node.to_owned(), pid }
}

/// R10
#[test]
fn stop_stops_all_with_the_leader_last_and_nothing_else() {
    let mut scene = Scene::healthy(3);
    scene.lead("n2");
    let plan = scene.plan(&Goal::Stop(names(&["n1", "n2", "n3"])));
    assert_eq!(steps(&plan), ["stop n1", "stop n3", "stop n2"]);
    assert!(!plan.is_refused(), "{plan:?}");
    crate::expect::same_as_kept("plan/expect/stop_all.txt", &render::text(&plan));
}

/// R11
#[test]
fn a_leader_that_is_stopped_alone_hands_over_first() {
    let scene = Scene::healthy(3);
    let plan = scene.plan(&Goal::Stop(names(&["n1"])));
    assert_eq!(steps(&plan), ["move leadership from n1 to n2", "stop n1"]);
}

#[test]
fn stop_is_done_when_all_is_down_and_recorded_so() {
    let mut scene = Scene::healthy(2);
    for name in ["n1", "n2"] {
        scene.down(name, "stopped");
    }
    let goal = Goal::Stop(names(&["n1", "n2"]));
    // A node that is down by itself would come back with the next agent: that is not stopped.
    assert_eq!(steps(&scene.plan(&goal)), ["stop n1", "stop n2"]);
    scene.history.stopped = names(&["n1", "n2"]);
    assert!(scene.plan(&goal).is_converged());
    assert!(Scene::virgin(2).plan(&goal).is_converged());
}

#[test]
fn stop_works_without_any_health_or_record() {
    let mut scene = Scene::healthy(3);
    scene.history.lineage = Fact::Unknown("unreadable".to_owned());
    for name in scene.names() {
        scene.ill(&name, "deadline exceeded");
    }
    let plan = scene.plan(&Goal::Stop(names(&["n1", "n2", "n3"])));
    assert_eq!(plan.steps.len(), 3);
    assert!(!plan.is_refused(), "{plan:?}");
}

#[test]
fn start_starts_only_what_is_down_and_restarts_nothing() {
    let mut scene = Scene::healthy(3);
    scene.down("n3", "stopped");
    scene.edit("snapshot-count", "50000");
    let plan = scene.plan(&Goal::Start(names(&["n1", "n2", "n3"])));
    assert_eq!(steps(&plan), ["start n3", "wait until healthy: n3"]);
    assert!(plan.has(NoteKind::Drift), "{plan:?}");
}

/// R2
#[test]
fn start_never_forms_a_cluster() {
    let scene = Scene::virgin(3);
    let plan = scene.plan(&Goal::Start(names(&["n1", "n2", "n3"])));
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Blocked), "{plan:?}");
}

#[test]
fn start_of_old_nodes_does_not_mind_a_spec_that_apply_refuses() {
    let mut scene = Scene::healthy(3);
    scene.down("n3", "killed by SIGKILL");
    scene.spec.nodes[0].advertise_peer_urls = vec!["http://127.0.0.1:9".to_owned()];
    let plan = scene.plan(&Goal::Start(names(&["n1", "n2", "n3"])));
    assert_eq!(steps(&plan)[0], "start n3");
    assert!(!plan.is_refused(), "{plan:?}");
}

#[test]
fn a_stopped_node_stays_down_until_the_operator_wants_it() {
    let mut scene = Scene::healthy(3);
    scene.down("n3", "stopped");
    scene.history.stopped = names(&["n3"]);
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Blocked), "{plan:?}");
}

/// R11
#[test]
fn restart_is_done_once_another_process_runs() {
    let scene = Scene::healthy(3);
    let plan = scene.plan(&restart("n1", Some(100)));
    assert_eq!(steps(&plan), ["move leadership from n1 to n2", "restart n1"]);
    assert!(scene.plan(&restart("n1", Some(99))).is_converged());
    assert!(scene.plan(&restart("n1", None)).is_converged());
}

/// R5
#[test]
fn restart_waits_for_unhealthy_others_but_mends_the_unhealthy_one_itself() {
    let mut scene = Scene::healthy(3);
    scene.ill("n3", "deadline exceeded");
    assert!(scene.plan(&restart("n2", Some(101))).steps.is_empty());
    assert_eq!(steps(&scene.plan(&restart("n3", Some(102)))), ["restart n3"]);
}

#[test]
fn restart_starts_what_is_down_and_ends_a_crash_loop() {
    let mut scene = Scene::healthy(3);
    scene.down("n3", "stopped");
    let goal = restart("n3", None);
    assert_eq!(steps(&scene.plan(&goal)), ["start n3", "wait until healthy: n3"]);
    let launch = scene.launch("n3");
    scene.see("n3").process =
        Fact::Known(Process::CrashLoop { launch, ended: "exit code 2".to_owned() });
    assert_eq!(steps(&scene.plan(&goal)), ["start n3", "wait until healthy: n3"]);
}

#[test]
fn an_unknown_name_is_refused() {
    let scene = Scene::healthy(3);
    assert!(scene.plan(&restart("n9", None)).is_refused());
}
