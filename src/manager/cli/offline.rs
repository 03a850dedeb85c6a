//! What can be told without an agent: the plan from the records on disk, and the recorded lineage.
//! Reads only.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use disk::Disk;

use super::{
    Environment,
    outcome::{Failure, UNREADABLE},
};
use crate::{
    agent::planner::plan_checked,
    control::{Control, state::ControlState},
    guarded,
    observe::{
        self, Sources, probe,
        programs::Programs,
        sights::{self, HostSight},
    },
    plan::{AgentState, Fact, Goal, Plan},
    spec::ClusterSpec,
    supervise::{
        record::NodeDir,
        state::{Phase, left_behind},
    },
};

/// The committed control state; fresh only if there is certainly none (R13).
pub(super) fn state(disk: &Arc<dyn Disk>, state_dir: &Path) -> Result<ControlState, Failure> {
    Control::read(disk, &state_dir.join("control"))
        .map_err(|error| Failure::new(UNREADABLE, base::ErrorChain(&error).to_string()))
}

/// Whether no node runs, nor would the next agent start one.
pub(super) fn is_stopped(disk: &Arc<dyn Disk>, state_dir: &Path) -> Result<bool, Failure> {
    let state = state(disk, state_dir)?;
    let is_down = |name: &String| {
        let phase = left_behind(&NodeDir::of(state_dir, name), &**disk).phase;
        matches!(phase, Phase::Down | Phase::Held)
    };
    Ok(state.nodes.keys().all(|name| !state.is_wanted(name) && is_down(name)))
}

/// What apply would do, starting the agent first.
pub(super) async fn plan(spec: &ClusterSpec, environment: &Environment) -> Result<Plan, Failure> {
    let disk = &*environment.disk;
    let state_dir = &spec.agent.state_dir;
    let state = state(&environment.disk, state_dir)?;
    let mut nodes = BTreeMap::new();
    for name in spec.nodes.iter().map(|node| &node.name).chain(state.nodes.keys()) {
        let process = left_behind(&NodeDir::of(state_dir, name), disk);
        let probe = probe::once(process.phase.running()).await;
        nodes.insert(name.clone(), (process, probe));
    }
    // As the agent finds it: links followed.
    let whole = state_dir.canonicalize().or_else(|_| std::path::absolute(state_dir));
    let root = guarded::default_root(&whole.unwrap_or_default());
    let sources = Sources {
        manager: &environment.manager,
        disk,
        state: &state,
        records: observe::words(&environment.disk, &root, (spec, &state), &nodes),
        nodes,
        host: None,
        inspected: BTreeMap::new(),
        busy: BTreeMap::new(),
    };
    let mut facts = observe::facts_from(&sources, spec).await;
    Programs::default().add(&mut facts, spec, None).await;
    let sight = HostSight { host: String::new(), facts: Ok(facts) };
    let mut observation = sights::merge(&[sight], &environment.manager, spec);
    observation.agent = Fact::Known(AgentState::Absent);
    let mut history = observe::history(&state);
    history.stopped.clear();
    Ok(plan_checked(&Goal::Converge, spec, &observation, &history))
}
