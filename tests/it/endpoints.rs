//! `etcd-manager endpoints`, read by a shell and by etcdctl of both versions.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::harness::{
    manager::Managed,
    oracle::{self, Version},
};

#[test]
fn etcdctl_reaches_the_cluster_by_what_endpoints_exports() -> Result<()> {
    let managed = Managed::new(3, "")?;
    ensure!(managed.run(&["apply"])?.code == 0);
    for version in Version::ALL {
        let script = format!(
            "ETCDCTL_CACERT=/no/such/file; export ETCDCTL_CACERT; eval \"$('{}' endpoints)\" && '{}' endpoint health && '{}' member list",
            oracle::manager().display(),
            oracle::tool(version, "etcdctl")?.display(),
            oracle::tool(version, "etcdctl")?.display(),
        );
        #[expect(clippy::disallowed_methods, reason = "the tests run the program under test")]
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(managed.root())
            .output()
            .context("run sh")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{version:?}: {output:?}");
        assert_eq!(said.lines().filter(|line| line.contains("started")).count(), 3, "{said}");
    }
    let plain = managed.run(&["endpoints", "--output", "plain"])?;
    assert_eq!(plain.out.trim_end(), managed.endpoints());
    let json: serde_json::Value =
        serde_json::from_str(&managed.run(&["endpoints", "--output", "json"])?.out)?;
    assert_eq!(json["ETCDCTL_ENDPOINTS"], managed.endpoints());
    let bad = managed.run(&["endpoints", "--output", "toml"])?;
    ensure!(bad.code == 2 && bad.err.contains("shell"), "{bad:?}");
    let missing = managed.run(&["endpoints", "nowhere.toml"])?;
    ensure!(missing.code == 3 && missing.out.is_empty(), "{missing:?}");
    Ok(())
}
