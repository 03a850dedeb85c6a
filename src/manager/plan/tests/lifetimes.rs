//! A cluster's life under random specs: plan, do the first step on the model, plan again, until nothing is left to do or
//! the plan says what is in the way.

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;

use super::model::{Model, Nature};
use crate::{
    check::check,
    plan::{self, DataDir, Fact, Goal, Health, NoteKind, Plan, Process, fixture::Scene, render},
};

/// More steps than any of these changes needs: six joins of five steps each, as many removals of three, moves and restarts.
const STEPS_MAX: usize = 100;
/// Nodes that specs choose from.
const NODES: usize = 6;

/// Healthy clusters of one to five nodes.
static SCENES: LazyLock<Vec<Scene>> = LazyLock::new(|| (1..=5).map(Scene::healthy).collect());
static VIRGIN: LazyLock<Scene> = LazyLock::new(|| Scene::virgin(NODES));

/// What has befallen a node of the cluster before the spec is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    Stopped,
    Looping,
    Emptied,
    Damaged,
    Foreign,
    Crashing,
    Mute,
}

/// An edit of a node in the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Dropped,
    Kept,
    /// It gets other peer URLs.
    Moved,
    /// It gets another flag.
    Flagged,
    MovedAndFlagged,
}

#[derive(Debug, Clone)]
struct Life {
    /// Members of the cluster at first: n1 …
    members: usize,
    leader: usize,
    mishaps: Vec<Mishap>,
    edits: Vec<Edit>,
    /// Whether the first new node takes the peer URLs of the first dropped one: a rename.
    renames: bool,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        16 => Just(Mishap::None),
        1 => Just(Mishap::Stopped),
        1 => Just(Mishap::Looping),
        1 => Just(Mishap::Emptied),
        1 => Just(Mishap::Damaged),
        1 => Just(Mishap::Foreign),
        1 => Just(Mishap::Crashing),
        1 => Just(Mishap::Mute),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        7 => Just(Edit::Dropped),
        9 => Just(Edit::Kept),
        1 => Just(Edit::Moved),
        3 => Just(Edit::Flagged),
        1 => Just(Edit::MovedAndFlagged),
    ]
}

fn lives() -> impl Strategy<Value = Life> {
    let mishaps = prop::collection::vec(mishap(), NODES);
    let edits = prop::collection::vec(edit(), NODES);
    (1..=5_usize, 0..5_usize, mishaps, edits, any::<bool>()).prop_map(
        |(members, leader, mishaps, mut edits, renames)| {
            if edits.iter().all(|edit| *edit == Edit::Dropped) {
                edits[0] = Edit::Kept;
            }
            Life { members, leader: leader % members, mishaps, edits, renames }
        },
    )
}

/// The same without mishaps: nothing but the spec has changed.
fn calm_lives() -> impl Strategy<Value = Life> {
    lives().prop_map(|life| Life { mishaps: vec![Mishap::None; NODES], ..life })
}

fn model_of(life: &Life) -> Model {
    let mut scene = SCENES[life.members - 1].clone();
    scene.lead(&format!("n{}", life.leader + 1));
    let mut natures = BTreeMap::new();
    for fresh in VIRGIN.observation.nodes.clone() {
        if scene.observation.node(&fresh.name).is_none() {
            scene.observation.nodes.push(fresh);
        }
    }
    for (at, mishap) in life.mishaps.iter().enumerate() {
        let name = format!("n{}", at + 1);
        befall(&mut scene, &mut natures, &name, (*mishap, at < life.members));
    }
    scene.spec = wanted(life);
    // What no node of the spec is and no member ever was is not looked at.
    let named = |name: &str| scene.spec.node(name).is_some();
    let recorded = scene.history.nodes.clone();
    scene.observation.nodes.retain(|it| named(&it.name) || recorded.contains_key(&it.name));
    Model::new(scene, natures)
}

fn wanted(life: &Life) -> crate::spec::ClusterSpec {
    let mut wanted = VIRGIN.spec.clone();
    let dropped = (0..life.members).find(|at| life.edits[*at] == Edit::Dropped);
    let fresh = (life.members..NODES).find(|at| life.edits[*at] != Edit::Dropped);
    if let (true, Some(dropped), Some(fresh)) = (life.renames, dropped, fresh) {
        let old = wanted.nodes[dropped].clone();
        wanted.nodes[fresh].advertise_peer_urls = old.advertise_peer_urls;
        wanted.nodes[fresh].listen_peer_urls = old.listen_peer_urls;
    }
    for (node, edit) in wanted.nodes.iter_mut().zip(&life.edits) {
        if matches!(edit, Edit::Moved | Edit::MovedAndFlagged) {
            let moved = format!("http://127.0.0.9:{}", node.name.trim_start_matches('n'));
            node.advertise_peer_urls = vec![moved.clone()];
            node.listen_peer_urls = vec![moved];
        }
        if matches!(edit, Edit::Flagged | Edit::MovedAndFlagged) {
            node.flags.insert("heartbeat-interval".to_owned(), "200".to_owned());
        }
    }
    let mut edits = life.edits.iter();
    wanted.nodes.retain(|_| edits.next().is_some_and(|edit| *edit != Edit::Dropped));
    wanted
}

