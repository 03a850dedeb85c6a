//! Which hosts of a spec are this machine.

use std::net::{IpAddr, ToSocketAddrs};

use crate::{spec::ClusterSpec, supervise::process::is_local_address};

/// The hosts of a spec that are not this machine, each once, in the order of the spec. A name that
/// cannot be resolved is not this machine.
#[must_use]
pub fn remote_hosts(spec: &ClusterSpec) -> Vec<String> {
    let mut remote: Vec<String> = Vec::new();
    for node in &spec.nodes {
        if !remote.contains(&node.host) && !is_local(&node.host) {
            remote.push(node.host.clone());
        }
    }
    remote
}

/// Whether a host is this machine.
#[must_use]
pub fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return is_local_address(address);
    }
    let Ok(addresses) = (bare, 0).to_socket_addrs() else { return false };
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    !addresses.is_empty() && addresses.into_iter().all(is_local_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_addresses_are_this_machine() {
        assert!(is_local("127.0.0.1"));
        assert!(is_local("[::1]"));
        assert!(is_local("localhost"));
        assert!(!is_local("192.0.2.77"));
        assert!(!is_local("no-such-host.invalid"));
    }
}
