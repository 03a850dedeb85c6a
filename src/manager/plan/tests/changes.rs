//! How members come and go: grow, shrink, replace, move. Each plan's text is kept for review.

use base::MemberId;

use crate::{
    expect::same_as_kept,
    plan::{
        DataDir, Fact, NoteKind, Process,
        fixture::{Scene, spec, steps},
        render,
    },
};

fn keep(story: &str, scene: &Scene) {
    same_as_kept(&format!("plan/expect/{story}.txt"), &render::text(&scene.converge()));
}

/// The spec now names so many nodes.
fn resize(scene: &mut Scene, count: usize) {
    scene.spec = spec(count, "");
    for fresh in Scene::virgin(count).observation.nodes {
        if scene.observation.node(&fresh.name).is_none() {
            scene.observation.nodes.push(fresh);
        }
    }
}

/// R6: never with a vote at once.
#[test]
fn a_new_node_joins_as_a_learner_and_gets_its_vote_later() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 4);
    keep("member_added", &scene);
    let mut scene = Scene::healthy(1);
    resize(&mut scene, 3);
    keep("grow_from_one", &scene);
}

/// R5
#[test]
fn one_change_at_a_time() {
    let mut scene = Scene::healthy(1);
    resize(&mut scene, 3);
    let adds = |plan: &[String]| plan.iter().filter(|step| step.starts_with("add")).count();
    let plan = steps(&scene.converge());
    assert_eq!(adds(&plan), 2);
    let second = plan.iter().position(|step| step == "add n3 as a learner").expect("planned");
    assert!(plan[..second].contains(&"promote n2 to a voter".to_owned()), "{plan:?}");
}

/// R5
#[test]
fn nobody_joins_or_leaves_while_a_voter_is_ill() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 4);
    scene.ill("n2", "deadline exceeded");
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
    let mut scene = Scene::healthy(5);
    resize(&mut scene, 4);
    scene.ill("n2", "deadline exceeded");
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
}

/// R5, R6
#[test]
fn what_the_spec_dropped_leaves_one_by_one_and_the_leader_last() {
    let mut scene = Scene::healthy(5);
    scene.lead("n5");
    resize(&mut scene, 3);
    keep("member_dropped", &scene);
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 1);
    keep("shrink_to_one", &scene);
}

#[test]
fn an_ill_member_that_the_spec_dropped_leaves_first() {
    let mut scene = Scene::healthy(3);
    scene.down("n3", "exit code 1");
    scene.spec = spec(2, "");
    resize(&mut scene, 2);
    let plan = steps(&scene.converge());
    assert_eq!(plan, ["remove member n3", "archive the data of n3"]);
}

/// R6
#[test]
fn nobody_leaves_below_a_quorum() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "exit code 1");
    resize(&mut scene, 2);
    let plan = scene.converge();
    let removes = steps(&plan).iter().any(|step| step.starts_with("remove"));
    assert!(!removes && plan.has(NoteKind::Wait) || steps(&plan)[0] == "start n2", "{plan:?}");
}

/// R6
#[test]
fn a_spec_that_replaces_most_voters_at_once_is_refused() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 3);
    for (at, node) in scene.spec.nodes.iter_mut().enumerate().skip(1) {
        node.name = format!("m{at}");
        node.advertise_peer_urls = vec![format!("http://127.0.0.1:{at}")];
    }
    let mut fresh = Scene::virgin(2).observation.nodes;
    for (node, name) in fresh.iter_mut().zip(["m1", "m2"]) {
        node.name = name.to_owned();
    }
    scene.observation.nodes.extend(fresh);
    keep("overhaul", &scene);
    assert!(scene.converge().is_refused());
}

/// R4, R17
#[test]
fn a_member_whose_disk_is_lost_leaves_and_joins_anew() {
    let mut scene = Scene::healthy(3);
    scene.down("n2", "exit code 1");
    scene.see("n2").data_dir = Fact::Known(DataDir::Empty);
    keep("replace_lost_disk", &scene);
    scene.see("n2").data_dir = Fact::Known(DataDir::Damaged);
    keep("replace_damaged", &scene);
    // R5: only beside healthy others.
    scene.ill("n3", "deadline exceeded");
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
}

#[test]
fn a_learner_is_promoted_once_it_has_caught_up() {
    let mut scene = Scene::healthy(3);
    let mut members = scene.member_list();
    members[2].learner = true;
    scene.observation.members = Fact::Known(members);
    scene.status("n3").role = crate::plan::Role::Learner;
    assert_eq!(steps(&scene.converge()), ["promote n3 to a voter"]);
    // Its limit runs in the step: nothing else is changed meanwhile.
    scene.ill("n3", "5000 entries behind");
    let plan = scene.converge();
    assert_eq!(steps(&plan)[0], "promote n3 to a voter");
    assert!(plan.has(NoteKind::Wait), "{plan:?}");
}

/// R5
#[test]
fn a_change_that_somebody_else_began_is_waited_for() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 4);
    let mut members = Scene::healthy(3).member_list();
    members.push(crate::plan::Member {
        id: MemberId::new(0xabc),
        name: String::new(),
        peer_urls: vec!["http://10.0.0.9:2380".to_owned()],
        client_urls: Vec::new(),
        learner: true,
    });
    scene.observation.members = Fact::Known(members);
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
}

#[test]
fn moved_peer_urls_are_told_to_the_cluster_before_the_node_serves_them() {
    let mut scene = Scene::healthy(3);
    scene.spec.nodes[0].advertise_peer_urls = vec!["http://127.0.0.1:9".to_owned()];
    scene.spec.nodes[0].listen_peer_urls = vec!["http://127.0.0.1:9".to_owned()];
    keep("peer_url_changed", &scene);
}

