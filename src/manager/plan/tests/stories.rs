//! What `apply` would do, from the first start to the operator's edits: each plan's text is kept for review.

use std::path::PathBuf;

use base::{ClusterId, Index, MemberId};

use crate::{
    expect::same_as_kept,
    generate::InitialState,
    plan::{
        Action, AgentState, DataDir, Fact, Health, NoteKind, Process, RunningProcess,
        fixture::{Scene, steps},
        render,
    },
};

fn keep(story: &str, scene: &Scene) {
    let plan = scene.converge();
    let text = render::text(&plan);
    same_as_kept(&format!("plan/expect/{story}.txt"), &text);
    assert_eq!(plan, scene.converge(), "a plan depends on nothing but its facts");
}

#[test]
fn a_new_cluster_is_formed_by_all_nodes_of_the_first_spec() {
    let mut scene = Scene::virgin(3);
    scene.observation.agent = Fact::Known(AgentState::Absent);
    keep("first_apply", &scene);
    same_as_kept("plan/expect/first_apply.json", &render::json(&scene.converge()));
}

#[test]
fn a_healthy_cluster_needs_nothing() {
    let scene = Scene::healthy(3);
    assert!(scene.converge().is_converged());
    keep("converged", &scene);
}

/// R2
#[test]
fn no_bootstrap_while_one_node_is_unknown_or_has_data() {
    let mut scene = Scene::virgin(3);
    scene.see("n2").data_dir = Fact::Unknown("/srv/n2: Permission denied".to_owned());
    keep("bootstrap_unknown_dir", &scene);
    assert!(scene.converge().steps.is_empty());
    let mut scene = Scene::virgin(3);
    let (cluster, member) = (ClusterId::new(7), MemberId::new(8));
    scene.see("n3").data_dir = Fact::Known(DataDir::Formed { cluster, member });
    keep("bootstrap_foreign_data", &scene);
    assert!(scene.converge().steps.is_empty());
}

/// R2, R13
#[test]
fn an_unreadable_record_is_not_a_fresh_one() {
    let mut scene = Scene::virgin(3);
    scene.history.lineage = Fact::Unknown("control log: checksum".to_owned());
    keep("record_unreadable", &scene);
    assert!(scene.converge().steps.is_empty());
}

#[test]
fn a_bootstrap_cut_short_goes_on_under_the_same_record() {
    let mut scene = Scene::prepared(3);
    let launch = scene.launch("n1");
    let (cluster, member) = scene.identity("n1");
    let seen = scene.see("n1");
    seen.process = Fact::Known(Process::Starting(RunningProcess {
        pid: 9,
        launch,
        is_binary_replaced: false,
    }));
    seen.data_dir = Fact::Known(DataDir::Formed { cluster, member });
    keep("bootstrap_resumed", &scene);
}

/// R2
#[test]
fn a_prepared_record_that_the_spec_has_outgrown_is_given_up_only_while_nothing_has_data() {
    let mut scene = Scene::prepared(3);
    scene.spec.nodes[2].advertise_peer_urls = vec!["http://127.0.0.1:9".to_owned()];
    assert_eq!(steps(&scene.converge())[0], "form a new cluster of n1, n2, n3");
    let (cluster, member) = scene.identity("n1");
    scene.see("n1").data_dir = Fact::Known(DataDir::Formed { cluster, member });
    let plan = scene.converge();
    assert!(plan.is_refused(), "{plan:?}");
}

/// R2
#[test]
fn the_first_answer_seals_the_bootstrap() {
    let mut scene = Scene::healthy(3);
    let mut lineage = scene.lineage();
    lineage.initial_state = InitialState::New;
    scene.history.lineage = Fact::Known(Some(lineage));
    assert_eq!(steps(&scene.converge()), ["record that the cluster is formed"]);
    scene.down("n3", "exit code 1");
    assert_eq!(steps(&scene.converge())[0], "record that the cluster is formed");
}

#[test]
fn all_that_is_down_is_started_at_once() {
    let mut scene = Scene::healthy(3);
    for name in ["n1", "n2", "n3"] {
        scene.down(name, "killed by SIGKILL");
    }
    scene.observation.members = Fact::Unknown("no member answers".to_owned());
    keep("all_down", &scene);
}

#[test]
fn a_changed_flag_rolls_one_node_at_a_time_and_the_leader_last() {
    let mut scene = Scene::healthy(3);
    scene.lead("n2");
    scene.status("n3").applied = Index::new(990);
    scene.edit("snapshot-count", "50000");
    keep("rolling_restart", &scene);
}

#[test]
fn a_replaced_binary_rolls_like_a_changed_flag() {
    let mut scene = Scene::healthy(3);
    scene.lead("n2");
    for name in ["n2", "n3"] {
        let Fact::Known(Process::Running(running)) = &mut scene.see(name).process else {
            panic!("{name} runs");
        };
        running.is_binary_replaced = true;
    }
    let plan = scene.converge();
    let restarts: Vec<(String, &str)> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::RestartNode { .. }))
        .map(|step| (step.action.to_string(), step.reason.as_str()))
        .collect();
    let why = "the binary at /opt/etcd-node was replaced";
    let wanted = [("restart n3".to_owned(), why), ("restart n2".to_owned(), why)];
    assert_eq!(restarts, wanted, "n1 runs what lies there; the leader goes last");
}

