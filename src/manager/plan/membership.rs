//! Who is in the cluster, beside who should be: the facts that changes are planned from, and what is only reported.

use base::MemberId;

use super::{
    kinds,
    note::{Note, NoteKind, Rule},
    observation::{Member, Observation, Process},
    survey::Survey,
};
use crate::{
    generate::{InitialState, Lineage},
    spec::NodeSpec,
};

/// A member whose node the spec does not name, and that the record knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surplus<'a> {
    pub(super) node: &'a str,
    pub(super) id: MemberId,
    /// As the cluster lists it; none if it does not.
    pub(super) listed: Option<&'a Member>,
}

/// The record, once a cluster was formed by it.
pub(super) fn lineage<'a>(survey: &Survey<'a>) -> Option<&'a Lineage> {
    survey.history.lineage.known().and_then(Option::as_ref)
}

/// The id of a node's member.
pub(super) fn id(survey: &Survey<'_>, node: &str) -> Option<MemberId> {
    kinds::own_member(node, lineage(survey), survey.history).map(|(_, id)| id)
}

/// A node's member, if the cluster lists it.
pub(super) fn listed<'a>(survey: &Survey<'a>, node: &str) -> Option<&'a Member> {
    let id = id(survey, node)?;
    survey.observation.members.known()?.iter().find(|member| member.id == id)
}

/// What the spec no longer names.
pub(super) fn surplus<'a>(survey: &Survey<'a>) -> Vec<Surplus<'a>> {
    let Some(record) = lineage(survey) else { return Vec::new() };
    record
        .members()
        .filter(|node| survey.spec.node(node).is_none())
        .filter_map(|node| {
            let id = id(survey, node)?;
            Some(Surplus { node, id, listed: listed(survey, node) })
        })
        .collect()
}

/// Members that neither the spec nor the record names: somebody else's doing.
pub(super) fn strangers<'a>(survey: &Survey<'a>) -> Vec<&'a Member> {
    let Some(record) = lineage(survey) else { return Vec::new() };
    let recorded: Vec<MemberId> = record
        .members()
        .chain(survey.spec.nodes.iter().map(|node| node.name.as_str()))
        .filter_map(|node| id(survey, node))
        .collect();
    // One that waits for its first start at a node's URLs is that node's: `AddLearner` takes it over.
    let awaited = |member: &Member| {
        let same = |node: &NodeSpec| same_set(&member.peer_urls, &node.advertise_peer_urls);
        member.client_urls.is_empty() && survey.spec.nodes.iter().any(same)
    };
    let members = survey.observation.members.known().map_or(&[][..], Vec::as_slice);
    members.iter().filter(|it| !recorded.contains(&it.id) && !awaited(it)).collect()
}

/// Drift that nobody asked for.
pub(super) fn drift(survey: &Survey<'_>) -> Vec<Note> {
    let note = |member: &Member| Note {
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
    };
    strangers(survey).into_iter().map(note).collect()
}

/// A spec with other members than the bootstrap that is under way.
pub(super) fn outgrown(survey: &Survey<'_>) -> Vec<Note> {
    let Some(record) = lineage(survey).filter(|it| it.initial_state == InitialState::New) else {
        return Vec::new();
    };
    let recorded = |name: &str| record.initial_cluster.iter().find(|(node, _)| node == name);
    let refused = |node: &str, text: String, remedy: &str| Note {
        kind: NoteKind::Refused,
        rule: Some(Rule(2)),
        node: Some(node.to_owned()),
        text,
        remedy: format!("{remedy} until the cluster is formed"),
    };
    let changed = survey.spec.nodes.iter().filter_map(|node| match recorded(&node.name) {
        None => {
            let text = "the cluster is being formed without it".to_owned();
            Some(refused(&node.name, text, "leave its [[node]] out"))
        }
        Some((_, urls)) if !same_set(urls, &node.advertise_peer_urls) => {
            let text = format!("the cluster is being formed with its peer URLs {}", urls.join(","));
            Some(refused(&node.name, text, "put them back"))
        }
        Some(_) => None,
    });
    let dropped =
        record.initial_cluster.iter().filter(|(name, _)| survey.spec.node(name).is_none());
    let dropped = dropped.map(|(name, _)| {
        refused(name, "the cluster is being formed with it".to_owned(), "put its [[node]] back")
    });
    changed.chain(dropped).collect()
}

/// Incarnations that cannot be: one that was given up before, or of the only voter.
pub(super) fn renewals(survey: &Survey<'_>) -> Vec<Note> {
    let Some(record) = lineage(survey) else { return Vec::new() };
    let members = survey.observation.members.known().map_or(&[][..], Vec::as_slice);
    let voters = members.iter().filter(|member| !member.learner).count();
    let judge = |node: &NodeSpec| {
        let recorded = record.incarnation(&node.name)?;
        let refused = |rule: u8, text: String, remedy: String| Note {
            kind: NoteKind::Refused,
            rule: Some(Rule(rule)),
            node: Some(node.name.clone()),
            text,
            remedy,
        };
        let votes = || listed(survey, &node.name).is_some_and(|member| !member.learner);
        if node.incarnation < recorded {
            let text = format!(
                "the spec says incarnation {}, and the member is at {recorded} already",
                node.incarnation
            );
            let remedy =
                format!("see that the spec is not an old one; write `incarnation = {recorded}`");
            return Some(refused(17, text, remedy));
        }
        let alone = node.incarnation > recorded && voters == 1 && votes();
        alone.then(|| {
            let text = "it is the only voter: without its data there is no cluster".to_owned();
            let remedy =
                "add a node first; to give the cluster up, `etcd-manager stop` it".to_owned();
            refused(6, text, remedy)
        })
    };
    survey.spec.nodes.iter().filter_map(judge).collect()
}

/// A running node whose data the spec wants elsewhere.
pub(super) fn moved(node: &NodeSpec, observation: &Observation) -> Option<Note> {
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
        (runs != wanted).then(|| Note {
            kind: NoteKind::Refused,
            rule: Some(Rule(17)),
            node: Some(node.name.clone()),
            text: format!(
                "the spec changes its `{key}` from {} to {}",
                shown(&runs),
                shown(&wanted)
            ),
            remedy:
                "put the old one back, or stop the node, move the folder yourself and apply again"
                    .to_owned(),
        })
    })
}

pub(super) fn same_set(a: &[String], b: &[String]) -> bool {
    a.iter().all(|url| b.contains(url)) && b.iter().all(|url| a.contains(url))
}
