//! A cluster of bare nodes (no manager): ours, a real etcd's, or mixed.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lossy::Loss;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use wire::etcdserverpb::StatusRequest;

use super::{
    api::Api,
    child::Process,
    lossy::LossyDisk,
    oracle::{self, Kind},
    ports::Port,
    wait,
};

/// How long a cluster may take to answer; generous, for two busy cores.
pub(crate) const READY: Duration = Duration::from_secs(45);

/// One member: its process may come and go, its ports and folder stay.
#[derive(Debug)]
pub(crate) struct Node {
    /// `m0`, `m1` …
    pub(crate) name: String,
    /// Which program runs it.
    pub(crate) kind: Kind,
    client: Port,
    peer: Port,
    root: PathBuf,
    arguments: Vec<String>,
    /// A disk of its own that loses what is not synced, if it has one.
    disk: Option<LossyDisk>,
    /// The running process, if any.
    pub(crate) process: Option<Process>,
}

impl Node {
    /// Client URL.
    pub(crate) fn url(&self) -> String {
        self.client.url()
    }

    /// Peer URL.
    pub(crate) fn peer_url(&self) -> String {
        self.peer.url()
    }

    /// The data dir.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// The directory over the data dir.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The value of a flag.
    pub(crate) fn flag(&self, flag: &str) -> &str {
        let start = format!("{flag}=");
        let found = self.arguments.iter().find_map(|argument| argument.strip_prefix(&start));
        found.unwrap_or_default()
    }

    /// Changes or adds a flag; takes effect with the next start.
    pub(crate) fn set_flag(&mut self, flag: &str, value: &str) {
        self.arguments.retain(|argument| !argument.starts_with(&format!("{flag}=")));
        self.arguments.push(format!("{flag}={value}"));
    }

    /// Starts the process (again).
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(&mut self) -> Result<()> {
        let environment = self.disk.as_ref().map_or_else(|| Ok(Vec::new()), LossyDisk::environment);
        self.start_in(&environment?)
    }

    fn start_in(&mut self, environment: &[(String, String)]) -> Result<()> {
        let log = self.root.join(format!("{}.log", self.name));
        let program = oracle::server(self.kind)?;
        self.process = Some(Process::start(&program, &self.arguments, environment, &log)?);
        Ok(())
    }

    /// Starts a process that is killed before its n-th change or sync of its lossy disk.
    ///
    /// # Errors
    /// If it has no such disk, or cannot be started.
    pub(crate) fn start_to_die_at(&mut self, nth: u64) -> Result<()> {
        let mut environment = self.disk.as_ref().context("a lossy disk")?.environment()?;
        environment.push((lossy::KILL_AT.to_owned(), nth.to_string()));
        self.start_in(&environment)
    }

    /// Whether its process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_alive)
    }

    /// Waits until it was killed.
    ///
    /// # Errors
    /// If it runs on for [`READY`], or ends in another way.
    pub(crate) fn await_death(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("it was started")?;
        let ended = process.wait(READY)?;
        ensure!(ended.signal() == Some(Signal::SIGKILL as i32), "{ended}, {}", process.log_tail());
        Ok(())
    }

    /// Gives it a disk that can lose what was not synced, before its first start.
    ///
    /// # Errors
    /// If the folders for that cannot be made.
    pub(crate) fn make_disk_lossy(&mut self) -> Result<()> {
        let disk = LossyDisk::new(&self.root.join(format!("{}.disk", self.name)))?;
        self.set_flag("--data-dir", &disk.root().join("data").display().to_string());
        self.disk = Some(disk);
        Ok(())
    }

    /// SIGKILL, and the power is gone; what is lost, the seed decides.
    ///
    /// # Errors
    /// If its disk is none that loses.
    pub(crate) fn cut_power(&mut self, seed: u64) -> Result<Loss> {
        self.kill();
        self.disk.as_ref().context("a lossy disk")?.cut(seed)
    }

    /// SIGKILL and reap.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM and wait.
    ///
    /// # Errors
    /// If it does not end within 20 s.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// gRPC stubs.
    ///
    /// # Errors
    /// None in practice: the URL is ours.
    pub(crate) fn api(&self) -> Result<Api> {
        Api::lazy(&self.url())
    }
}

