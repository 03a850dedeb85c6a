//! Any facts at all: the planner keeps its own rules, says the same twice, and never does what it must not.

use std::{collections::BTreeSet, sync::LazyLock};

use base::{ClusterId, Index, MemberId};
use proptest::prelude::*;

use crate::{
    check::check,
    generate::InitialState,
    plan::{
        self, Action, DataDir, Fact, Goal, Health, NodeObservation, NoteKind, Process, Role,
        RunningProcess, fixture::Scene,
    },
};

/// Healthy clusters of one to five nodes.
static SCENES: LazyLock<Vec<Scene>> = LazyLock::new(|| (1..=5).map(Scene::healthy).collect());

/// What befalls one node, as small numbers.
#[derive(Debug, Clone)]
struct Fate {
    process: u8,
    dir: u8,
    health: u8,
    status: u8,
    recorded: bool,
    /// What differs from what runs: 1 is a flag, 2 the file of the binary, 3 both.
    changed: u8,
}

fn fate() -> impl Strategy<Value = Fate> {
    // Healthy and running is the most frequent, so that long plans come up too.
    let often = |rare: u8| prop_oneof![3 => Just(0_u8), 2 => 0..rare];
    (often(9), often(9), often(3), 0..4_u8, prop::bool::weighted(0.8), 0..4_u8).prop_map(
        |(process, dir, health, status, recorded, changed)| Fate {
            process,
            dir,
            health,
            status,
            recorded,
            changed,
        },
    )
}

fn scenes() -> impl Strategy<Value = (Scene, Goal)> {
    let wanted = prop::option::weighted(0.4, 1..=5_usize);
    (prop::collection::vec(fate(), 1..6), 0..4_u8, 0..4_u8, 0..6_u8, (any::<u8>(), wanted))
        .prop_map(|(fates, lineage, members, goal, (pick, wanted))| {
            let mut scene = SCENES[fates.len() - 1].clone();
            let names = scene.names();
            for (name, fate) in names.iter().zip(&fates) {
                befall(&mut scene, name, fate);
            }
            let mut record = scene.lineage();
            if lineage == 1 {
                record.initial_state = InitialState::New;
            }
            scene.history.lineage = match lineage {
                2 => Fact::Unknown("checksum".to_owned()),
                3 => Fact::Known(None),
                _ => Fact::Known(Some(record)),
            };
            match members {
                0 => {}
                1 => scene.observation.members = Fact::Unknown("nobody answers".to_owned()),
                picked => {
                    if let Fact::Known(members) = &mut scene.observation.members {
                        let at = usize::from(pick) % members.len();
                        members[at].client_urls.clear();
                        members[at].learner = picked == 3 && members.len() > 1;
                    }
                }
            }
            resize(&mut scene, wanted);
            let one = names[usize::from(pick) % names.len()].clone();
            let goal = match goal {
                0 => Goal::Stop(names.into_iter().collect()),
                1 => Goal::Stop(BTreeSet::from([one])),
                2 => Goal::Start(names.into_iter().collect()),
                3 => Goal::Restart { node: one, pid: Some(100 + u32::from(pick) % 5) },
                _ => Goal::Converge,
            };
            (scene, goal)
        })
}

/// The spec names so many nodes.
fn resize(scene: &mut Scene, wanted: Option<usize>) {
    let Some(wanted) = wanted else { return };
    scene.spec = SCENES[wanted - 1].spec.clone();
    for node in &scene.spec.nodes {
        if scene.observation.node(&node.name).is_none() {
            scene.observation.nodes.push(NodeObservation {
                name: node.name.clone(),
                process: Fact::Known(Process::Stopped { ended: None }),
                data_dir: Fact::Known(DataDir::Empty),
                health: Fact::Known(Health::Unhealthy("it does not run".to_owned())),
                status: Fact::Unknown("it does not run".to_owned()),
                program: Fact::Known("3.5.21".to_owned()),
            });
        }
    }
}

