//! The first apply without an operator: when the agents of all hosts of a spec have the same spec file
//! (`spec` in their agent.toml) and no cluster yet, one of them applies it.

use std::time::Duration;

use futures::future::join_all;
use tokio_stream::StreamExt;
use wire::agentpb::{ApplyRequest, progress::Kind};

use super::{
    founding,
    gateway::{Call, Gateway},
    many::Many,
};
use crate::{
    control::Leadership,
    spec::{self, Loaded},
};

/// Pause between two looks at the other agents.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until a spec is on record, whoever put it there.
pub(crate) async fn run(gateway: Gateway, many: std::sync::Arc<Many>) {
    let Some(path) = many.file.spec.clone() else { return };
    let mut told = String::new();
    while gateway.cluster.control.state().spec.is_none() {
        tokio::time::sleep(PAUSE).await;
        let Ok(loaded) = spec::load(&path) else { continue };
        if !is_its_turn(&gateway, &many, &loaded) {
            continue;
        }
        if let Err(reason) = all_have_it(&many, &loaded).await {
            if reason != told {
                tracing::info!("{} is not applied by itself: {reason}", path.display());
                told = reason;
            }
            continue;
        }
        tracing::info!("all hosts have the same {}: it is applied", path.display());
        apply(&gateway, loaded).await;
    }
}

/// One agent acts, so that they do not hinder each other: the first host's, and once there is a group
/// the one that leads.
fn is_its_turn(gateway: &Gateway, many: &Many, loaded: &Loaded) -> bool {
    match gateway.cluster.control.leadership() {
        Leadership::NoGroup => {
            founding::hosts(&loaded.spec).first().is_some_and(|first| *first == many.file.host)
        }
        Leadership::Own(_) => gateway.cluster.reign().is_some(),
        Leadership::Other(_) | Leadership::Nobody => false,
    }
}

async fn all_have_it(many: &Many, loaded: &Loaded) -> Result<(), String> {
    let calls = founding::hosts(&loaded.spec).into_iter().map(|host| async move {
        if host == many.file.host {
            return Ok(());
        }
        let address = format!("{host}:{}", loaded.spec.agent.port);
        match many.peers.greet(&address).await {
            Ok(greeting) if greeting.spec_digest == loaded.digest => Ok(()),
            Ok(greeting) if greeting.spec_digest.is_empty() => {
                Err(format!("the agent of {host} has no spec file that can be read"))
            }
            Ok(_) => Err(format!("the spec file of {host} says something else")),
            Err(reason) => Err(format!("the agent of {host}: {reason}")),
        }
    });
    join_all(calls).await.into_iter().collect()
}

/// To its end: a request that nobody listens to is held.
async fn apply(gateway: &Gateway, loaded: Loaded) {
    let request = ApplyRequest {
        text: loaded.text,
        source: loaded.spec.source.to_string_lossy().into_owned(),
        timeout_ms: 0,
        // Nothing was ever applied; whoever comes first wins.
        expect: Some(0),
        ..ApplyRequest::default()
    };
    let mut lines = match gateway.ask(Call::Apply(request), false).await {
        Ok(lines) => lines.into_inner(),
        Err(status) => return tracing::warn!("not applied: {}", status.message()),
    };
    while let Some(Ok(line)) = lines.next().await {
        if line.kind() == Kind::End {
            tracing::info!("the first apply: {}", line.text);
        }
    }
}
