//! The commands that ask the agent for something.

use std::{path::Path, time::Duration};

use wire::agentpb::{
    ApplyRequest, HelloRequest, PauseRequest, PlanRequest, RestartRequest, ShutdownRequest,
    StartRequest, StatusRequest, StopRequest,
};

use super::{
    Environment,
    arguments::{Apply, Output, Reach, Restart, Start, Status, Stop, pause::Asking},
    connect, offline,
    outcome::{Failure, Outcome},
    progress,
    screen::Screen,
};
use crate::{
    agent::local::remote_hosts,
    plan::{NoteKind, render},
    report::{StatusReport, table},
    spec::{self, Loaded},
};

/// Reads the spec and says what is doubtful in it.
fn load(file: &Path, screen: &mut Screen) -> Result<Loaded, Failure> {
    let loaded = spec::load(file)?;
    for warning in &loaded.warnings {
        screen.error(&warning.to_string());
    }
    Ok(loaded)
}

fn source(loaded: &Loaded) -> String {
    loaded.spec.source.to_string_lossy().into_owned()
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn apply(
    apply: &Apply,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(&apply.spec_file(), screen)?;
    let how = HowToApply {
        timeout: apply.timeout(),
        output: apply.output,
        reach: &apply.reach,
        expect: apply.expect,
        deadline: apply.deadline,
        now: apply.now,
    };
    apply_loaded(loaded, how, environment, screen).await
}

/// What the options of an apply say.
#[derive(Debug)]
pub(super) struct HowToApply<'a> {
    pub(super) timeout: Duration,
    pub(super) output: Output,
    pub(super) reach: &'a Reach,
    /// Revision that the wanted spec must have.
    pub(super) expect: Option<u64>,
    /// So long from now on no further step begins.
    pub(super) deadline: Option<Duration>,
    /// Whether it waits for no maintenance window.
    pub(super) now: bool,
}

/// The same for a spec that was read.
pub(super) async fn apply_loaded(
    loaded: Loaded,
    how: HowToApply<'_>,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let mut agent = connect::ensure(&loaded.spec, how.reach, environment).await?;
    let hello = agent.hello(HelloRequest {}).await?.into_inner();
    if hello.version != env!("CARGO_PKG_VERSION") {
        screen.error(&format!(
            "the agent (pid {}) is version {}, this program {}; end it (SIGTERM: nodes run on) and \
             apply again to have this version supervise",
            hello.pid,
            hello.version,
            env!("CARGO_PKG_VERSION")
        ));
    }
    let request = ApplyRequest {
        source: source(&loaded),
        text: loaded.text,
        timeout_ms: millis(how.timeout),
        expect: how.expect,
        deadline_ms: how.deadline.map_or(0, millis),
        now: how.now,
    };
    let lines = agent.apply(request).await?.into_inner();
    progress::follow(lines, how.output, screen).await
}

pub(super) async fn plan(
    (file, reach): (&Path, &Reach),
    output: Output,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(file, screen)?;
    let plan = plan_of(&loaded, reach, environment).await?;
    let shown = if output == Output::Json { &plan.json } else { &plan.text };
    screen.line(shown.trim_end());
    Ok(plan.outcome())
}

/// What apply would do, in both forms.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) json: String,
    pub(super) refused: bool,
}

impl Shown {
    pub(super) fn outcome(&self) -> Outcome {
        let refusal = wire::agentpb::progress::Outcome::Refused;
        if self.refused { Outcome::Verdict(refusal) } else { Outcome::Done }
    }
}

/// By the agent if one answers, else from the records on disk.
pub(super) async fn plan_of(
    loaded: &Loaded,
    reach: &Reach,
    environment: &Environment,
) -> Result<Shown, Failure> {
    let found = connect::find(&loaded.spec, reach).await;
    if found.is_none() && (reach.agent.is_some() || !remote_hosts(&loaded.spec).is_empty()) {
        connect::expect(&loaded.spec, reach).await?;
    }
    if let Some(mut agent) = found {
        let request = PlanRequest { source: source(loaded), text: loaded.text.clone() };
        let plan = agent.plan(request).await?.into_inner();
        return Ok(Shown { text: plan.text, json: plan.json, refused: !plan.refused.is_empty() });
    }
    let plan = offline::plan(&loaded.spec, environment).await?;
    Ok(Shown {
        text: render::text(&plan),
        json: render::json(&plan),
        refused: plan.has(NoteKind::Refused),
    })
}

