//! The generated environment: the same one starts ours, a real etcd 3.4 and a real etcd 3.5.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::{
    api::Api,
    child::Process,
    cluster::READY,
    manager::Managed,
    oracle::{self, Kind},
    wait,
};

#[tokio::test]
async fn one_environment_starts_ours_and_both_real_ones() -> Result<()> {
    for kind in [Kind::Ours, Kind::Real34, Kind::Real35] {
        let managed = Managed::new(3, "")?;
        let mut processes = Vec::new();
        for name in ["n1", "n2", "n3"] {
            let said = managed.run(&["env", name, "--format", "json", "--file", "cluster.toml"])?;
            ensure!(said.code == 0, "{said:?}");
            let environment: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&said.out).with_context(|| said.out.clone())?;
            let environment: Vec<(String, String)> = environment
                .into_iter()
                .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
                .collect();
            let log = managed.root().join(format!("{name}.log"));
            processes.push(Process::start(&oracle::server(kind)?, &[], &environment, &log)?);
        }
        for (client, _) in &managed.ports {
            let api = Api::with_timeout(&client.url(), Duration::from_secs(2))?;
            wait::until(READY, "the member answers", || {
                let mut api = api.clone();
                async move { api.get("a").await }
            })
            .await
            .with_context(|| format!("{kind:?}: {}", processes[0].log_tail()))?;
        }
    }
    Ok(())
}

#[test]
fn environment_and_flags_come_in_every_form() -> Result<()> {
    let managed = Managed::new(3, "")?;
    let shell = managed.run(&["env", "n2", "--file", "cluster.toml"])?;
    ensure!(shell.code == 0 && shell.out.contains("export ETCD_NAME='n2'"), "{shell:?}");
    ensure!(shell.out.contains("ETCD_INITIAL_CLUSTER_STATE='new'"), "{shell:?}");
    let unit = managed.run(&["env", "n2", "--format", "systemd", "--file", "cluster.toml"])?;
    ensure!(unit.code == 0 && unit.out.contains("ETCD_NAME="), "{unit:?}");
    let flags = managed.run(&["flags", "n2", "--file", "cluster.toml"])?;
    ensure!(flags.code == 0 && flags.out.contains("--name=n2"), "{flags:?}");
    let nobody = managed.run(&["env", "n9", "--file", "cluster.toml"])?;
    assert_eq!(nobody.code, 2, "{nobody:?}");
    Ok(())
}
