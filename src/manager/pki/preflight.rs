//! Judges a node's certificate files on its own host before anything is started with them, and reads how long they live.

use std::{collections::BTreeSet, path::PathBuf, time::SystemTime};

use tls::{CertificateFiles, TlsError, Usage};

use super::names::{client_hosts, peer_hosts};
use crate::spec::{MANAGER_SHOWS, MANAGER_TRUSTS, NodeSpec};

/// Everything that keeps a node from being served with the files that the spec names for it, in one text.
///
/// # Errors
/// What is wrong, with the names of files and what to do.
pub(crate) fn check(node: &NodeSpec, now: SystemTime) -> Result<(), String> {
    let mut faults = Vec::new();
    for pair in pairs(node) {
        let hosts: Vec<String> = pair.hosts.into_iter().collect();
        let checked = match &pair.authorities {
            Some(authorities) => tls::check(&pair.files, authorities, pair.usage, &hosts, now),
            None => continue,
        };
        if let Err(error) = checked {
            faults.push(explain(&error));
        }
    }
    faults.dedup();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("the certificates of node {} cannot be used: {}", node.name, faults.join("; ")))
}

fn explain(error: &TlsError) -> String {
    match error {
        TlsError::Unreadable { .. } => {
            format!(
                "{error} (`etcd-manager pki issue` makes it, docs/pki.md says how it gets here)"
            )
        }
        _ => error.to_string(),
    }
}

struct Pair {
    files: CertificateFiles,
    authorities: Option<PathBuf>,
    usage: Usage,
    hosts: BTreeSet<String>,
}

fn pairs(node: &NodeSpec) -> Vec<Pair> {
    let file = |name: &str| {
        let given = node.flags.get(name).or_else(|| node.environment.get(name));
        given.filter(|path| !path.is_empty()).map(PathBuf::from)
    };
    let pair = |certificate: &str, key: &str| {
        Some(CertificateFiles { certificate: file(certificate)?, key: file(key)? })
    };
    let trusted = || file("trusted-ca-file").or_else(|| file(MANAGER_TRUSTS));
    let mut pairs = Vec::new();
    if let Some(files) = pair("cert-file", "key-file") {
        let (authorities, hosts) = (trusted(), client_hosts(node));
        pairs.push(Pair { files, authorities, usage: Usage::Server, hosts });
    }
    if let Some(files) = pair("peer-cert-file", "peer-key-file") {
        let (authorities, hosts) = (file("peer-trusted-ca-file"), peer_hosts(node));
        pairs.push(Pair { files, authorities, usage: Usage::Both, hosts });
    }
    let shown = pair(MANAGER_SHOWS[0], MANAGER_SHOWS[1])
        .or_else(|| pair("client-cert-file", "client-key-file"));
    if let Some(files) = shown {
        let hosts = BTreeSet::new();
        pairs.push(Pair { files, authorities: trusted(), usage: Usage::Client, hosts });
    }
    pairs
}
