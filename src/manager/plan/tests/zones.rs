//! Failure domains and the canary in the order of changes.

use crate::plan::{
    Health,
    fixture::{Scene, spec, steps},
};

/// n1 … in these zones; none where the name is empty.
fn place(scene: &mut Scene, zones: &[&str]) {
    for (node, zone) in scene.spec.nodes.iter_mut().zip(zones) {
        node.zone = Some((*zone).to_owned()).filter(|zone| !zone.is_empty());
    }
}

fn grown(from: usize, to: usize, zones: &[&str]) -> Vec<String> {
    let mut scene = Scene::healthy(from);
    scene.spec = spec(to, "");
    let fresh = Scene::virgin(to).observation.nodes.into_iter().skip(from);
    scene.observation.nodes.extend(fresh);
    place(&mut scene, zones);
    let plan = steps(&scene.converge());
    plan.into_iter().filter(|step| step.starts_with("add")).collect()
}

#[test]
fn newcomers_go_where_the_fewest_members_are() {
    let plan = grown(1, 5, &["a", "a", "b", "c", "b"]);
    let nodes: Vec<&str> = plan.iter().filter_map(|step| step.split(' ').nth(1)).collect();
    assert_eq!(nodes, ["n3", "n4", "n2", "n5"], "b and c are empty; then file order");
    let plan = grown(1, 3, &[]);
    assert_eq!(plan, ["add n2 as a learner", "add n3 as a learner"]);
}

#[test]
fn a_rolling_restart_ends_one_zone_before_it_begins_another_and_the_leaders_is_last() {
    let mut scene = Scene::healthy(5);
    place(&mut scene, &["a", "b", "c", "b", "a"]);
    scene.edit("snapshot-count", "1");
    let restarts = |scene: &Scene| -> Vec<String> {
        let plan = steps(&scene.converge());
        let restarts = plan.iter().filter_map(|step| step.strip_prefix("restart "));
        restarts.map(ToOwned::to_owned).collect()
    };
    assert_eq!(restarts(&scene), ["n2", "n4", "n3", "n5", "n1"]);
    // Half through zone c and b: what was begun goes on.
    let mut scene = Scene::healthy(5);
    place(&mut scene, &["a", "c", "b", "b", "c"]);
    scene.edit("snapshot-count", "1");
    scene.run("n4");
    assert_eq!(restarts(&scene), ["n3", "n2", "n5", "n1"]);
    // An unhealthy one first, wherever it is.
    scene.ill("n5", "deadline exceeded");
    assert!(matches!(scene.see("n5").health.known(), Some(Health::Unhealthy(_))));
    assert_eq!(restarts(&scene)[0], "n5");
}

#[test]
fn the_canary_is_first_and_watched_before_others_follow() {
    let mut scene = Scene::healthy(3);
    scene.spec.update.canary = Some("n3".to_owned());
    scene.spec.update.soak = Some(std::time::Duration::from_secs(30));
    scene.edit("snapshot-count", "1");
    assert_eq!(
        steps(&scene.converge()),
        [
            "restart n3, and watch it for 30s",
            "restart n2",
            "move leadership from n1 to n2",
            "restart n1"
        ]
    );
    // It came through.
    scene.run("n3");
    assert_eq!(steps(&scene.converge())[0], "restart n2");
    // Without a canary the first is watched, unless one has come through already.
    scene.spec.update.canary = None;
    assert_eq!(steps(&scene.converge())[0], "restart n2");
    scene.edit("snapshot-count", "2");
    assert_eq!(steps(&scene.converge())[0], "restart n2, and watch it for 30s");
}
