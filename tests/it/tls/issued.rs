//! `etcd-manager pki` and `[tls] mode = "managed"`: a cluster whose certificates the product made, used by the real etcdctl,
//! and its authority changed under a writer.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::ensure;
use parking_lot::Mutex;

use super::{
    rotation::{more, write_on},
    *,
};
use crate::harness::{ctl, ctl::Said, manager::Managed, oracle, oracle::Version};

const MANAGED: &str = "[tls]\nmode = \"managed\"\n";

fn done(managed: &Managed, arguments: &[&str]) -> Result<Said> {
    let said = managed.run(arguments)?;
    ensure!(said.code == 0, "{arguments:?}: {said:?}");
    Ok(said)
}

fn person(managed: &Managed, name: &str) -> (PathBuf, CertificateFiles) {
    let folder = managed.root().join("pki/people").join(name);
    let (certificate, key) = (folder.join("client.pem"), folder.join("client-key.pem"));
    (folder.join("ca.pem"), CertificateFiles { certificate, key })
}

fn etcdctl(managed: &Managed, name: &str, words: &[&str]) -> Result<Said> {
    let (bundle, files) = person(managed, name);
    let shown = [
        format!("--cacert={}", bundle.display()),
        format!("--cert={}", files.certificate.display()),
        format!("--key={}", files.key.display()),
        "--command-timeout=3s".to_owned(),
    ];
    let words: Vec<&str> = shown.iter().map(String::as_str).chain(words.iter().copied()).collect();
    ctl::run(Version::V35, &managed.endpoints().replace("http://", "https://"), &words)
}

#[test]
fn nothing_starts_before_the_certificates_are_good() -> Result<()> {
    let managed = Managed::new(1, MANAGED)?;
    let said = managed.run(&["apply"])?;
    ensure!(said.code == 5 && said.err.contains("hosts/127.0.0.1/server.pem"), "{said:?}");
    done(&managed, &["pki", "init", "--spec", "cluster.toml"])?;
    let host = managed.root().join("pki/hosts/127.0.0.1");
    std::fs::copy(host.join("agent-key.pem"), host.join("server-key.pem"))?;
    let said = managed.run(&["apply"])?;
    ensure!(said.code == 5 && said.err.contains("server-key.pem"), "{said:?}");
    let said = managed.run(&["pki", "show", "--spec", "cluster.toml"])?;
    ensure!(said.code == 1 && said.out.contains("unusable"), "{said:?}");
    done(&managed, &["pki", "issue", "127.0.0.1", "--renew", "--spec", "cluster.toml"])?;
    done(&managed, &["apply"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_cluster_changes_its_authority_under_a_writer() -> Result<()> {
    let managed = Managed::new(3, MANAGED)?;
    done(&managed, &["pki", "init", "--spec", "cluster.toml"])?;
    for name in ["writer", "old"] {
        done(&managed, &["pki", "issue", name, "--for", "client"])?;
    }
    done(&managed, &["apply"])?;
    let before = managed.status()?;
    assert_eq!(before["converged"], true, "{before}");
    let certificate = &before["members"][0]["certificate"];
    assert_eq!(certificate["days_left"], 364, "{certificate}");
    let (bundle, files) = person(&managed, "writer");
    let kept = managed.root().join("old-pair");
    std::fs::create_dir_all(&kept)?;
    let old = person(&managed, "old").1;
    for file in [&old.certificate, &old.key] {
        std::fs::copy(file, kept.join(file.file_name().context("a name")?))?;
    }
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let endpoints = managed.endpoints().replace("http://", "https://");
    let urls = endpoints.split(',').map(str::to_owned).collect();
    // The writer's own pair is its own copy: a pair that is half replaced is for servers to get over.
    let own = managed.root().join("writer-pair");
    std::fs::create_dir_all(&own)?;
    let copy = |to: &str| -> Result<CertificateFiles> {
        let (certificate, key) = (own.join(format!("{to}.pem")), own.join(format!("{to}.key")));
        std::fs::copy(&files.certificate, &certificate)?;
        std::fs::copy(&files.key, &key)?;
        Ok(CertificateFiles { certificate, key })
    };
    let shown = Arc::new(Mutex::new(copy("first")?));
    let shared = (Arc::clone(&stop), Arc::clone(&written));
    let writing = tokio::spawn(write_on(urls, bundle, Arc::clone(&shown), shared));
    more(&written).await?;
    let early = managed.run(&["pki", "rotate", "reissue", "--carried"])?;
    ensure!(early.code == 5 && early.err.contains("rotate trust"), "{early:?}");
    done(&managed, &["pki", "rotate", "trust"])?;
    more(&written).await?;
    done(&managed, &["pki", "rotate", "reissue", "--carried"])?;
    more(&written).await?;
    *shown.lock() = copy("second")?;
    more(&written).await?;
    done(&managed, &["pki", "rotate", "drop", "--carried"])?;
    more(&written).await?;
    stop.store(true, Ordering::Relaxed);
    writing.await??;
    let said = etcdctl(&managed, "writer", &["get", "k0"])?;
    ensure!(said.code == 0 && said.out.contains("k0"), "{said:?}");
    for file in [&old.certificate, &old.key] {
        std::fs::copy(kept.join(file.file_name().context("a name")?), file)?;
    }
    ensure!(etcdctl(&managed, "old", &["get", "k0"])?.code != 0, "the old authority is trusted");
    let after = managed.status()?;
    assert_eq!(after["converged"], true, "{after}");
    for member in 0..3 {
        assert_eq!(before["members"][member]["pid"], after["members"][member]["pid"], "restarted");
    }
    Ok(())
}

/// The certificates are good for the real etcd as well.
#[test]
fn a_real_etcd_runs_with_managed_certificates() -> Result<()> {
    let binary = oracle::tool(Version::V35, "etcd")?;
    let managed = Managed::new(1, &format!("[defaults]\nbinary = {binary:?}\n\n{MANAGED}"))?;
    done(&managed, &["pki", "init", "--spec", "cluster.toml"])?;
    done(&managed, &["pki", "issue", "user", "--for", "client"])?;
    done(&managed, &["apply"])?;
    let said = etcdctl(&managed, "user", &["put", "k", "v"])?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}
