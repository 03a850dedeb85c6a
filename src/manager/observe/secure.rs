//! How the manager itself reaches a node with TLS: by what the node was started with, so also while a spec changes.

use base::ErrorChain;
use client::{Client, ClientOptions};
use tls::{CertificateFiles, ClientTls};

use super::probe::{advertised_url, client_url};
use crate::{
    generate::Launch,
    spec::{MANAGER_SHOWS, MANAGER_TRUSTS},
};

/// A client of nodes of this host that were started so.
///
/// # Errors
/// In words: a file cannot be used, or no URL be dialled.
pub(crate) fn client(launches: &[Launch], options: ClientOptions) -> Result<Client, String> {
    let urls: Vec<String> = launches.iter().filter_map(client_url).collect();
    connect(&urls, launches, options)
}

/// A client of nodes of any host, by the URLs that clients are told.
///
/// # Errors
/// In words: a file cannot be used, or no URL be dialled.
pub(crate) fn client_of_any_host(
    launches: &[Launch],
    options: ClientOptions,
) -> Result<Client, String> {
    let urls: Vec<String> = launches.iter().filter_map(advertised_url).collect();
    connect(&urls, launches, options)
}

fn connect(urls: &[String], launches: &[Launch], options: ClientOptions) -> Result<Client, String> {
    let secure = urls.iter().any(|url| url.starts_with("https://"));
    let tls = if secure { first_tls(launches)? } else { None };
    Client::with_tls(urls, options, tls.as_ref()).map_err(|error| ErrorChain(&error).to_string())
}

/// By the first node whose files can be read here: members of one cluster trust the same authorities, and the files
/// of another host's node may not be here.
fn first_tls(launches: &[Launch]) -> Result<Option<ClientTls>, String> {
    let mut trouble = None;
    for launch in launches {
        match tls_of(launch) {
            Ok(tls) => return Ok(tls),
            Err(reason) => trouble = trouble.or(Some(reason)),
        }
    }
    trouble.map_or(Ok(None), Err)
}

fn tls_of(launch: &Launch) -> Result<Option<ClientTls>, String> {
    let file = |name: &str| launch.environment.get(name).filter(|path| !path.is_empty());
    let trusted = file("ETCD_TRUSTED_CA_FILE").or_else(|| file(MANAGER_TRUSTS));
    let Some(trusted) = trusted else { return Ok(None) };
    let pair = |certificate: &str, key: &str| {
        Some(CertificateFiles { certificate: file(certificate)?.into(), key: file(key)?.into() })
    };
    // As etcd's own gateway: a client's pair, else the server's.
    let identity = pair(MANAGER_SHOWS[0], MANAGER_SHOWS[1])
        .or_else(|| pair("ETCD_CLIENT_CERT_FILE", "ETCD_CLIENT_KEY_FILE"))
        .or_else(|| pair("ETCD_CERT_FILE", "ETCD_KEY_FILE"));
    client::tls(trusted.as_ref(), identity)
        .map(Some)
        .map_err(|error| ErrorChain(&error).to_string())
}
