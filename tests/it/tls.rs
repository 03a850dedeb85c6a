//! TLS beside the real etcd: the same certificates let in and kept out, Go members and ours over mutual TLS, new files
//! taken without a restart.

mod admission;
mod issued;
mod managed;
mod members;
mod pki;
mod rotation;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use client::{Client, ClientOptions};
use tls::CertificateFiles;

use crate::harness::{
    child::Process,
    cluster::{Cluster, Node, READY},
    wait,
};

/// A node's client URL with TLS.
fn secure_url(node: &Node) -> String {
    node.url().replace("http://", "https://")
}

/// Makes the client URLs of all members https.
fn secure_clients(cluster: &mut Cluster, flags: &[(&str, String)]) {
    for node in &mut cluster.nodes {
        let url = secure_url(node);
        node.set_flag("--listen-client-urls", &url);
        node.set_flag("--advertise-client-urls", &url);
        for (flag, value) in flags {
            node.set_flag(flag, value);
        }
    }
}

/// Makes the peer URLs of all members https.
fn secure_peers(cluster: &mut Cluster, flags: &[(&str, String)]) {
    for node in &mut cluster.nodes {
        let url = node.peer_url().replace("http://", "https://");
        let initial = node.flag("--initial-cluster").replace("http://", "https://");
        node.set_flag("--listen-peer-urls", &url);
        node.set_flag("--initial-advertise-peer-urls", &url);
        node.set_flag("--initial-cluster", &initial);
        for (flag, value) in flags {
            node.set_flag(flag, value);
        }
    }
}

/// A client that trusts `authorities` and shows `identity`.
fn connect(node: &Node, authorities: &Path, identity: Option<CertificateFiles>) -> Result<Client> {
    let tls = client::tls(authorities, identity)?;
    let options = ClientOptions { request_timeout: Duration::from_secs(5), ..Default::default() };
    Client::with_tls(&[secure_url(node)], options, Some(&tls)).context("a client")
}

/// Waits until a member answers a linearizable read over TLS.
async fn serving(node: &Node, client: &Client) -> Result<()> {
    let ready = wait::until(READY, "the member answers over TLS", async || client.health().await);
    let said = || node.process.as_ref().map(Process::log_tail).unwrap_or_default();
    ready.await.map(drop).with_context(said)
}
