//! What `etcdctl` and other clients need to reach a cluster: the variables that etcdctl reads.

use std::{collections::BTreeMap, path::Path};

use crate::spec::{ClusterSpec, MANAGER_SHOWS, MANAGER_TRUSTS, NodeSpec};

/// Variables of TLS, in the order of [`TlsFiles`].
pub const TLS_VARIABLES: [&str; 3] = ["ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"];

/// The client URLs that the spec advertises, each once, in the order of its nodes.
#[must_use]
pub fn endpoints(spec: &ClusterSpec) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for url in spec.nodes.iter().flat_map(|node| &node.advertise_client_urls) {
        if !urls.contains(url) {
            urls.push(url.clone());
        }
    }
    urls
}

/// What etcdctl's environment has to say. Files are those of the first node whose files `is_here` finds, else of the
/// first that names some: on a host of the cluster only its own node's files may lie.
#[must_use]
pub fn etcdctl(spec: &ClusterSpec, is_here: impl Fn(&Path) -> bool) -> BTreeMap<String, String> {
    let endpoints = endpoints(spec);
    let secure = endpoints.iter().any(|url| url.starts_with("https://"));
    let mut variables = BTreeMap::from([
        ("ETCDCTL_API".to_owned(), "3".to_owned()),
        ("ETCDCTL_ENDPOINTS".to_owned(), endpoints.join(",")),
    ]);
    let all: Vec<_> = spec.nodes.iter().map(files_of).filter(|_| secure).collect();
    let complete = |files: &&TlsFiles<'_>| {
        files[0].is_some() && files.iter().flatten().all(|file| is_here(Path::new(file)))
    };
    let chosen = all.iter().find(complete).or_else(|| all.first());
    for (name, file) in TLS_VARIABLES.iter().zip(chosen.into_iter().flatten()) {
        variables.extend(file.map(|file| ((*name).to_owned(), file.to_owned())));
    }
    variables
}

/// Authorities, certificate, key.
type TlsFiles<'a> = [Option<&'a str>; 3];

/// As the manager reaches the node: a client's pair, else the server's.
fn files_of(node: &NodeSpec) -> TlsFiles<'_> {
    let flag = |name: &str| node.flags.get(name).map(String::as_str).filter(|it| !it.is_empty());
    let trusted = node.environment.get(MANAGER_TRUSTS).map(String::as_str);
    let own = |at: usize| node.environment.get(MANAGER_SHOWS[at]).map(String::as_str);
    let shown = |at: usize, name: &str| own(at).or_else(|| flag(name));
    let pair = match (shown(0, "client-cert-file"), shown(1, "client-key-file")) {
        (Some(certificate), Some(key)) => [Some(certificate), Some(key)],
        _ => [flag("cert-file"), flag("key-file")],
    };
    [flag("trusted-ca-file").or(trusted), pair[0], pair[1]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse;

    fn spec(extra: &str) -> ClusterSpec {
        let text = format!(
            "[cluster]\nname = \"c\"\n{extra}\n[[node]]\nname = \"a\"\nhost = \"10.0.0.1\"\n\
             [[node]]\nname = \"b\"\nhost = \"10.0.0.2\"\nadvertise-client-urls = [\"https://b:1\", \"https://b:2\"]\n"
        );
        parse(Path::new("/etc/cluster.toml"), &text).unwrap().spec
    }

    #[test]
    fn the_files_of_the_node_that_lives_here_are_named() {
        let spec = spec(
            "[tls]\nmode = \"files\"\ncert-file = \"pki/{node}.pem\"\nkey-file = \"pki/{node}.key\"\ntrusted-ca-file = \"pki/ca.pem\"\n",
        );
        let here = etcdctl(&spec, |file| !file.ends_with("a.key"));
        assert_eq!(here["ETCDCTL_ENDPOINTS"], "https://10.0.0.1:2379,https://b:1,https://b:2");
        assert_eq!(here["ETCDCTL_CERT"], "/etc/pki/b.pem");
        assert_eq!(here["ETCDCTL_KEY"], "/etc/pki/b.key");
        assert_eq!(here["ETCDCTL_CACERT"], "/etc/pki/ca.pem");
        let nowhere = etcdctl(&spec, |_| false);
        assert_eq!(nowhere["ETCDCTL_CERT"], "/etc/pki/a.pem");
    }

    #[test]
    fn a_plain_cluster_needs_no_files() {
        let text = "[cluster]\nname = \"c\"\n[[node]]\nname = \"a\"\nhost = \"10.0.0.1\"\n";
        let spec = parse(Path::new("/etc/cluster.toml"), text).unwrap().spec;
        let variables = etcdctl(&spec, |_| true);
        let names: Vec<_> = variables.keys().map(String::as_str).collect();
        assert_eq!(names, ["ETCDCTL_API", "ETCDCTL_ENDPOINTS"]);
    }
}