pub(super) fn check(file: &Path, screen: &mut Screen) -> Result<Outcome, Failure> {
    let loaded = load(file, screen)?;
    let nodes = loaded.spec.nodes.len();
    screen.line(&format!("{}: cluster {:?}, {nodes} nodes", file.display(), loaded.spec.name));
    Ok(Outcome::Done)
}

pub(super) async fn status(status: &Status, screen: &mut Screen) -> Result<Outcome, Failure> {
    // Only to find the agent: a spec with a mistake in it must not hide the cluster.
    let spec = spec::despite_mistakes(&status.spec_file())?;
    let mut agent = connect::expect(&spec, &status.reach).await?;
    let answer = agent.status(StatusRequest {}).await?.into_inner();
    let report: StatusReport = serde_json::from_str(&answer.json).map_err(|error| {
        Failure::failed(format!("the agent's status is not understood: {error}"))
    })?;
    match status.output {
        Output::Text => screen.print(&table(&report)),
        Output::Json => {
            let pretty = serde_json::to_string_pretty(&report);
            screen.line(&pretty.map_err(|error| Failure::failed(error.to_string()))?);
        }
    }
    Ok(Outcome::Done)
}

pub(super) async fn restart(
    restart: &Restart,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(&restart.spec.file, screen)?;
    let mut agent = connect::ensure(&loaded.spec, &restart.reach, environment).await?;
    let request =
        RestartRequest { node: restart.node.clone(), timeout_ms: millis(restart.timeout) };
    let lines = agent.restart(request).await?.into_inner();
    progress::follow(lines, restart.output, screen).await
}

pub(super) async fn start(
    start: &Start,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(&start.spec.file, screen)?;
    let mut agent = connect::ensure(&loaded.spec, &start.reach, environment).await?;
    let request = StartRequest { nodes: start.nodes.clone(), timeout_ms: millis(start.timeout) };
    let lines = agent.start(request).await?.into_inner();
    progress::follow(lines, start.output, screen).await
}

/// Pauses or resumes.
pub(super) async fn pause(
    request: PauseRequest,
    asking: &Asking,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(&asking.spec.file, screen)?;
    let mut agent = connect::ensure(&loaded.spec, &asking.reach, environment).await?;
    let request = PauseRequest { timeout_ms: millis(asking.timeout), ..request };
    let lines = agent.pause(request).await?.into_inner();
    progress::follow(lines, asking.output, screen).await
}

/// Stops nodes; where nothing was ever started there is nothing to do.
pub(super) async fn stop(
    stop: &Stop,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let loaded = load(&stop.spec.file, screen)?;
    let (reach, state_dir) = (stop.reach(), &loaded.spec.agent.state_dir);
    let found = connect::find(&loaded.spec, &reach).await;
    let is_local = reach.agent.is_none() && remote_hosts(&loaded.spec).is_empty();
    if found.is_none() && is_local && offline::is_stopped(&environment.disk, state_dir)? {
        screen.line("nothing runs");
        return Ok(Outcome::Done);
    }
    // An agent that was killed has left nodes behind; only an agent stops them.
    let mut agent = match found {
        Some(agent) => agent,
        None => connect::ensure(&loaded.spec, &reach, environment).await?,
    };
    let request = StopRequest { nodes: stop.nodes.clone(), timeout_ms: millis(stop.timeout) };
    let lines = agent.stop(request).await?.into_inner();
    let outcome = progress::follow(lines, stop.output, screen).await?;
    if stop.ends_agent() && outcome.code() == 0 {
        let pid = agent.hello(HelloRequest {}).await?.into_inner().pid;
        agent.shutdown(ShutdownRequest {}).await?;
        connect::await_gone(pid).await?;
    }
    Ok(outcome)
}