fn befall(scene: &mut Scene, name: &str, fate: &Fate) {
    let mut launch = scene.launch(name);
    if fate.changed & 1 != 0 {
        launch.environment.insert("ETCD_SNAPSHOT_COUNT".to_owned(), "1".to_owned());
    }
    let (cluster, member) = scene.identity(name);
    if !fate.recorded {
        scene.history.nodes.remove(name);
    }
    let pid = 100;
    let is_binary_replaced = fate.changed & 2 != 0;
    let seen = scene.see(name);
    let ended = "exit code 1".to_owned();
    seen.process = match fate.process {
        0 => Fact::Known(Process::Running(RunningProcess { pid, launch, is_binary_replaced })),
        1 => Fact::Known(Process::Starting(RunningProcess { pid, launch, is_binary_replaced })),
        2 => Fact::Known(Process::Stopped { ended: None }),
        3 => Fact::Known(Process::Stopped { ended: Some(ended) }),
        4 => Fact::Known(Process::BackingOff { launch, ended }),
        5 => Fact::Known(Process::CrashLoop { launch, ended }),
        6 => Fact::Known(Process::Removed),
        7 => Fact::Known(Process::Foreign { owner: "pid 1".to_owned() }),
        _ => Fact::Unknown("its shim does not answer".to_owned()),
    };
    seen.data_dir = match fate.dir {
        0 => Fact::Known(DataDir::Formed { cluster, member }),
        1 => Fact::Known(DataDir::Empty),
        2 => Fact::Known(DataDir::Formed { cluster: ClusterId::new(1), member: MemberId::new(2) }),
        3 => Fact::Known(DataDir::Foreign),
        4 => Fact::Known(DataDir::Damaged),
        5 => Fact::Known(DataDir::Emptied),
        6 => Fact::Known(DataDir::Stale),
        7 => Fact::Known(DataDir::Fenced),
        _ => Fact::Unknown("Permission denied".to_owned()),
    };
    let runs = fate.process < 2;
    seen.health = match fate.health {
        0 if runs => Fact::Known(Health::Healthy),
        2 if runs => Fact::Unknown("not asked".to_owned()),
        _ => Fact::Known(Health::Unhealthy("it does not answer".to_owned())),
    };
    if let Fact::Known(status) = &mut seen.status {
        status.applied = Index::new(u64::from(fate.status) * 100);
        if fate.status == 1 {
            status.role = Role::Follower;
        }
    }
    if fate.status == 2 || !runs {
        seen.status = Fact::Unknown("it does not answer".to_owned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// R1, R2, R3, R5, R10, R11, R13, R14, R17: the checks look at the facts again and find nothing.
    #[test]
    fn no_plan_breaks_a_rule_and_the_same_facts_give_the_same_plan((scene, goal) in scenes()) {
        let plan = plan::plan(&goal, &scene.spec, &scene.observation, &scene.history);
        let verdicts = check(&plan, &scene.spec, &scene.observation, &scene.history);
        prop_assert!(verdicts.is_empty(), "{verdicts:#?}\n{plan:#?}");
        let mut shuffled = scene.observation.clone();
        shuffled.nodes.reverse();
        let again = plan::plan(&goal, &scene.spec, &shuffled, &scene.history);
        prop_assert_eq!(plan, again);
    }

    #[test]
    fn a_plan_without_steps_says_why_or_is_done((scene, goal) in scenes()) {
        let plan = plan::plan(&goal, &scene.spec, &scene.observation, &scene.history);
        let is_well = |name: &str| {
            scene.observation.node(name).is_some_and(|it| it.health == Fact::Known(Health::Healthy))
        };
        let all_well = scene.spec.nodes.iter().all(|node| is_well(&node.name));
        if goal == Goal::Converge && plan.is_converged() {
            prop_assert!(all_well, "converged without health: {scene:#?}");
        }
        if plan.steps.is_empty() && !plan.is_converged() {
            prop_assert!(plan.notes.iter().any(|note| note.kind != NoteKind::Drift));
        }
    }

    /// R11: between two restarts the plan counts on full health, and the tolerance it shows never lies about that.
    #[test]
    fn tolerance_is_one_chain((scene, goal) in scenes()) {
        let plan = plan::plan(&goal, &scene.spec, &scene.observation, &scene.history);
        for pair in plan.steps.windows(2) {
            let agent = pair[0].action == Action::StartAgent;
            prop_assert!(agent || pair[0].tolerance.after == pair[1].tolerance.before);
        }
        for step in &plan.steps {
            let tolerance = step.tolerance;
            let chain = tolerance.during <= tolerance.before && tolerance.after <= tolerance.full;
            prop_assert!(chain, "{:?}", plan.steps);
        }
    }
}
