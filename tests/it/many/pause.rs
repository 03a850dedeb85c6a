//! A pause among several agents, and a hook that their hosts do not allow.

use anyhow::{Result, ensure};

use super::{SOON, flags, pids};
use crate::harness::{hosts::Hosts, wait};

#[test]
fn a_pause_holds_on_all_hosts_and_outlives_the_agent_that_leads() -> Result<()> {
    let mut hosts = Hosts::new(3, &flags(5000))?;
    hosts.apply()?;
    let before = pids(&hosts.await_converged(15)?);
    let pause = ["pause", "--reason", "moving racks", "--agent", "10.0.34.16:2378"];
    let said = hosts.run(&pause)?;
    ensure!(said.code == 0 && said.out.contains("moving racks"), "{said:?}");
    let leader = hosts.leader()?;
    hosts.kill_agent(leader);
    hosts.write_spec(&flags(6000))?;
    let said = hosts.run(&["apply", "cluster.toml", "--timeout", "90s"])?;
    ensure!(said.code == 6 && said.err.contains("moving racks"), "{said:?}");
    hosts.start_agent(leader)?;
    for number in [15, 16, 17] {
        let status = wait::until_blocking(SOON, "each agent knows of it", || {
            let status = hosts.status_of(number).map_err(|error| format!("{error:#}"))?;
            let is_told =
                status["paused"]["reason"] == "moving racks" && status["spec_revision"] == 2;
            if is_told { Ok(status) } else { Err(status.to_string()) }
        })?;
        ensure!(
            pids(&status).iter().all(|pid| pid.is_null() || before.contains(pid)),
            "{status:#}"
        );
    }
    let said = hosts.run(&["resume"])?;
    ensure!(said.code == 0, "{said:?}");
    wait::until_blocking(SOON, "the recorded spec is carried out", || {
        let status = hosts.status_of(15).map_err(|error| format!("{error:#}"))?;
        let is_new = !pids(&status).iter().any(|pid| before.contains(pid));
        if is_new && status["converged"] == true { Ok(()) } else { Err(status.to_string()) }
    })?;
    hosts.write_spec(&format!("[hooks]\nbefore = \"/bin/true\"\n{}", flags(6000)))?;
    let said = hosts.run(&["apply", "cluster.toml", "--timeout", "60s"])?;
    ensure!(said.code == 5 && said.err.contains("/bin/true is not among the `hooks`"), "{said:?}");
    Ok(())
}
