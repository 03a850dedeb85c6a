//! `pause` and `resume`: decisions like others, so they hold on all hosts and outlive agents.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use wire::agentpb::{PauseRequest, progress::Outcome};

use super::{
    cluster::Cluster,
    gateway::ProgressStream,
    reconcile::unrecorded,
    voice::{PROGRESS_QUEUE_MAX, Voice},
};
use crate::control::{ControlError, entry::Entry, state::ControlState};

/// How long an agent may take from raft's word that it leads to its first decision.
const REIGN_MAX: Duration = Duration::from_secs(5);
const REIGN_PAUSE: Duration = Duration::from_millis(20);

/// Carries it out, here where the leading agent is, and tells how it goes.
pub(crate) fn begin(
    cluster: &Arc<Cluster>,
    request: PauseRequest,
    timeout: Duration,
) -> ProgressStream {
    let (listener, lines) = mpsc::channel(PROGRESS_QUEUE_MAX);
    let cluster = cluster.clone();
    tokio::spawn(async move {
        let voice = Voice::to(listener);
        let (outcome, text) = carry_out(&cluster, request, (timeout, &voice)).await;
        voice.end(outcome, text).await;
    });
    Box::pin(ReceiverStream::new(lines).map(Ok))
}

async fn carry_out(
    cluster: &Cluster,
    request: PauseRequest,
    (timeout, voice): (Duration, &Voice),
) -> (Outcome, String) {
    let state = cluster.control.state();
    let entry = match (&state.paused, request.resume) {
        (None, true) => return (Outcome::Converged, "it was not paused".to_owned()),
        (Some(_), true) => Entry::Resumed,
        (_, false) => Entry::Paused { reason: request.reason },
    };
    if !state.group.understands(entry.version()) {
        let text = "an agent of an earlier build does not know of pauses: upgrade all agents first";
        return (Outcome::Refused, text.to_owned());
    }
    let paused = match decree(cluster, entry).await {
        Ok(state) => state.paused.clone(),
        Err(error) => return unrecorded(&error),
    };
    cluster.touch();
    let Some(pause) = paused else {
        let text = match &state.deferred {
            Some(_) => "resumed; what was put on record meanwhile is carried out now",
            None => "resumed",
        };
        return (Outcome::Converged, text.to_owned());
    };
    let is_quiet = |state: &Arc<ControlState>| state.goal.is_none() || state.intent.is_none();
    if let Some(step) = cluster.control.state().intent.as_ref()
        && !is_quiet(&cluster.control.state())
    {
        voice.note(format!("waits for the step under way: {step}")).await;
    }
    let mut states = cluster.control.watch();
    let quiet = tokio::time::timeout(timeout, states.wait_for(is_quiet)).await.is_ok();
    if quiet {
        let text = "nothing is changed before etcd-manager resume; nodes are supervised on";
        (Outcome::Converged, format!("{pause}: {text}"))
    } else {
        (Outcome::Failed, format!("{pause}; but the step under way is not over after {timeout:?}"))
    }
}

/// An agent that was started for this very call does not decide yet.
async fn decree(cluster: &Cluster, entry: Entry) -> Result<Arc<ControlState>, ControlError> {
    let deadline = Instant::now() + REIGN_MAX;
    loop {
        match cluster.decree(entry.clone()).await {
            Err(ControlError::NotLeading) if Instant::now() < deadline => {
                tokio::time::sleep(REIGN_PAUSE).await;
            }
            done => return done,
        }
    }
}
