//! Commits what the keepers of this host report. Events wait here while the agents have no quorum;
//! what does not fit the queue is in the agent's log only.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::cluster::Cluster;
use crate::{
    control::{ControlError, entry::Entry},
    supervise::state::NodeEvent,
};

/// Pause before an event that found no quorum is proposed again.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs until the keepers are gone.
///
/// # Errors
/// [`ControlError`]: then the agent must end (R13).
pub(crate) async fn run(
    cluster: Arc<Cluster>,
    mut events: mpsc::Receiver<NodeEvent>,
) -> Result<(), ControlError> {
    while let Some(event) = events.recv().await {
        let NodeEvent { node, text, restarts, ended_run } = event;
        let entry = Entry::Happened { node, text, restarts, ended_run };
        while let Err(error) = cluster.control.commit(entry.clone()).await {
            match error {
                ControlError::Rejected(_) => break,
                error if error.is_fatal() => return Err(error),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
    Ok(())
}