#[test]
fn a_single_node_is_restarted_too() {
    let mut scene = Scene::healthy(1);
    scene.edit("snapshot-count", "50000");
    keep("rolling_restart_single", &scene);
}

/// R5, R11
#[test]
fn no_healthy_node_is_restarted_beside_an_unhealthy_one() {
    let mut scene = Scene::healthy(3);
    scene.edit("snapshot-count", "50000");
    let launch = scene.launch("n3");
    scene.see("n3").process =
        Fact::Known(Process::Running(RunningProcess { pid: 1, launch, is_binary_replaced: false }));
    scene.ill("n3", "deadline exceeded");
    keep("restart_waits", &scene);
    assert!(scene.converge().steps.is_empty());
}

#[test]
fn the_unhealthy_one_is_restarted_first_when_it_is_the_one_that_changed() {
    let mut scene = Scene::healthy(3);
    scene.edit("snapshot-count", "50000");
    scene.ill("n3", "deadline exceeded");
    let plan = scene.converge();
    assert_eq!(
        steps(&plan),
        ["restart n3", "restart n2", "move leadership from n1 to n2", "restart n1"]
    );
    let seen: Vec<(i64, i64, i64)> = plan
        .steps
        .iter()
        .map(|step| (step.tolerance.before, step.tolerance.during, step.tolerance.after))
        .collect();
    assert_eq!(seen, [(0, 0, 1), (1, 0, 1), (1, 1, 1), (1, 0, 1)]);
}

#[test]
fn a_restart_waits_until_it_is_known_who_leads() {
    let mut scene = Scene::healthy(3);
    scene.edit("snapshot-count", "50000");
    for name in scene.names() {
        scene.see(&name).status = Fact::Unknown("timeout".to_owned());
    }
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
}

#[test]
fn a_crash_loop_does_not_keep_others_from_being_started() {
    let mut scene = Scene::healthy(3);
    let launch = scene.launch("n3");
    scene.down("n2", "exit code 2");
    scene.down("n3", "");
    scene.see("n3").process =
        Fact::Known(Process::CrashLoop { launch, ended: "exit code 2: panic".to_owned() });
    keep("crash_loop", &scene);
    assert_eq!(steps(&scene.converge())[0], "start n2");
}

#[test]
fn a_mended_flag_ends_a_crash_loop() {
    let mut scene = Scene::healthy(3);
    let launch = scene.launch("n3");
    scene.down("n3", "");
    scene.see("n3").process =
        Fact::Known(Process::CrashLoop { launch, ended: "exit code 2: panic".to_owned() });
    scene.edit("log-level", "debug");
    assert_eq!(steps(&scene.converge())[0], "start n3");
}

#[test]
fn data_is_not_moved() {
    let mut scene = Scene::healthy(3);
    scene.spec.nodes[0].data_dir = PathBuf::from("/new/n1");
    keep("data_dir_changed", &scene);
    assert!(scene.converge().is_refused());
}

/// R1, R17
#[test]
fn an_emptied_disk_is_not_started() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "exit code 1");
    scene.see("n2").data_dir = Fact::Known(DataDir::Empty);
    scene.observation.members = Fact::Unknown("nobody answers".to_owned());
    keep("lost_disk", &scene);
    assert!(scene.converge().steps.is_empty());
}

/// R3
#[test]
fn a_data_dir_of_another_lineage_is_not_started() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "exit code 1");
    let cluster = ClusterId::new(0xbad);
    let member = scene.identity("n2").1;
    scene.see("n2").data_dir = Fact::Known(DataDir::Formed { cluster, member });
    keep("other_lineage", &scene);
    assert!(scene.converge().steps.is_empty());
}

#[test]
fn what_was_done_behind_our_back_is_reported() {
    let mut scene = Scene::healthy(3);
    let mut members = scene.member_list();
    members[2].id = MemberId::new(0xabc);
    members[2].name = "stranger".to_owned();
    members[2].peer_urls = vec!["http://10.0.0.9:2380".to_owned()];
    scene.observation.members = Fact::Known(members);
    scene.down("n3", "exit code 0");
    scene.see("n3").process = Fact::Known(Process::Removed);
    keep("removed_behind_our_back", &scene);
}

#[test]
fn unknown_processes_are_left_alone() {
    let mut scene = Scene::healthy(3);
    scene.edit("snapshot-count", "50000");
    for name in scene.names() {
        let seen = scene.see(&name);
        seen.process = Fact::Unknown("its shim does not answer".to_owned());
        seen.health = Fact::Unknown("not asked".to_owned());
    }
    keep("processes_unknown", &scene);
    assert!(scene.converge().steps.is_empty());
}

#[test]
fn two_of_three_down_are_started_before_anything_is_restarted() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "killed by SIGKILL");
    scene.down("n3", "killed by SIGKILL");
    scene.ill("n1", "no leader");
    scene.edit("snapshot-count", "50000");
    scene.status("n1").leader = None;
    scene.see("n1").health = Fact::Known(Health::Unhealthy("no leader".to_owned()));
    keep("two_down_and_a_change", &scene);
}
