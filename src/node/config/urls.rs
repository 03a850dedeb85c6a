//! Rules for URLs: where a member may listen and what it may advertise.

use std::net::IpAddr;

use base::flags;

use super::{Config, Listen, Refusal, given::Given};

/// Checks listeners and advertised URLs in etcd's order and words.
pub(super) fn check(given: &Given, listen: &Listen) -> Result<(), Refusal> {
    for url in listen.peer.iter().chain(&listen.client).chain(&listen.metrics) {
        check_bind(url)?;
    }
    for name in ["initial-advertise-peer-urls", "advertise-client-urls"] {
        let urls = given.urls(name);
        for url in &urls {
            if host_of(url).is_empty() {
                let all = urls.join(",");
                return Err(Refusal::invalid(format!(
                    "--{name} {all:?} must be \"host:port\" (unexpected empty host ({url}))"
                )));
            }
        }
    }
    for (name, urls) in [("listen-peer-urls", &listen.peer), ("listen-client-urls", &listen.client)]
    {
        if urls.is_empty() {
            return Err(Refusal::invalid(format!("--{name} names no URL")));
        }
    }
    Ok(())
}

fn check_bind(url: &str) -> Result<(), Refusal> {
    let host = host_of(url);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if url.starts_with("unix") || host == "localhost" || bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Refusal::invalid(format!("expected IP in URL for binding ({url})")))
}

/// The host of a checked URL, with brackets round an IPv6 address.
fn host_of(url: &str) -> &str {
    let address = flags::parse_url(url).map_or("", |(_, address)| address);
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Unix sockets are refused wherever they are asked for.
pub(super) fn refuse_unserved(given: &Given, config: &Config) -> Result<(), Refusal> {
    let flags = [
        "listen-peer-urls",
        "listen-client-urls",
        "listen-metrics-urls",
        "initial-advertise-peer-urls",
        "advertise-client-urls",
    ];
    let given =
        flags.into_iter().flat_map(|name| given.urls(name).into_iter().map(move |url| (name, url)));
    let members = config.cluster.members.values().flatten();
    let members = members.map(|url| ("initial-cluster", url.clone()));
    for (name, url) in given.chain(members) {
        let reason = match flags::parse_url(&url) {
            Ok(("http" | "https", _)) => continue,
            _ => "sockets of the file system are not served yet",
        };
        return Err(Refusal::invalid(format!(
            "not supported by etcd-node: --{name} has {url}: {reason}"
        )));
    }
    Ok(())
}
