//! Tells whoever asked for something how it goes, and the log.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::{sync::mpsc, time::Instant};
use wire::agentpb::{
    Progress,
    progress::{Kind, Outcome},
};

/// Lines waiting for a slow reader; more `WAITING` lines are dropped.
pub(crate) const PROGRESS_QUEUE_MAX: usize = 64;

/// One request's listener, if there is one.
#[derive(Debug)]
pub(crate) struct Voice {
    listener: Option<mpsc::Sender<Progress>>,
    begun: Instant,
    /// Number of the goal that the request became; 0 before.
    goal: AtomicU64,
}

impl Voice {
    /// Speaks to the command line.
    pub(crate) fn to(listener: mpsc::Sender<Progress>) -> Self {
        Self { listener: Some(listener), begun: Instant::now(), goal: AtomicU64::new(0) }
    }

    /// Speaks to the log only.
    pub(crate) fn to_log() -> Self {
        Self { listener: None, begun: Instant::now(), goal: AtomicU64::new(0) }
    }

    /// Whether the listener hung up: the operator interrupted.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.listener.as_ref().is_some_and(mpsc::Sender::is_closed)
    }

    /// Returns when the listener hangs up; never without one.
    pub(crate) async fn hung_up(&self) {
        match &self.listener {
            Some(listener) => listener.closed().await,
            None => std::future::pending().await,
        }
    }

    /// The request was committed as this goal.
    pub(crate) fn is_goal(&self, number: u64) {
        self.goal.store(number, Ordering::Relaxed);
        if let Some(listener) = &self.listener {
            // Not worth a wait: every later line says it too.
            drop(listener.try_send(self.progress(Kind::Waiting, String::new())));
        }
    }

    pub(crate) async fn note(&self, text: String) {
        tracing::info!("{text}");
        self.say(Kind::Note, text).await;
    }

    pub(crate) async fn step(&self, text: String) {
        tracing::info!("{text}");
        self.say(Kind::Step, text).await;
    }

    pub(crate) async fn step_done(&self, text: String) {
        tracing::info!("{text}");
        self.say(Kind::StepDone, text).await;
    }

    /// What is waited for; not worth waiting itself.
    pub(crate) fn waiting(&self, text: String) {
        tracing::debug!("{text}");
        if let Some(listener) = &self.listener {
            drop(listener.try_send(self.progress(Kind::Waiting, text)));
        }
    }

    pub(crate) async fn end(&self, outcome: Outcome, text: String) {
        if outcome == Outcome::Converged {
            tracing::info!("{text}");
        } else {
            tracing::warn!("{text}");
        }
        let last = Progress { outcome: outcome.into(), ..self.progress(Kind::End, text) };
        self.send(last).await;
    }

    async fn say(&self, kind: Kind, text: String) {
        self.send(self.progress(kind, text)).await;
    }

    async fn send(&self, progress: Progress) {
        if let Some(listener) = &self.listener {
            // A listener that hung up is noticed by `has_hung_up`.
            drop(listener.send(progress).await);
        }
    }

    fn progress(&self, kind: Kind, text: String) -> Progress {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let goal = self.goal.load(Ordering::Relaxed);
        Progress { kind: kind.into(), text, elapsed_ms, goal, ..Progress::default() }
    }
}