/// R11: two members that nobody can dial would be one too many.
#[test]
fn a_member_that_was_told_of_is_restarted_before_the_next_one_moves() {
    let mut scene = Scene::healthy(3);
    for (at, node) in scene.spec.nodes.iter_mut().enumerate() {
        node.advertise_peer_urls = vec![format!("http://127.0.0.1:{}", at + 7)];
        node.listen_peer_urls.clone_from(&node.advertise_peer_urls);
    }
    let told = |scene: &mut Scene, at: usize| {
        let mut members = scene.observation.members.known().cloned().unwrap();
        members[at].peer_urls.clone_from(&scene.spec.nodes[at].advertise_peer_urls);
        scene.observation.members = Fact::Known(members);
    };
    let first = steps(&scene.converge());
    assert_eq!(first[..2], ["move the peer URLs of n2 to http://127.0.0.1:8", "restart n2"]);
    told(&mut scene, 1);
    let next = steps(&scene.converge());
    assert_eq!(next[..2], ["restart n2", "move the peer URLs of n3 to http://127.0.0.1:9"]);
    // It cannot be restarted now: only what is ill anyway may move.
    scene.ill("n3", "deadline exceeded");
    let next = steps(&scene.converge());
    assert_eq!(next[..2], ["move the peer URLs of n3 to http://127.0.0.1:9", "restart n3"]);
    assert!(
        !next.contains(&"move the peer URLs of n1 to http://127.0.0.1:7".to_owned()),
        "{next:?}"
    );
}

/// R4: a member removed behind our back is drift until an apply, and comes back as another member.
#[test]
fn a_removed_member_that_the_spec_still_names_begins_anew() {
    let mut scene = Scene::healthy(3);
    let mut members = scene.member_list();
    members.truncate(2);
    scene.observation.members = Fact::Known(members);
    scene.down("n3", "exit code 0");
    scene.see("n3").process = Fact::Known(Process::Removed);
    keep("removed_and_wanted", &scene);
}

/// R4, R5, R6
#[test]
fn an_incarnation_counted_up_replaces_a_healthy_member() {
    let mut scene = Scene::healthy(3);
    scene.spec.nodes[0].incarnation = 2;
    keep("renewed", &scene);
    scene.down("n1", "exit code 1");
    assert_eq!(steps(&scene.converge())[0], "remove member n1");
    // R5: only beside healthy others.
    scene.ill("n3", "deadline exceeded");
    let plan = scene.converge();
    assert!(plan.steps.is_empty() && plan.has(NoteKind::Wait), "{plan:?}");
}

#[test]
fn a_renewed_member_is_taken_in_once() {
    let mut scene = Scene::healthy(3);
    scene.spec.nodes[2].incarnation = 2;
    let mut lineage = scene.lineage();
    lineage.incarnations.insert("n3".to_owned(), 2);
    scene.history.lineage = Fact::Known(Some(lineage));
    assert!(scene.converge().is_converged());
}

#[test]
fn renewing_is_refused_for_the_only_voter_and_for_a_past_incarnation() {
    let mut scene = Scene::healthy(1);
    scene.spec.nodes[0].incarnation = 2;
    assert!(scene.converge().is_refused());
    let mut scene = Scene::healthy(3);
    let mut lineage = scene.lineage();
    lineage.incarnations.insert("n2".to_owned(), 3);
    scene.history.lineage = Fact::Known(Some(lineage));
    assert!(scene.converge().is_refused());
}

/// A rename: another name at the URLs of a node that the spec dropped.
#[test]
fn a_renamed_node_takes_the_place_of_the_old_one() {
    let mut scene = Scene::healthy(3);
    scene.spec.nodes[2].name = "m3".to_owned();
    let mut fresh = Scene::virgin(1).observation.nodes.remove(0);
    fresh.name = "m3".to_owned();
    scene.observation.nodes.push(fresh);
    keep("renamed", &scene);
}

/// R6: what cannot join must not cost what the cluster survives.
#[test]
fn a_healthy_member_stays_while_a_node_is_kept_from_joining() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 4);
    scene.spec.nodes.remove(2);
    scene.see("n4").data_dir = Fact::Known(DataDir::Foreign);
    let plan = scene.converge();
    let waits = plan.notes.iter().find(|note| note.kind == NoteKind::Wait).expect("a wait");
    assert!(plan.steps.is_empty() && waits.text.contains("all 3 nodes of the spec"), "{plan:?}");
}

/// R11
#[test]
fn a_leader_hands_over_to_a_node_that_has_just_got_its_vote() {
    let mut scene = Scene::healthy(1);
    resize(&mut scene, 2);
    scene.edit("snapshot-count", "1");
    let plan = steps(&scene.converge());
    let last = plan.len() - 2;
    assert_eq!(plan[last..], ["move leadership from n1 to n2", "restart n1"]);
}

/// R5: a node that is no member yet does not hold up a rolling restart.
#[test]
fn a_node_kept_from_joining_does_not_hold_up_restarts() {
    let mut scene = Scene::healthy(3);
    resize(&mut scene, 4);
    scene.edit("snapshot-count", "1");
    scene.see("n4").data_dir = Fact::Known(DataDir::Foreign);
    let plan = scene.converge();
    assert_eq!(
        steps(&plan),
        ["restart n2", "restart n3", "move leadership from n1 to n2", "restart n1"]
    );
    assert!(plan.has(NoteKind::Blocked));
}
