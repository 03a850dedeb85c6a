//! The same under the manager: it restarts what was killed, and its own agent is killed too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::writers::{self, Writers};
use crate::harness::{manager::Managed, wait};

const ROUNDS: usize = 12;
/// A restart may wait out its back-off.
const HEALTHY: Duration = Duration::from_secs(60);

fn pid_of(value: &Value) -> Result<Pid> {
    let pid = value.as_i64().context("a pid in the status")?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

fn healthy(managed: &Managed) -> Result<Value> {
    wait::until_blocking(HEALTHY, "all members are healthy", || {
        let status = managed.status()?;
        let members = status["members"].as_array().context("members")?;
        ensure!(members.len() == 3, "members: {members:?}");
        ensure!(members.iter().all(|member| member["health"] == "healthy"), "{members:?}");
        Ok::<_, anyhow::Error>(status)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_nodes_and_agent_are_killed() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let managed = Managed::new(3, "[supervise]\nbackoff-min = \"100ms\"\nrestart-limit = 1000\n")?;
    let said = managed.run(&["apply", "cluster.toml"])?;
    ensure!(said.code == 0, "apply: {said:?}");
    let urls: Vec<String> = managed.ports.iter().map(|(client, _)| client.url()).collect();
    let writers = Writers::start(&urls, 4)?;
    for round in 0..ROUNDS {
        writers.acknowledged_more(random.random_range(1..60)).await?;
        let status = healthy(&managed)?;
        let members = status["members"].as_array().context("members")?;
        let agent = pid_of(&status["agent"]["pid"])?;
        let victims = match random.random_range(0..4) {
            0 => vec![agent],
            1 => vec![pid_of(&members[random.random_range(0..3)]["pid"])?],
            2 => members.iter().map(|member| pid_of(&member["pid"])).collect::<Result<_>>()?,
            _ => vec![agent, pid_of(&members[random.random_range(0..3)]["pid"])?],
        };
        for &victim in &victims {
            kill(victim, Signal::SIGKILL)?;
        }
        if victims.contains(&agent) {
            let said = managed.run(&["apply", "cluster.toml"])?;
            ensure!(said.code == 0, "seed {seed}, round {round}: apply: {said:?}");
        }
        healthy(&managed).with_context(|| format!("seed {seed}, round {round}"))?;
        writers.check_so_far().await.with_context(|| format!("seed {seed}, round {round}"))?;
    }
    let acknowledged = writers.stop().await?;
    writers::all_there(&urls, &acknowledged).await
}
