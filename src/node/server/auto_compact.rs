//! `--auto-compaction-*`: the leader proposes compactions, after etcd's v3compactor.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use wire::etcdserverpb::{CompactionRequest, InternalRaftRequest};

use super::{Server, settings::AutoCompaction};

/// Revision mode looks this often.
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Periodic mode compacts at least this often.
const PERIOD_MAX: Duration = Duration::from_secs(60 * 60);
/// Samples taken in one compaction interval.
const SAMPLES: u32 = 10;

/// Runs until the server stops.
pub(super) async fn run(server: Arc<Server>) {
    let mut stop = server.stop.subscribe();
    let mode = server.settings.auto_compaction;
    tokio::select! {
        () = compact(&server, mode) => {}
        _ = stop.wait_for(Option::is_some) => {}
    }
}

async fn compact(server: &Server, mode: AutoCompaction) {
    match mode {
        AutoCompaction::Off => {}
        AutoCompaction::Revisions(keep) => revisions(server, keep).await,
        AutoCompaction::Periodic(period) => periodic(server, period).await,
    }
}

async fn revisions(server: &Server, keep: i64) {
    let mut last = 0;
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let target = server.kv.revision() - keep;
        if target > 0 && target != last && propose(server, target).await {
            last = target;
        }
    }
}

async fn periodic(server: &Server, period: Duration) {
    let interval = period.min(PERIOD_MAX);
    let pause = interval / SAMPLES;
    let mut samples = Samples::new(period, pause);
    let mut last = 0;
    // The first compaction comes after a whole period, the next ones after an interval each.
    let mut due = period;
    let mut since = Duration::ZERO;
    loop {
        samples.push(server.kv.revision());
        tokio::time::sleep(pause).await;
        since += pause;
        let target = samples.oldest();
        if since < due || target == last {
            continue;
        }
        if propose(server, target).await {
            last = target;
            due = interval;
            since = Duration::ZERO;
        }
    }
}

/// The revisions of the last period, one a pause.
#[derive(Debug)]
struct Samples {
    revisions: VecDeque<i64>,
    kept: usize,
}

impl Samples {
    fn new(period: Duration, pause: Duration) -> Self {
        let mut kept = 1;
        let mut covered = Duration::ZERO;
        while covered < period && !pause.is_zero() {
            covered += pause;
            kept += 1;
        }
        Self { revisions: VecDeque::new(), kept }
    }

    fn push(&mut self, revision: i64) {
        self.revisions.push_back(revision);
        while self.revisions.len() > self.kept {
            self.revisions.pop_front();
        }
    }

    fn oldest(&self) -> i64 {
        self.revisions.front().copied().unwrap_or(0)
    }
}

/// Whether the compaction was done, or had been done before.
async fn propose(server: &Server, revision: i64) -> bool {
    if !server.is_leader() {
        return false;
    }
    let compaction = CompactionRequest { revision, physical: false };
    let request = InternalRaftRequest { compaction: Some(compaction), ..Default::default() };
    match server.propose(request).await {
        Ok(_) | Err(state::ApiError::Compacted) => {
            tracing::info!(revision, "auto compaction");
            true
        }
        Err(error) => {
            tracing::warn!(%error, revision, "auto compaction failed; it is tried again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sample_is_a_period_old() {
        let mut samples = Samples::new(Duration::from_secs(60), Duration::from_secs(6));
        for revision in 0..100 {
            samples.push(revision);
        }
        assert_eq!(samples.oldest(), 89);
    }
}
