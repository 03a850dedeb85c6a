//! The group of agents begins without an operator.

use anyhow::{Result, ensure};

use super::{SOON, flags};
use crate::harness::{hosts::Hosts, wait};

#[test]
fn equal_spec_files_on_all_hosts_bootstrap_by_themselves_and_unequal_ones_do_not() -> Result<()> {
    let mut hosts = Hosts::with_own_specs(3)?;
    hosts.write_spec(&flags(5000))?;
    for number in [15, 16] {
        hosts.write_own_spec(number, &flags(5000))?;
    }
    hosts.write_own_spec(17, &flags(5001))?;
    for number in [15, 16, 17] {
        hosts.start_agent(number)?;
    }
    wait::until_blocking(SOON, "the difference is told", || {
        let log = hosts.log_of(15);
        if log.contains("the spec file of 10.0.34.17 says something else") {
            Ok(())
        } else {
            Err(log)
        }
    })?;
    assert_eq!(hosts.status_of(15)?["spec_revision"], 0, "nothing was begun");
    hosts.write_own_spec(17, &flags(5000))?;
    let status = wait::until_blocking(SOON, "the cluster forms by itself", || {
        let status = hosts.status_of(17)?;
        ensure!(status["converged"] == true, "{status:#}");
        Ok::<_, anyhow::Error>(status)
    })?;
    assert_eq!(status["spec_revision"], 1);
    assert_eq!(status["quorum"]["healthy"], 3);
    // An edit on one host goes the same way as an apply, if the spec says so.
    let edited = format!("[agent]\nauto-apply = true\n{}", flags(6000));
    hosts.write_own_spec(16, &edited)?;
    wait::until_blocking(SOON, "the edit of one host is applied", || {
        let status = hosts.status_of(15)?;
        ensure!(status["spec_revision"] == 2 && status["converged"] == true, "{status:#}");
        for node in ["n15", "n16", "n17"] {
            let count = hosts.variable(&status, node, "ETCD_SNAPSHOT_COUNT")?;
            ensure!(count == "6000", "{node}: {count}");
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(())
}