fn befall(
    scene: &mut Scene,
    natures: &mut BTreeMap<String, Nature>,
    name: &str,
    (mishap, is_member): (Mishap, bool),
) {
    match mishap {
        Mishap::None => return,
        Mishap::Crashing => {
            natures.insert(name.to_owned(), Nature::Crashing);
        }
        Mishap::Mute => {
            natures.insert(name.to_owned(), Nature::Mute);
            return;
        }
        _ => {}
    }
    if !is_member {
        if mishap == Mishap::Foreign {
            scene.see(name).data_dir = Fact::Known(DataDir::Foreign);
        }
        return;
    }
    let launch = scene.launch(name);
    scene.down(name, "exit code 1");
    let seen = scene.see(name);
    match mishap {
        Mishap::Looping => {
            let ended = "exit code 1".to_owned();
            seen.process = Fact::Known(Process::CrashLoop { launch, ended });
        }
        Mishap::Emptied => seen.data_dir = Fact::Known(DataDir::Empty),
        Mishap::Damaged => seen.data_dir = Fact::Known(DataDir::Damaged),
        Mishap::Foreign => seen.data_dir = Fact::Known(DataDir::Foreign),
        _ => {}
    }
}

/// How a life ends.
#[derive(Debug)]
enum End {
    Converged,
    /// The plan says what is in the way.
    Told(Plan),
    /// A step had no effect.
    Failed(String),
}

/// The plan for these facts; it keeps all rules, and the order of the facts does not matter.
fn planned(model: &Model) -> Result<Plan, TestCaseError> {
    let Scene { spec, observation, history } = &model.scene;
    let plan = plan::plan(&Goal::Converge, spec, observation, history);
    let verdicts = check(&plan, spec, observation, history);
    prop_assert!(verdicts.is_empty(), "{verdicts:#?}\n{}", render::text(&plan));
    let mut shuffled = observation.clone();
    shuffled.nodes.reverse();
    if let Fact::Known(members) = &mut shuffled.members {
        members.reverse();
    }
    let again = plan::plan(&Goal::Converge, spec, &shuffled, history);
    prop_assert_eq!(&plan, &again);
    Ok(plan)
}

fn live(model: &mut Model) -> Result<(End, Vec<String>), TestCaseError> {
    let mut done = Vec::new();
    for _ in 0..STEPS_MAX {
        let plan = planned(model)?;
        if plan.is_converged() {
            return Ok((End::Converged, done));
        }
        let Some(step) = plan.steps.first().filter(|_| !plan.is_refused()) else {
            return Ok((End::Told(plan), done));
        };
        let before = model.tolerance();
        prop_assert_eq!(step.tolerance.before, before, "{}", &step.action);
        done.push(step.action.to_string());
        let outcome = model.apply(&step.action);
        let after = model.tolerance();
        // What a step costs for good is what the plan said, unless the node did not come back.
        if outcome.is_ok() {
            prop_assert!(
                after >= step.tolerance.after,
                "{}: {} -> {after}\n{}",
                step.action,
                before,
                render::text(&plan)
            );
        }
        prop_assert!(after >= step.tolerance.during, "{}: {after} {step:?}", step.action);
        if let Err(reason) = outcome {
            return Ok((End::Failed(reason), done));
        }
    }
    Err(TestCaseError::fail(format!("no end of it: {done:#?}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// R4, R5, R6, R17: through all of a cluster's life.
    #[test]
    fn every_life_ends_and_the_plan_says_what_is_missing(life in lives()) {
        let mut model = model_of(&life);
        let (end, done) = live(&mut model)?;
        match end {
            End::Converged => {
                let spec = &model.scene.spec;
                prop_assert_eq!(model.members.len(), spec.nodes.len(), "{:#?}", done);
                prop_assert!(model.members.iter().all(|member| !member.learner), "{done:#?}");
                prop_assert!(spec.nodes.iter().all(|node| model.is_healthy(&node.name)));
            }
            End::Told(plan) => {
                let said = |note: &&plan::Note| note.kind != NoteKind::Drift;
                let notes: Vec<_> = plan.notes.iter().filter(said).collect();
                prop_assert!(!notes.is_empty(), "{done:#?}");
                for note in notes {
                    prop_assert!(!note.text.is_empty(), "{note:?}");
                    let waits = note.kind == NoteKind::Wait;
                    prop_assert!(waits || !note.remedy.is_empty(), "{note:?}");
                }
                // Nothing waits for what is well.
                let nodes = &model.scene.observation.nodes;
                let ill = nodes.iter().any(|it| it.health != Fact::Known(Health::Healthy));
                prop_assert!(ill || plan.is_refused(), "{done:#?}\n{}", render::text(&plan));
            }
            End::Failed(reason) => {
                let at_fault = model.natures.keys().any(|node| reason.contains(node.as_str()));
                // Without a quorum nobody becomes healthy.
                let quorum = model.scene.observation.members.known().is_some();
                prop_assert!(at_fault || !quorum, "{reason}: {done:#?}");
            }
        }
    }

    /// Where nobody is ill, the spec is reached, or refused as a whole before anything was done.
    #[test]
    fn a_healthy_cluster_becomes_what_the_spec_says(life in calm_lives()) {
        let mut model = model_of(&life);
        let (end, done) = live(&mut model)?;
        match end {
            End::Converged => {}
            End::Told(plan) if plan.is_refused() => prop_assert!(done.is_empty(), "{done:#?}"),
            end => return Err(TestCaseError::fail(format!("{end:#?} after {done:#?}"))),
        }
    }
}
