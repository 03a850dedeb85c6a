//! A change of the authority under load: no restart, no failed write, and in the end the old one is trusted no more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use base::{Clock, SystemClock};
use parking_lot::Mutex;

use super::{
    pki::{Pki, put},
    *,
};
use crate::harness::oracle::Kind;

/// Writes over a new connection each time, so that each write is a handshake with the files of that moment.
pub(super) async fn write_on(
    urls: Vec<String>,
    bundle: std::path::PathBuf,
    files: Arc<Mutex<CertificateFiles>>,
    (stop, written): (Arc<AtomicBool>, Arc<AtomicU64>),
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed);
        let shown = files.lock().clone();
        let tls = client::tls(&bundle, Some(shown))?;
        let url = &urls[usize::try_from(number)? % urls.len()];
        let client = Client::with_tls(&[url], ClientOptions::default(), Some(&tls))?;
        client.put(format!("k{number}"), "v").await.with_context(|| format!("write {number}"))?;
        written.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

pub(super) async fn more(written: &AtomicU64) -> Result<()> {
    let from = written.load(Ordering::Relaxed);
    wait::until(READY, "the writer goes on", async || {
        let now = written.load(Ordering::Relaxed);
        if now >= from + 20 { Ok(()) } else { Err(now) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_changed_under_load_without_a_restart_or_a_failed_write() -> Result<()> {
    let mut pki = Pki::new("first")?;
    let member = pki.member("member")?;
    let mut cluster = Cluster::prepare(&[Kind::Ours; 3], &[])?;
    secure_clients(&mut cluster, &pki.mutual("", &member));
    secure_peers(&mut cluster, &pki.mutual("peer-", &member));
    let writer = pki.client("writer")?;
    let shown = Arc::new(Mutex::new(writer.clone()));
    let old = pki.client("old")?;
    for node in &mut cluster.nodes {
        node.start()?;
    }
    for node in &cluster.nodes {
        serving(node, &connect(node, &pki.bundle(), Some(writer.clone()))?).await?;
    }
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let urls: Vec<String> = cluster.nodes.iter().map(secure_url).collect();
    let shared = (Arc::clone(&stop), Arc::clone(&written));
    let writing = tokio::spawn(write_on(urls, pki.bundle(), Arc::clone(&shown), shared));
    let goes_on = async || {
        more(&written).await.map_err(|error| match writing.is_finished() {
            true => error.context("the writer failed"),
            false => error,
        })
    };
    goes_on().await?;
    // 1. The bundle of both. 2. Certificates of the new one. 3. The bundle without the old one.
    pki.authority = pki.authority.succeed("second", SystemClock.wall())?;
    put(&pki.bundle(), &pki.authority.bundle())?;
    goes_on().await?;
    // Half a pair for a moment: key first, then certificate.
    pki.member("member")?;
    goes_on().await?;
    let fresh = pki.client("fresh")?;
    *shown.lock() = fresh.clone();
    goes_on().await?;
    pki.authority.drop_older();
    put(&pki.bundle(), &pki.authority.bundle())?;
    goes_on().await?;
    stop.store(true, Ordering::Relaxed);
    writing.await??;
    for node in &cluster.nodes {
        serving(node, &connect(node, &pki.bundle(), Some(fresh.clone()))?).await?;
        let refused = connect(node, &pki.bundle(), Some(old.clone()))?.health().await;
        assert!(refused.is_err(), "{}: the old authority is still trusted", node.name);
    }
    // Peers dial each other anew, with the new authority only.
    cluster.nodes[1].kill();
    cluster.nodes[1].start()?;
    let node = &cluster.nodes[1];
    serving(node, &connect(node, &pki.bundle(), Some(fresh.clone()))?).await?;
    let client = connect(node, &pki.bundle(), Some(fresh))?;
    let last = written.load(Ordering::Relaxed) - 1;
    assert_eq!(client.get(format!("k{last}")).await?.count, 1);
    Ok(())
}
