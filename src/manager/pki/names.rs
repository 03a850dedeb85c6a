//! The names and addresses of a host, as the spec gives them.

use std::collections::BTreeSet;

use crate::spec::{ClusterSpec, NodeSpec};

/// A host without the brackets of an IPv6 address: as certificates and folders name it.
pub(crate) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Everything that certificates of this host must be valid for; none if no node of the spec is there.
#[must_use]
pub fn names_of_host(spec: &ClusterSpec, host: &str) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    for node in spec.nodes.iter().filter(|node| bare(&node.host) == bare(host)) {
        names.insert(bare(&node.host).to_owned());
        names.extend(hosts(&[
            &node.advertise_client_urls,
            &node.listen_client_urls,
            &node.advertise_peer_urls,
            &node.listen_peer_urls,
        ]));
    }
    (!names.is_empty()).then(|| names.into_iter().collect())
}

/// The hosts by which clients and the manager itself dial a node.
pub(crate) fn client_hosts(node: &NodeSpec) -> BTreeSet<String> {
    hosts(&[&node.advertise_client_urls, node.listen_client_urls.get(..1).unwrap_or_default()])
}

/// The hosts by which peers dial a node.
pub(crate) fn peer_hosts(node: &NodeSpec) -> BTreeSet<String> {
    hosts(&[&node.advertise_peer_urls])
}

fn hosts(lists: &[&[String]]) -> BTreeSet<String> {
    let urls = lists.iter().flat_map(|urls| urls.iter());
    let hosts = urls.filter_map(|url| {
        let (host, _port) = url.split_once("://")?.1.rsplit_once(':')?;
        Some(bare(host).to_owned())
    });
    hosts.filter(|host| !["0.0.0.0", "::"].contains(&host.as_str())).collect()
}
