//! A node's settings as environment variables and as flags. Both say the same; the agent uses the environment, which
//! etcd 3.4, 3.5 and our node all take (what 3.4 does not know it only warns about).

use std::{collections::BTreeMap, path::Path};

use super::{launch::Launch, lineage::Lineage};
use crate::spec::{ClusterSpec, NodeSpec};

/// All `ETCD_*` variables of a node, and the spec's own. Token, members and initial state are the lineage record's: the
/// spec cannot change them (R2, R9).
#[must_use]
pub fn environment(
    spec: &ClusterSpec,
    node: &NodeSpec,
    lineage: &Lineage,
) -> BTreeMap<String, String> {
    let mut environment = node.environment.clone();
    let flags = settings(spec, node, lineage);
    environment.extend(flags.into_iter().map(|(flag, value)| (variable(&flag), value)));
    environment
}

/// The same as a command: the program and its flags. The spec's further environment is not in it.
#[must_use]
pub fn command_line(
    spec: &ClusterSpec,
    node: &NodeSpec,
    lineage: &Lineage,
    manager: &Path,
) -> Vec<String> {
    let program = node.binary.resolve(manager).display().to_string();
    let flags = settings(spec, node, lineage);
    let flags = flags.into_iter().map(|(flag, value)| format!("--{flag}={value}"));
    std::iter::once(program).chain(flags).collect()
}

/// All that a node's process is started with. `manager`: path of the running `etcd-manager`.
#[must_use]
pub fn launch(spec: &ClusterSpec, node: &NodeSpec, lineage: &Lineage, manager: &Path) -> Launch {
    Launch {
        binary: node.binary.resolve(manager),
        user: spec.user.clone(),
        environment: environment(spec, node, lineage),
    }
}

fn settings(spec: &ClusterSpec, node: &NodeSpec, lineage: &Lineage) -> BTreeMap<String, String> {
    debug_assert!(spec.node(&node.name).is_some(), "the node is of this spec");
    let mut settings = node.flags.clone();
    let mut set = |flag: &str, value: String| settings.insert(flag.to_owned(), value);
    set("name", node.name.clone());
    set("data-dir", node.data_dir.display().to_string());
    if let Some(dir) = &node.wal_dir {
        set("wal-dir", dir.display().to_string());
    }
    set("listen-client-urls", node.listen_client_urls.join(","));
    set("advertise-client-urls", node.advertise_client_urls.join(","));
    set("listen-peer-urls", node.listen_peer_urls.join(","));
    set("initial-advertise-peer-urls", node.advertise_peer_urls.join(","));
    set("initial-cluster", initial_cluster(lineage.initial_cluster_of(&node.name)));
    set("initial-cluster-state", lineage.initial_state.as_str().to_owned());
    set("initial-cluster-token", lineage.token.clone());
    settings
}

/// `n1=http://a:2380,n1=http://b:2380,n2=…`
fn initial_cluster(members: &[(String, Vec<String>)]) -> String {
    let pairs =
        members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
    pairs.collect::<Vec<_>>().join(",")
}

fn variable(flag: &str) -> String {
    let known = base::flags::find(flag);
    known.expect("the spec was checked against the table of flags").environment_name()
}
