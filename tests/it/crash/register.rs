//! A register with one writer of rising numbers and many linearizable readers: no read is of a revision before one
//! that was acknowledged when it began, none is of the future, and no reader ever goes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use crate::harness::api::Api;

const KEY: &str = "register";
/// Between two calls of one client.
const PAUSE: Duration = Duration::from_millis(10);

/// The clients of a register.
#[derive(Debug)]
pub(crate) struct Register {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The greatest number that a write was begun with.
    begun: AtomicU64,
    /// The greatest revision that was acknowledged.
    acknowledged: AtomicI64,
    reads: AtomicU64,
}

impl Register {
    /// Starts the writer and this many readers over all members.
    ///
    /// # Errors
    /// If a URL is none.
    pub(crate) fn start(urls: &[String], readers: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let apis = || -> Result<Vec<Api>> {
            urls.iter().map(|url| Api::with_timeout(url, Duration::from_secs(3))).collect()
        };
        let mut tasks = vec![tokio::spawn(write(apis()?, shared.clone()))];
        for reader in 0..readers {
            tasks.push(tokio::spawn(read(reader, apis()?, shared.clone())));
        }
        Ok(Self { shared, tasks })
    }

    /// Ends them.
    ///
    /// # Errors
    /// The read that was not linearizable; or if there was none at all.
    pub(crate) async fn check(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        ensure!(self.shared.reads.load(Ordering::Relaxed) > 0, "nothing was ever read");
        Ok(())
    }
}

async fn write(mut apis: Vec<Api>, shared: Arc<Shared>) -> Result<()> {
    for number in 1_u64.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        shared.begun.store(number, Ordering::SeqCst);
        let member = usize::try_from(number)? % apis.len();
        // One without an answer may take effect later, and then with a later revision.
        if let Ok(revision) = apis[member].put(KEY, &number.to_string()).await {
            shared.acknowledged.fetch_max(revision, Ordering::SeqCst);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn read(reader: usize, mut apis: Vec<Api>, shared: Arc<Shared>) -> Result<()> {
    let mut seen = 0;
    for turn in 0_usize.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let floor = shared.acknowledged.load(Ordering::SeqCst);
        let member = (reader + turn) % apis.len();
        if let Ok(answer) = apis[member].get(KEY).await {
            let found = answer.kvs.first();
            let revision = found.map_or(0, |found| found.mod_revision);
            ensure!(revision >= floor, "reader {reader}: revision {revision} after {floor}");
            ensure!(revision >= seen, "reader {reader}: revision {revision} after {seen} was read");
            seen = revision;
            let number: u64 =
                found.map_or(Ok(0), |it| String::from_utf8_lossy(&it.value).parse())?;
            let begun = shared.begun.load(Ordering::SeqCst);
            ensure!(number <= begun, "reader {reader}: {number} was read, {begun} was begun");
            shared.reads.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