/// Members that share one bootstrap.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The members, in the order of the initial cluster, then those that joined.
    pub(crate) nodes: Vec<Node>,
    pub(super) root: TempDir,
    /// Flags that each member gets.
    pub(super) extra: Vec<String>,
}

impl Cluster {
    /// Prepares (and does not start) one node per kind; `extra` flags go to each.
    ///
    /// # Errors
    /// If ports or folders cannot be had.
    pub(crate) fn prepare(kinds: &[Kind], extra: &[&str]) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("etcd-it-").tempdir()?;
        let clients = Port::take_many(kinds.len())?;
        let peers = Port::take_many(kinds.len())?;
        let initial: Vec<String> =
            peers.iter().enumerate().map(|(at, peer)| format!("m{at}={}", peer.url())).collect();
        let initial = initial.join(",");
        let mut cluster = Self {
            nodes: Vec::new(),
            root,
            extra: extra.iter().map(|&flag| flag.into()).collect(),
        };
        for ((kind, client), peer) in kinds.iter().zip(clients).zip(peers) {
            let mut node = cluster.node(*kind, client, peer);
            node.set_flag("--initial-cluster", &initial);
            node.set_flag("--initial-cluster-state", "new");
            cluster.nodes.push(node);
        }
        Ok(cluster)
    }

    /// A further node, not started; it does not know yet with whom.
    pub(super) fn node(&self, kind: Kind, client: Port, peer: Port) -> Node {
        let name = format!("m{}", self.nodes.len());
        let root = self.root.path().to_owned();
        let mut arguments = vec![
            format!("--name={name}"),
            format!("--data-dir={}", root.join(&name).display()),
            format!("--listen-client-urls={}", client.url()),
            format!("--advertise-client-urls={}", client.url()),
            format!("--listen-peer-urls={}", peer.url()),
            format!("--initial-advertise-peer-urls={}", peer.url()),
            "--initial-cluster-token=it".to_owned(),
        ];
        arguments.extend(self.extra.iter().cloned());
        Node { name, kind, client, peer, root, arguments, disk: None, process: None }
    }

    /// `count` nodes of one kind, all answering.
    ///
    /// # Errors
    /// If they do not come up.
    pub(crate) async fn start(kind: Kind, count: usize, extra: &[&str]) -> Result<Self> {
        Self::start_mixed(&vec![kind; count], extra).await
    }

    /// One node per kind, all answering.
    ///
    /// # Errors
    /// If they do not come up.
    pub(crate) async fn start_mixed(kinds: &[Kind], extra: &[&str]) -> Result<Self> {
        let mut cluster = Self::prepare(kinds, extra)?;
        for node in &mut cluster.nodes {
            node.start()?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Waits until every running node answers a linearizable read.
    ///
    /// # Errors
    /// If one does not within [`READY`].
    pub(crate) async fn ready(&self) -> Result<()> {
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            let api = Api::with_timeout(&node.url(), Duration::from_secs(2))?;
            wait::until(READY, "the member answers a linearizable read", || {
                let mut api = api.clone();
                async move { api.get("health").await }
            })
            .await
            .with_context(|| format!("member {}", node.name))
            .with_context(|| node.process.as_ref().map(Process::log_tail).unwrap_or_default())?;
        }
        Ok(())
    }

    /// All client URLs, comma-separated.
    pub(crate) fn endpoints(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(Node::url).collect();
        urls.join(",")
    }

    /// Which node leads, as the members see it.
    ///
    /// # Errors
    /// If no running node knows a leader within [`READY`].
    pub(crate) async fn leader(&self) -> Result<usize> {
        wait::until(READY, "a leader is known", async || {
            for (at, node) in self.nodes.iter().enumerate() {
                if node.process.is_none() {
                    continue;
                }
                let mut api = Api::with_timeout(&node.url(), Duration::from_secs(2))?;
                let Ok(status) = api.maintenance.status(StatusRequest {}).await else { continue };
                let status = status.into_inner();
                if status.leader != 0 && Some(status.leader) == status.header.map(|h| h.member_id) {
                    return Ok(at);
                }
            }
            anyhow::bail!("no member says that it leads")
        })
        .await
    }
}
