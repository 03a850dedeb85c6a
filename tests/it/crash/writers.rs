//! Clients that write all the time and remember what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::Instant};

use crate::harness::{api::Api, wait};

/// Between two writes of one client: the members restart beside them on few cores.
const PAUSE: Duration = Duration::from_millis(5);

/// Key -> (value, revision) of acknowledged writes.
pub(crate) type Acknowledged = BTreeMap<String, (String, i64)>;

/// Running writers.
#[derive(Debug)]
pub(crate) struct Writers {
    urls: Vec<String>,
    tasks: Vec<JoinHandle<Result<()>>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicU64,
    /// Greatest acknowledged revision.
    revision: AtomicI64,
    acknowledged: Mutex<Acknowledged>,
    pace: Mutex<Pace>,
}

/// When the last write was acknowledged, and the longest pause between two since somebody asked.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    longest: Duration,
}

impl Pace {
    fn beat(&mut self) {
        let now = Instant::now();
        let pause = self.last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last));
        self.longest = self.longest.max(pause);
    }
}

/// See [`Writers::progress`].
#[derive(Debug)]
pub(crate) struct Progress(Arc<Shared>);

impl Progress {
    /// Waits until `more` further writes were acknowledged.
    pub(crate) async fn acknowledged_more(&self, more: u64) -> Result<()> {
        let wanted = self.0.count.load(Ordering::Relaxed) + more;
        wait::until(Duration::from_secs(60), "writes are acknowledged", || async {
            let now = self.0.count.load(Ordering::Relaxed);
            if now >= wanted || self.0.stop.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err(format!("{now} of {wanted}"))
            }
        })
        .await
    }

    /// The longest time between two acknowledged writes, up to now, since this was asked last.
    pub(crate) fn longest_gap(&self) -> Duration {
        let mut pace = self.0.pace.lock();
        let open = pace.last.map_or(Duration::ZERO, |last| last.elapsed());
        std::mem::take(&mut pace.longest).max(open)
    }

    /// Whether the writers were told to end.
    pub(crate) fn is_over(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }
}

impl Writers {
    /// Starts `count` writers over all members.
    pub(crate) fn start(urls: &[String], count: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut tasks = Vec::new();
        for writer in 0..count {
            let apis = urls
                .iter()
                .map(|url| Api::with_timeout(url, Duration::from_secs(3)))
                .collect::<Result<Vec<_>>>()?;
            tasks.push(tokio::spawn(write(writer, apis, Arc::clone(&shared))));
        }
        Ok(Self { urls: urls.to_vec(), tasks, shared })
    }

    /// Waits until `more` further writes were acknowledged.
    pub(crate) async fn acknowledged_more(&self, more: u64) -> Result<()> {
        self.progress().acknowledged_more(more).await
    }

    /// The pace of the writers, for others.
    pub(crate) fn progress(&self) -> Progress {
        Progress(Arc::clone(&self.shared))
    }

    /// Every member's linearizable view is at or past what was acknowledged, and some acknowledged keys are there.
    pub(crate) async fn check_so_far(&self) -> Result<()> {
        let (floor, sample) = {
            let acknowledged = self.shared.acknowledged.lock();
            let floor = self.shared.revision.load(Ordering::Relaxed);
            let sample: Acknowledged = acknowledged
                .iter()
                .rev()
                .step_by(7)
                .take(40)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            (floor, sample)
        };
        for url in &self.urls {
            let api = Api::with_timeout(url, Duration::from_secs(3))?;
            let now = wait::until(Duration::from_secs(30), "a linearizable read", || {
                let mut api = api.clone();
                async move { api.get("health").await }
            })
            .await?;
            let revision = now.header.map_or(0, |header| header.revision);
            ensure!(revision >= floor, "{url} is at revision {revision}, {floor} was acknowledged");
        }
        all_there(&self.urls[..1], &sample).await
    }

    /// Ends the writers; returns all that was acknowledged.
    pub(crate) async fn stop(self) -> Result<Acknowledged> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(std::mem::take(&mut *self.shared.acknowledged.lock()))
    }
}

async fn write(writer: usize, mut apis: Vec<Api>, shared: Arc<Shared>) -> Result<()> {
    let mut last_revision = 0;
    for number in 0_u64.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let member = (writer + usize::try_from(number)?) % apis.len();
        let key = format!("w{writer}/{number:08}");
        let value = format!("value-{number}-{}", "x".repeat(200));
        match apis[member].put(&key, &value).await {
            Ok(revision) => {
                if revision <= last_revision {
                    bail!("writer {writer}: revision {revision} after {last_revision}");
                }
                last_revision = revision;
                shared.acknowledged.lock().insert(key, (value, revision));
                shared.revision.fetch_max(revision, Ordering::Relaxed);
                shared.count.fetch_add(1, Ordering::Relaxed);
                shared.pace.lock().beat();
                tokio::time::sleep(PAUSE).await;
            }
            // Refused, or lost with its answer: it may or may not be there. Nothing is claimed.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    Ok(())
}

/// Every acknowledged write is there, with its value and its revision, on every member.
pub(crate) async fn all_there(urls: &[String], acknowledged: &Acknowledged) -> Result<()> {
    for url in urls {
        let api = Api::with_timeout(url, Duration::from_secs(10))?;
        for (key, (value, revision)) in acknowledged {
            let answer = wait::until(Duration::from_secs(30), "a linearizable read", || {
                let mut api = api.clone();
                async move { api.get(key).await }
            })
            .await?;
            let Some(found) = answer.kvs.first() else {
                bail!("{url}: {key}, acknowledged at revision {revision}, is lost");
            };
            ensure!(found.value == value.as_bytes(), "{url}: {key} has another value");
            ensure!(found.mod_revision == *revision, "{url}: {key} moved to another revision");
        }
    }
    Ok(())
}

/// A line in the test's output.
#[expect(clippy::print_stderr, reason = "seeds are printed")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}
