//! Three bare nodes on loopback, started for one round and killed after it, and what the kernel says of them.

use std::{
    fs,
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use wire::etcdserverpb::{
    PutRequest, RangeRequest, StatusRequest, kv_client::KvClient,
    maintenance_client::MaintenanceClient,
};

use crate::load::Load;

/// Running nodes.
#[derive(Debug)]
pub(crate) struct Servers {
    children: Vec<Child>,
    /// Client URLs.
    pub(crate) urls: Vec<String>,
    _root: TempDir,
}

impl Servers {
    /// Starts `count` nodes on empty dirs and waits until each answers a linearizable read.
    #[expect(clippy::disallowed_methods, reason = "the benchmark starts the servers it measures")]
    pub(crate) async fn start(program: &Path, count: usize) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("etcd-bench-").tempdir()?;
        let ports = free_ports(count * 2)?;
        let (clients, peers) = ports.split_at(count);
        let initial: Vec<String> = peers
            .iter()
            .enumerate()
            .map(|(at, port)| format!("b{at}=http://127.0.0.1:{port}"))
            .collect();
        let mut servers = Self {
            children: Vec::new(),
            urls: clients.iter().map(|port| format!("http://127.0.0.1:{port}")).collect(),
            _root: root,
        };
        for (at, peer) in peers.iter().enumerate() {
            let folder = servers._root.path();
            let log = File::create(folder.join(format!("b{at}.log")))?;
            let child = Command::new(program)
                .arg(format!("--name=b{at}"))
                .arg(format!("--data-dir={}", folder.join(format!("b{at}")).display()))
                .arg(format!("--listen-client-urls={}", servers.urls[at]))
                .arg(format!("--advertise-client-urls={}", servers.urls[at]))
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
                .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"))
                .arg(format!("--initial-cluster={}", initial.join(",")))
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .with_context(|| format!("start {} (run scripts/oracle?)", program.display()))?;
            servers.children.push(child);
        }
        servers.ready().await?;
        Ok(servers)
    }

    async fn ready(&self) -> Result<()> {
        for url in &self.urls {
            ready(url).await?;
        }
        Ok(())
    }

    /// Writes what the load wants to read.
    pub(crate) async fn prepare(&self, load: Load) -> Result<()> {
        let Some(keys) = load.keys_to_read() else { return Ok(()) };
        let mut kv = KvClient::new(connect(&self.urls[0]).await?);
        for key in keys {
            kv.put(PutRequest { key: key.into(), value: load.value(), ..Default::default() })
                .await?;
        }
        Ok(())
    }

    /// Client URL of the leader.
    pub(crate) async fn leader(&self) -> Result<String> {
        for url in &self.urls {
            let mut maintenance = MaintenanceClient::new(connect(url).await?);
            let status = maintenance.status(StatusRequest {}).await?.into_inner();
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                return Ok(url.clone());
            }
        }
        bail!("no leader")
    }

    /// User and system time of all nodes so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.children.iter().map(|child| cpu_seconds(child.id())).sum()
    }

    /// Largest resident set among the nodes, in bytes.
    pub(crate) fn rss_bytes(&self) -> Result<u64> {
        let each: Result<Vec<u64>> =
            self.children.iter().map(|child| rss_bytes(child.id())).collect();
        Ok(each?.into_iter().max().unwrap_or(0))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Connects, for long.
pub(crate) async fn connect(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
    endpoint.connect().await.with_context(|| format!("connect {url}"))
}

/// Waits for a linearizable read through this member.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn ready(url: &str) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(60);
    let channel =
        Endpoint::from_shared(url.to_owned())?.timeout(Duration::from_secs(2)).connect_lazy();
    let mut kv = KvClient::new(channel);
    loop {
        let request = RangeRequest { key: b"health".to_vec().into(), ..Default::default() };
        match kv.range(request).await {
            Ok(_) => return Ok(()),
            Err(status) if Instant::now() > limit => bail!("{url} does not answer: {status}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// User and system time of a process, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(") ").next().context("stat")?;
    let ticks: Vec<f64> =
        fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Resident set of a process, in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("VmRSS")?.parse()?;
    Ok(kib * 1024)
}

/// Loopback ports that nobody listens on just now, below the range of outgoing ports.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    let start = 15_000 + u16::try_from(std::process::id() % 3000)?;
    let free: Vec<u16> = (start..32_000)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .take(count)
        .collect();
    if free.len() < count {
        bail!("no {count} free ports");
    }
    Ok(free)
}
