//! What the manager costs: `apply` on empty dirs against three bare nodes, and the idle agent.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    report,
    servers::{self, Servers},
};

/// How long the idle agent is watched.
const IDLE: Duration = Duration::from_secs(20);

/// Measures and prints.
pub(crate) async fn measure(node: &Path, rounds: usize) -> Result<()> {
    let mut bare = Vec::new();
    let mut managed = Vec::new();
    let mut idle = (0, 0.0);
    for round in 0..rounds {
        bare.push(bare_start(node).await?);
        let cluster = Managed::new()?;
        managed.push(cluster.apply()?);
        if round + 1 == rounds {
            idle = cluster.idle_agent().await?;
        }
    }
    let (bare, managed) = (median(bare), median(managed));
    report::figure(
        "three bare nodes, empty dirs to all answering, ms",
        &bare.as_millis().to_string(),
    );
    report::figure(
        "`apply`, empty dirs to three healthy members, ms",
        &managed.as_millis().to_string(),
    );
    let ratio = managed.as_secs_f64() / bare.as_secs_f64();
    report::figure("ratio", &format!("{ratio:.2}"));
    report::figure("agent RSS, MB", &(idle.0 / 1_000_000).to_string());
    report::figure("agent idle, % of a core", &format!("{:.2}", idle.1));
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn bare_start(node: &Path) -> Result<Duration> {
    let start = Instant::now();
    let servers = Servers::start(node, 3).await?;
    let elapsed = start.elapsed();
    drop(servers);
    Ok(elapsed)
}

struct Managed {
    root: TempDir,
}

impl Managed {
    #[expect(clippy::disallowed_methods, reason = "a benchmark's scratch file")]
    fn new() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("em-bench-").tempdir()?;
        let ports = servers::free_ports(6)?;
        let mut spec = "[cluster]\nname = \"bench\"\ndir = \"data\"\n".to_owned();
        for (at, pair) in ports.chunks(2).enumerate() {
            spec += &format!(
                "[[node]]\nname = \"n{at}\"\nhost = \"127.0.0.1\"\nclient-port = {}\npeer-port = {}\n",
                pair[0], pair[1]
            );
        }
        fs::write(root.path().join("cluster.toml"), spec)?;
        Ok(Self { root })
    }

    #[expect(clippy::disallowed_methods, reason = "the benchmark runs the manager")]
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_etcd-manager"))
            .args(arguments)
            .current_dir(self.root.path())
            .output()?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "etcd-manager {arguments:?}: {out}{err}");
        Ok(out)
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    fn apply(&self) -> Result<Duration> {
        let start = Instant::now();
        tokio::task::block_in_place(|| self.run(&["apply", "cluster.toml"]))?;
        Ok(start.elapsed())
    }

    /// Resident bytes of the agent, and its share of a core in per cent.
    async fn idle_agent(&self) -> Result<(u64, f64)> {
        let status: serde_json::Value =
            serde_json::from_str(&self.run(&["status", "--output", "json"])?)?;
        let pid = status["agent"]["pid"].as_u64().context("agent pid in status")?;
        let pid = u32::try_from(pid)?;
        let before = servers::cpu_seconds(pid)?;
        tokio::time::sleep(IDLE).await;
        let used = servers::cpu_seconds(pid)? - before;
        Ok((servers::rss_bytes(pid)?, used / IDLE.as_secs_f64() * 100.0))
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["stop", "--agent"]) {
            report::progress(&format!("stop after the measurement: {error}"));
        }
    }
}
