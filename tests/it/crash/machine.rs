//! Power cuts of a whole machine under the manager: agent, shim and node end at once, at any step of
//! an apply, and lose what they did not sync. What was acknowledged is there again; nothing ever
//! begins anew (R2, R13).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lossy::Loss;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::writers;
use crate::harness::{ctl, lossy::LossyDisk, manager::Managed, oracle::Version, wait};

const ROUNDS: usize = 8;
/// Each process of the manager is killed before this step at the latest, if it gets so far.
const STEPS: u64 = 70;

/// One machine with one node.
struct Machine {
    managed: Managed,
    disk: LossyDisk,
}

/// What the manager acknowledged last.
#[derive(Debug, Default)]
struct Acknowledged {
    spec_revision: u64,
    uuid: Value,
    /// Keys written.
    keys: usize,
}

impl Machine {
    fn new() -> Result<Self> {
        let mut managed = Managed::new(1, "")?;
        let disk = LossyDisk::new(&managed.root().join("data"))?;
        managed.environment = disk.environment()?;
        Ok(Self { managed, disk })
    }

    /// Another spec, which calls for a restart.
    fn edit(&self, number: usize) -> Result<()> {
        let mut spec =
            "[supervise]\nbackoff-min = \"100ms\"\n\n[defaults.environment]\n".to_owned();
        for (name, value) in &self.managed.environment {
            spec += &format!("{name} = \"{value}\"\n");
        }
        spec += &format!("\n[defaults.flags]\nsnapshot-count = {}\n", 1000 + number);
        self.managed.write_spec(&spec)
    }

    fn cut_power(&self, seed: u64) -> Result<Loss> {
        wait::until_blocking(Duration::from_secs(20), "all its processes ended", || {
            let left = self.managed.processes()?;
            for (pid, _) in &left {
                // Gone meanwhile is as good.
                kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
            }
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })?;
        self.disk.cut(seed)
    }

    fn succeeds(&self, arguments: &[&str]) -> Result<()> {
        let said = self.managed.run(arguments)?;
        ensure!(said.code == 0, "{arguments:?}: {said:?}");
        Ok(())
    }

    /// Everything that was acknowledged is still there.
    fn check(&self, known: &Acknowledged) -> Result<()> {
        let status = self.managed.status()?;
        let revision = status["spec_revision"].as_u64().context("spec_revision")?;
        ensure!(revision >= known.spec_revision, "{known:?} was acknowledged: {status}");
        ensure!(status["uuid"] == known.uuid, "another cluster, {known:?}: {status}");
        let listed = ctl::ok(
            Version::V35,
            &self.managed.endpoints(),
            &["get", "--prefix", "k", "--keys-only"],
        )?;
        let keys = listed.lines().filter(|line| !line.is_empty()).count();
        ensure!(keys == known.keys, "{} keys were acknowledged: {listed}", known.keys);
        Ok(())
    }

    /// Applies and writes; both are acknowledged.
    fn acknowledge(&self, known: &mut Acknowledged) -> Result<()> {
        self.succeeds(&["apply", "cluster.toml"])?;
        let status = self.managed.status()?;
        let revision = status["spec_revision"].as_u64().context("spec_revision")?;
        ensure!(revision >= known.spec_revision, "{known:?} was acknowledged: {status}");
        known.spec_revision = revision;
        known.uuid = status["uuid"].clone();
        let key = format!("k{}", known.keys);
        ctl::ok(Version::V35, &self.managed.endpoints(), &["put", &key, "v"])?;
        known.keys += 1;
        Ok(())
    }
}

#[test]
fn a_machine_that_lost_power_at_any_step_has_all_that_was_acknowledged() -> Result<()> {
    let seed: u64 = rand::random();
    writers::note(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let machine = Machine::new()?;
    let mut known = Acknowledged::default();
    let mut lost = Loss::default();
    for round in 0..ROUNDS {
        let step = random.random_range(1..=STEPS);
        let context = || format!("seed {seed}, round {round}, step {step}");
        machine.edit(round)?;
        let nth = (lossy::KILL_AT.to_owned(), step.to_string());
        // It succeeds only where nobody came so far.
        machine.managed.run_in(&["apply", "cluster.toml", "--timeout", "20s"], &[nth])?;
        lost += machine.cut_power(random.random()).with_context(context)?;
        if known.spec_revision > 0 {
            machine.succeeds(&["start"]).with_context(context)?;
            machine.check(&known).with_context(context)?;
        }
        machine.acknowledge(&mut known).with_context(context)?;
        lost += machine.cut_power(random.random()).with_context(context)?;
    }
    writers::note(&format!("{lost:?}"));
    ensure!(lost.sectors > 0, "no power cut ever took anything: {lost:?}");
    machine.succeeds(&["start"])?;
    machine.check(&known)
}
