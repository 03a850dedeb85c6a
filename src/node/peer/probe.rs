//! Measures the way to each peer every four seconds: round trip and difference of the clocks.
//! It only counts and warns; nothing depends on it (R15).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::ErrorChain;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    link::{Link, Shared},
    rfc3339,
};

/// Shorter than the read deadline, so that the connection lives on.
const PROBE_INTERVAL: Duration = Duration::from_secs(4);
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
const ANSWER_BYTES_MAX: usize = 4096;
/// A difference of the clocks worth a warning.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
struct Health {
    #[serde(rename = "OK", default)]
    ok: bool,
    #[serde(rename = "Now", default)]
    now: String,
}

type ProbeError = Box<dyn std::error::Error + Send + Sync>;

/// Probes a peer until its link is cancelled.
pub(crate) async fn run(shared: Arc<Shared>, link: Arc<Link>) {
    let work = async {
        let mut due = interval(PROBE_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Verdict { healthy: true, in_step: true };
        loop {
            due.tick().await;
            let verdict = run_once(&shared, &link, &last).await;
            last = verdict;
        }
    };
    link.cancel.run_until_cancelled(work).await;
}

/// What was found; a change is worth a log line.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    healthy: bool,
    in_step: bool,
}

async fn run_once(shared: &Shared, link: &Link, last: &Verdict) -> Verdict {
    let started = Instant::now();
    let answer = match timeout(PROBE_TIMEOUT, ask(shared, link)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(elapsed.into()),
    };
    let health = match answer {
        Ok(health) => health,
        Err(error) => {
            if last.healthy {
                tracing::warn!(peer = %link.id, error = %ErrorChain(&*error), "peer does not answer probes");
            }
            return Verdict { healthy: false, in_step: last.in_step };
        }
    };
    let round_trip = started.elapsed();
    link.counters.round_trip.observe(round_trip);
    let in_step = match rfc3339::parse(&health.now) {
        Some(theirs) => compare_clocks(shared, link, theirs, round_trip),
        None => last.in_step,
    };
    if last.in_step && !in_step {
        let micros = link.counters.clock_difference_micros.get();
        tracing::warn!(peer = %link.id, micros, "the peer's clock differs from ours");
    }
    if !last.healthy && health.ok {
        tracing::info!(peer = %link.id, "peer answers probes again");
    }
    Verdict { healthy: health.ok, in_step }
}

/// Records the difference; whether it is small.
fn compare_clocks(shared: &Shared, link: &Link, theirs: SystemTime, round_trip: Duration) -> bool {
    let ours = shared.config.clock.wall() - round_trip / 2;
    let (ahead, size) = match theirs.duration_since(ours) {
        Ok(size) => (true, size),
        Err(behind) => (false, behind.duration()),
    };
    let micros = i64::try_from(size.as_micros()).unwrap_or(i64::MAX);
    link.counters.clock_difference_micros.set(if ahead { micros } else { -micros });
    size <= CLOCK_DIFFERENCE_MAX
}

async fn ask(shared: &Shared, link: &Link) -> Result<Health, ProbeError> {
    let url = link.urls.pick().ok_or("the peer has no usable URL")?;
    let request = Request::get(url.join("/raft/probing")).body(Full::<Bytes>::default())?;
    let response = shared.posts.request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("the peer answered {status}").into());
    }
    Ok(serde_json::from_slice(&body)?)
}
