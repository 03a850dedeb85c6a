//! Clients on the operator's machine: writers of keys that must not be lost, and a register whose
//! linearizable reads must never go back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, ensure};
use client::{Client, ClientOptions};
use parking_lot::Mutex;
use wire::etcdserverpb::RangeRequest;

use super::{Hosts, OPERATOR, joined};
use crate::{
    crash::{
        register::Register,
        writers::{Acknowledged, Progress, Writers},
    },
    harness::{netns, wait},
};

/// Clients under way.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    /// Client URLs of the members that must have everything in the end.
    members: Arc<Mutex<Vec<String>>>,
    progress: Arc<Mutex<Option<Progress>>>,
    thread: JoinHandle<Result<usize>>,
}

impl Hosts {
    /// Writers, a register and its readers, until told to end. They try every host that has an agent.
    pub(crate) fn load(&self) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let members = Arc::new(Mutex::new(self.urls()));
        let progress = Arc::new(Mutex::new(None));
        let (asked, at_the_end, told) = (stop.clone(), members.clone(), progress.clone());
        let urls: Vec<String> = self.numbers.iter().chain(self.spare_numbers()).map(url).collect();
        let thread = self.network.on(OPERATOR, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let writers = Writers::start(&urls, 2)?;
                let register = Register::start(&urls, 2)?;
                *told.lock() = Some(writers.progress());
                writers.acknowledged_more(20).await?;
                wait::until(Duration::from_secs(1200), "the test is over", || async {
                    if asked.load(Ordering::Relaxed) { Ok(()) } else { Err("goes on") }
                })
                .await?;
                writers.acknowledged_more(20).await?;
                register.check().await?;
                let acknowledged = writers.stop().await?;
                let members = at_the_end.lock().clone();
                for url in &members {
                    all_there(url, &acknowledged).await?;
                }
                Ok(acknowledged.len())
            })
        });
        Load { stop, members, progress, thread }
    }

    fn spare_numbers(&self) -> impl Iterator<Item = &u8> {
        self.all.iter().filter(|host| !self.numbers.contains(host))
    }
}

fn url(host: &u8) -> String {
    format!("http://{}:2379", netns::address(*host))
}

impl Load {
    /// The longest time between two acknowledged writes since this was asked last.
    pub(crate) fn longest_gap(&self) -> Duration {
        self.progress.lock().as_ref().map(Progress::longest_gap).unwrap_or_default()
    }

    /// Ends them; every acknowledged write is on every one of these members. Returns how many there were.
    ///
    /// # Errors
    /// If one was lost, a read went back, or writes stopped for good.
    pub(crate) fn check_on(self, members: Vec<String>) -> Result<usize> {
        *self.members.lock() = members;
        self.check()
    }

    /// The same with the members that there were at the start.
    ///
    /// # Errors
    /// As [`Load::check_on`].
    pub(crate) fn check(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        joined(self.thread)
    }
}

/// Every acknowledged write is there, by one linearizable read of all keys through this member.
async fn all_there(url: &str, acknowledged: &Acknowledged) -> Result<()> {
    let options = ClientOptions { request_timeout: Duration::from_secs(10), ..Default::default() };
    let client = Client::new(&[url.to_owned()], options)?;
    let request =
        || RangeRequest { key: "w".into(), range_end: "x".into(), ..RangeRequest::default() };
    let read = || async { client.range(request()).await };
    let answer = wait::until(Duration::from_secs(30), "a linearizable read", read).await?;
    let found: BTreeMap<&[u8], &[u8]> =
        answer.kvs.iter().map(|pair| (&pair.key[..], &pair.value[..])).collect();
    for (key, (value, revision)) in acknowledged {
        ensure!(
            found.get(key.as_bytes()) == Some(&value.as_bytes()),
            "{url}: {key}, acknowledged at revision {revision}, is lost"
        );
    }
    Ok(())
}
