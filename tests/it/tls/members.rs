//! Members of both programs among themselves.

use std::fs;

use super::{pki::Pki, *};
use crate::{
    crash::same_hash_everywhere,
    harness::{
        ctl,
        oracle::{Kind, Version},
    },
    mixed::snapshots::lags_behind_in,
};

fn over_mutual_tls(kinds: &[Kind], extra: &[&str]) -> Result<(Cluster, Pki)> {
    let pki = Pki::new("peers")?;
    let mut cluster = Cluster::prepare(kinds, extra)?;
    secure_peers(&mut cluster, &pki.mutual("peer-", &pki.member("member")?));
    for node in &mut cluster.nodes {
        node.set_flag("--peer-cert-allowed-cn", "member");
    }
    Ok((cluster, pki))
}

async fn caught_up_by_snapshot(kinds: [Kind; 3], entries: usize) -> Result<()> {
    let (mut cluster, _pki) = over_mutual_tls(&kinds, &["--snapshot-count=200"])?;
    for node in cluster.nodes.iter_mut().filter(|node| node.kind == Kind::Ours) {
        node.set_flag("--experimental-snapshot-catchup-entries", "100");
    }
    lags_behind_in(&mut cluster, entries).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_follower_takes_our_snapshot_over_mutual_tls() -> Result<()> {
    caught_up_by_snapshot([Kind::Ours, Kind::Ours, Kind::Real35], 1500).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_take_a_go_leader_s_snapshot_over_mutual_tls() -> Result<()> {
    caught_up_by_snapshot([Kind::Real35, Kind::Real35, Kind::Ours], 7000).await
}

/// A member whose certificate has another common name than the allowed one stays out, at ours as at the real one.
async fn keeps_out_a_peer_of_another_name(kind: Kind) -> Result<()> {
    let (mut cluster, pki) = over_mutual_tls(&[kind, kind, Kind::Ours], &[])?;
    let other = pki.member("intruder")?;
    for (flag, value) in pki.mutual("peer-", &other) {
        cluster.nodes[2].set_flag(flag, &value);
    }
    for node in &mut cluster.nodes {
        node.start()?;
    }
    let refused = wait::until(READY, "the connection is refused", async || {
        let log = cluster.nodes[0].process.as_ref().context("runs")?.log();
        anyhow::ensure!(log.contains("client certificate authentication failed"), "not yet");
        anyhow::ensure!(log.contains("rejected connection"), "not yet");
        Ok(())
    });
    refused.await?;
    let mut api = cluster.nodes[0].api()?;
    api.put("k", "v").await?;
    let mut outside = crate::harness::api::Api::with_timeout(
        &cluster.nodes[2].url(),
        Duration::from_millis(500),
    )?;
    outside.get("k").await.expect_err("it is outside");
    Ok(())
}

#[tokio::test]
async fn ours_keeps_out_a_peer_of_another_name() -> Result<()> {
    keeps_out_a_peer_of_another_name(Kind::Ours).await
}

#[tokio::test]
async fn real_3_5_keeps_out_a_peer_of_another_name() -> Result<()> {
    keeps_out_a_peer_of_another_name(Kind::Real35).await
}

/// `--auto-tls` and `--peer-auto-tls`: members of both programs form a cluster, a client pins what was generated, and a
/// restart finds it again. What the real etcd generated (P-521) is shown by ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_certificates_serve_clients_and_peers_of_both_programs() -> Result<()> {
    let mut cluster = Cluster::prepare(&[Kind::Ours, Kind::Real35, Kind::Ours], &[])?;
    let on = |flag: &'static str| [(flag, "true".to_owned())];
    secure_clients(&mut cluster, &on("--auto-tls"));
    secure_peers(&mut cluster, &on("--peer-auto-tls"));
    for node in &mut cluster.nodes {
        node.start()?;
    }
    let pinned = |node: &Node| node.data_dir().join("fixtures/client/cert.pem");
    for node in &cluster.nodes {
        wait::until(READY, "the certificate is made", async || fs::metadata(pinned(node))).await?;
        // The real one writes the file in steps.
        let client =
            wait::until(READY, "it can be read", async || connect(node, &pinned(node), None));
        serving(node, &client.await?).await?;
        let trust = format!("--cacert={}", pinned(node).display());
        for version in Version::ALL {
            ctl::ok(version, &secure_url(node), &[&trust, "put", "k", "v"])?;
        }
        let fails = ctl::run(
            Version::V35,
            &secure_url(node),
            &["--command-timeout=1s", "--insecure-transport=false", "put", "k", "v"],
        )?;
        assert_ne!(fails.code, 0, "an unknown certificate is trusted");
    }
    let before = fs::read(pinned(&cluster.nodes[0]))?;
    let from_go = cluster.nodes[1].data_dir().join("fixtures/client");
    cluster.nodes[0].stop()?;
    cluster.nodes[0].start()?;
    let client = connect(&cluster.nodes[0], &pinned(&cluster.nodes[0]), None)?;
    serving(&cluster.nodes[0], &client).await?;
    assert_eq!(fs::read(pinned(&cluster.nodes[0]))?, before, "made anew at a restart");
    cluster.nodes[2].stop()?;
    let ours = cluster.nodes[2].data_dir().join("fixtures/client");
    for file in ["cert.pem", "key.pem"] {
        fs::copy(from_go.join(file), ours.join(file))?;
    }
    cluster.nodes[2].start()?;
    let client = connect(&cluster.nodes[2], &from_go.join("cert.pem"), None)?;
    serving(&cluster.nodes[2], &client).await
}

/// Members without TLS towards clients, all of ours, over mutual TLS: they agree.
#[tokio::test]
async fn ours_agree_with_go_members_over_mutual_tls() -> Result<()> {
    let (mut cluster, _pki) =
        over_mutual_tls(&[Kind::Ours, Kind::Real34, Kind::Ours], &["--pre-vote=true"])?;
    for node in &mut cluster.nodes {
        node.start()?;
    }
    cluster.ready().await?;
    for node in &cluster.nodes {
        let mut api = node.api()?;
        for number in 0..20 {
            api.put(&format!("{}/{number}", node.name), "v").await?;
        }
    }
    same_hash_everywhere(&cluster).await
}
