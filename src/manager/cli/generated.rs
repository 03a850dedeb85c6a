//! `env` and `flags`: what a node is started with, by the recorded lineage where there is one.

use uuid::Uuid;
use wire::agentpb::StatusRequest;

use super::{
    Environment,
    arguments::{Env, Flags, Form, Reach},
    connect, offline,
    outcome::{Failure, Outcome, USAGE},
    screen::Screen,
};
use crate::{
    generate::{self, Lineage, render},
    spec::{self, ClusterSpec, NodeSpec},
};

pub(super) async fn environment(
    env: &Env,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let spec = spec::load(&env.spec.file)?.spec;
    let node = node(&spec, &env.node)?;
    let lineage = lineage(&spec, &env.reach, environment).await?;
    let variables = generate::environment(&spec, node, &lineage);
    screen.print(&match env.format {
        Form::Shell => render::shell(&variables),
        Form::Systemd => render::systemd(&variables),
        Form::Json => render::json(&variables),
    });
    Ok(Outcome::Done)
}

pub(super) async fn flags(
    flags: &Flags,
    environment: &Environment,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let spec = spec::load(&flags.spec.file)?.spec;
    let node = node(&spec, &flags.node)?;
    let lineage = lineage(&spec, &flags.reach, environment).await?;
    let words = generate::command_line(&spec, node, &lineage, &environment.manager);
    screen.print(&render::command(&words));
    Ok(Outcome::Done)
}

pub(super) fn node<'a>(spec: &'a ClusterSpec, name: &str) -> Result<&'a NodeSpec, Failure> {
    spec.node(name).ok_or_else(|| {
        let names: Vec<&str> = spec.nodes.iter().map(|node| node.name.as_str()).collect();
        Failure::new(USAGE, format!("there is no node {name:?}; there are {}", names.join(", ")))
    })
}

/// The recorded lineage; where none was prepared, the one that a first apply would prepare.
async fn lineage(
    spec: &ClusterSpec,
    reach: &Reach,
    environment: &Environment,
) -> Result<Lineage, Failure> {
    let state_dir = &spec.agent.state_dir;
    let recorded = match connect::find(spec, reach).await {
        Some(mut agent) => {
            let json = agent.status(StatusRequest {}).await?.into_inner().lineage_json;
            if json.is_empty() { None } else { Some(parse(&json)?) }
        }
        None => offline::state(&environment.disk, state_dir)?.lineage().cloned(),
    };
    Ok(recorded.unwrap_or_else(|| Lineage::first(spec, Uuid::nil())))
}

fn parse(json: &str) -> Result<Lineage, Failure> {
    serde_json::from_str(json)
        .map_err(|error| Failure::failed(format!("the agent's lineage is not understood: {error}")))
}
