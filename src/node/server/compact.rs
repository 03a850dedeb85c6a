//! Removes compacted rows in the background, a batch at a time.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::Receiver;
use state::{ApiError, CompactStep};

use super::{Server, stop::StopReason};

/// Between two batches, as in etcd: clients come first.
const PAUSE: Duration = Duration::from_millis(10);
/// The worker looks for the server's end this often.
const LOOK: Duration = Duration::from_millis(500);

impl Server {
    /// Returns once the compaction of `revision` is complete and on disk.
    ///
    /// # Errors
    /// `Stopped`, `Timeout` after an hour.
    pub async fn compaction_finished(&self, revision: i64) -> Result<(), ApiError> {
        let mut finished = self.compaction_finished.subscribe();
        let waited = finished.wait_for(|finished| *finished >= revision);
        match tokio::time::timeout(Duration::from_secs(3600), waited).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ApiError::Stopped),
            Err(_) => Err(ApiError::Timeout),
        }
    }
}

/// The worker thread.
pub(super) fn run(server: &Arc<Server>, wanted: &Receiver<()>) {
    // What a restart interrupted is resumed at once.
    let mut work = true;
    while server.stop.borrow().is_none() {
        if !work {
            work = wanted.recv_timeout(LOOK).is_ok();
            continue;
        }
        match server.kv.compact_step(server.settings.compaction_batch_rows) {
            Ok(CompactStep::More) => server.clock.sleep(PAUSE),
            Ok(_) => {
                work = false;
                announce(server);
            }
            Err(error) => {
                let text = base::ErrorChain(&error).to_string();
                StopReason::failed(&server.stop, format!("cannot compact: {text}"));
            }
        }
    }
}

/// Makes the removal durable, then tells those who wait for it.
fn announce(server: &Server) {
    let finished = server.kv.compaction_finished();
    if finished <= *server.compaction_finished.borrow() {
        return;
    }
    match server.backend.load().flush() {
        Ok(()) => {
            server.compaction_finished.send_replace(finished);
            tracing::info!(revision = finished, "finished scheduled compaction");
        }
        Err(error) => tracing::error!(%error, "the compaction is not on disk"),
    }
}
