//! Linearizable reads: one read-index round at a time serves all readers that waited for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use consensus::ReadState;
use state::ApiError;
use tokio::sync::{mpsc, oneshot, watch};

use super::Server;

/// One reader; it is told the index its read may not lag behind.
pub(super) type Waiting = oneshot::Sender<Result<u64, ApiError>>;

/// Readers that may queue for the next round.
pub(super) const READERS_MAX: usize = 65_536;
/// Answers of rounds that may wait for the loop; stale ones are dropped there.
pub(super) const READ_STATES_MAX: usize = 64;
/// A round without an answer is asked again after this (the leader drops it before its first commit).
const RETRY: Duration = Duration::from_millis(500);

impl Server {
    /// Returns once local reads see everything that was acknowledged before the call.
    ///
    /// # Errors
    /// `Timeout` without a leader or quorum, `TimeoutWaitApplied`, `Stopped`.
    pub async fn linearizable_read(&self) -> Result<(), ApiError> {
        let limit = self.settings.request_timeout();
        let (sender, answer) = oneshot::channel();
        self.readers.try_send(sender).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => ApiError::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => ApiError::Stopped,
        })?;
        let index = match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(ApiError::Stopped),
            Err(_) => {
                self.metrics.read_indexes_failed.add(1);
                return Err(ApiError::Timeout);
            }
        };
        if *self.applied.borrow() >= index {
            return Ok(());
        }
        let mut applied = self.applied.subscribe();
        match tokio::time::timeout(limit, applied.wait_for(|applied| *applied >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ApiError::Stopped),
            Err(_) => Err(ApiError::TimeoutWaitApplied),
        }
    }
}

/// The round loop: collects whoever waits, asks raft once, answers all.
pub(super) async fn run(
    server: Arc<Server>,
    mut readers: mpsc::Receiver<Waiting>,
    mut answers: mpsc::Receiver<ReadState>,
) {
    let mut stop = server.stop.subscribe();
    let mut batch = Vec::new();
    while readers.recv_many(&mut batch, READERS_MAX).await > 0 {
        let round = tokio::select! {
            index = round(&server, &mut answers, &batch) => index,
            _ = stop.wait_for(Option::is_some) => Some(Err(ApiError::Stopped)),
        };
        let stopped = matches!(round, Some(Err(_)));
        if let Some(result) = round {
            for waiting in batch.drain(..) {
                // A reader that has left needs no answer.
                drop(waiting.send(result.clone()));
            }
        }
        batch.clear();
        if stopped {
            return;
        }
    }
}

/// Asks until an answer comes; nothing if all readers have left meanwhile.
async fn round(
    server: &Server,
    answers: &mut mpsc::Receiver<ReadState>,
    batch: &[Waiting],
) -> Option<Result<u64, ApiError>> {
    let context = Bytes::copy_from_slice(&server.ids.next().to_be_bytes());
    let mut leader = server.raft_status.clone();
    loop {
        if batch.iter().all(oneshot::Sender::is_closed) {
            return None;
        }
        if server.raft.read_index(context.clone()).is_err() {
            server.metrics.slow_read_indexes.add(1);
        }
        match tokio::time::timeout(RETRY, answer(answers, &context, &mut leader)).await {
            Ok(Some(index)) => return Some(Ok(index)),
            // Another leader: what was asked of the old one is gone, so ask at once.
            Ok(None) => tokio::task::yield_now().await,
            Err(_) => server.metrics.slow_read_indexes.add(1),
        }
    }
}

/// The index for this context, or nothing when the leader changes first.
async fn answer(
    answers: &mut mpsc::Receiver<ReadState>,
    context: &Bytes,
    status: &mut watch::Receiver<consensus::Status>,
) -> Option<u64> {
    let leader = status.borrow_and_update().leader;
    loop {
        let changed = async {
            let other = status.wait_for(|now| now.leader.is_some() && now.leader != leader);
            drop(other.await);
        };
        tokio::select! {
            state = answers.recv() => match state {
                Some(state) if state.context == *context => return Some(state.index.get()),
                Some(_) => {}
                // The owner has stopped: the round loop ends with the server's stop.
                None => return None,
            },
            () = changed => return None,
        }
    }
}
