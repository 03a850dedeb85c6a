//! Differences between spec and cluster that only a membership change or a move of data could mend. This build does
//! neither, and says so instead of doing half.

use super::{
    note::{Note, NoteKind, Rule},
    observation::{History, Member, Observation, Process},
};
use crate::{
    generate::Lineage,
    spec::{ClusterSpec, NodeSpec},
};

/// Refusals for all nodes, and drift that nobody asked for.
pub(super) fn check(spec: &ClusterSpec, observation: &Observation, history: &History) -> Vec<Note> {
    let mut notes: Vec<Note> =
        spec.nodes.iter().flat_map(|node| check_node(node, observation, history)).collect();
    if let Some(lineage) = history.lineage.known().and_then(Option::as_ref) {
        notes.extend(missing(spec, observation, lineage));
        notes.extend(strangers(spec, observation, lineage));
    }
    notes
}

/// Refusals for one node of the spec.
pub(super) fn check_node(
    node: &NodeSpec,
    observation: &Observation,
    history: &History,
) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(lineage) = history.lineage.known().and_then(Option::as_ref) {
        match lineage.peer_urls(&node.name) {
            None => notes.push(refused(
                &node.name,
                Some(Rule(6)),
                "the spec adds it to a cluster that was formed without it".to_owned(),
                "take its [[node]] out again: this build does not add members",
            )),
            Some(urls) if !same_set(urls, &node.advertise_peer_urls) => notes.push(refused(
                &node.name,
                Some(Rule(5)),
                format!(
                    "the spec changes its peer URLs from {} to {}, which is a membership change",
                    urls.join(","),
                    node.advertise_peer_urls.join(",")
                ),
                "put the old ones back: this build does not change members",
            )),
            Some(_) => {}
        }
    }
    notes.extend(moved(node, observation));
    notes
}

/// A running node whose data the spec wants elsewhere.
fn moved(node: &NodeSpec, observation: &Observation) -> Option<Note> {
    let seen = observation.node(&node.name)?;
    let (Process::Starting(running) | Process::Running(running)) = seen.process.known()? else {
        return None;
    };
    let wal = node.wal_dir.as_ref().map(|dir| dir.display().to_string());
    let wanted = [
        ("data-dir", "ETCD_DATA_DIR", Some(node.data_dir.display().to_string())),
        ("wal-dir", "ETCD_WAL_DIR", wal),
    ];
    wanted.into_iter().find_map(|(key, variable, wanted)| {
        let runs = running.launch.environment.get(variable).cloned();
        let shown = |dir: &Option<String>| dir.clone().unwrap_or_else(|| "none".to_owned());
        (runs != wanted).then(|| {
            refused(
                &node.name,
                Some(Rule(17)),
                format!("the spec changes its `{key}` from {} to {}", shown(&runs), shown(&wanted)),
                "put the old one back, or stop the node, move the folder yourself and apply again",
            )
        })
    })
}

/// Recorded members that the spec no longer names.
fn missing(spec: &ClusterSpec, observation: &Observation, lineage: &Lineage) -> Vec<Note> {
    let gone = |name: &str| {
        let members = observation.members.known()?;
        let id = lineage.bootstrap_member(name)?.1;
        Some(members.iter().all(|member| member.id != id))
    };
    let names = lineage.initial_cluster.iter().map(|(name, _)| name);
    names
        .filter(|name| spec.node(name).is_none())
        .map(|name| match gone(name) {
            Some(true) => Note {
                kind: NoteKind::Drift,
                rule: None,
                node: Some(name.clone()),
                text: "it was removed from the cluster, and the spec no longer names it".to_owned(),
                remedy: String::new(),
            },
            _ => refused(
                name,
                Some(Rule(6)),
                "it is a member, and the spec no longer names it".to_owned(),
                "put its [[node]] back: this build does not remove members",
            ),
        })
        .collect()
}

/// Members that neither the spec nor the record names: somebody else's doing.
fn strangers(spec: &ClusterSpec, observation: &Observation, lineage: &Lineage) -> Vec<Note> {
    let known = |member: &Member| {
        let recorded = |(name, _): &(String, Vec<String>)| {
            lineage.bootstrap_member(name).is_some_and(|(_, id)| id == member.id)
        };
        lineage.initial_cluster.iter().any(recorded) || spec.node(&member.name).is_some()
    };
    let members = observation.members.known().map_or(&[][..], Vec::as_slice);
    members
        .iter()
        .filter(|member| !known(member))
        .map(|member| Note {
            kind: NoteKind::Drift,
            rule: None,
            node: None,
            text: format!(
                "the cluster has a member that the spec does not name: {} {:?} at {}",
                member.id,
                member.name,
                member.peer_urls.join(",")
            ),
            remedy: format!(
                "remove it with `etcdctl member remove {}` if it should not be there",
                member.id
            ),
        })
        .collect()
}

fn refused(node: &str, rule: Option<Rule>, text: String, remedy: &str) -> Note {
    Note {
        kind: NoteKind::Refused,
        rule,
        node: Some(node.to_owned()),
        text,
        remedy: remedy.to_owned(),
    }
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.iter().all(|url| b.contains(url)) && b.iter().all(|url| a.contains(url))
}
