//! What etcd's versions allow: one minor version at a time, none below the cluster's, and none that is not known.

use std::fmt;

use super::Case;
use crate::plan::{Action, Fact, NodeObservation, Note, NoteKind, Process};

/// Major and minor version: what etcd's compatibility is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    major: u32,
    minor: u32,
}

impl Release {
    /// Of `3.5.1`.
    fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.split('.');
        let mut next = || numbers.next()?.parse().ok();
        Some(Self { major: next()?, minor: next()? })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A node that is restarted with another program: that program's version is known before the old one is stopped.
pub(super) fn a_new_program_is_known_before_it_is_started(case: &Case<'_>) -> Vec<Note> {
    let changed = |node: &NodeObservation| {
        let wanted = case.spec.node(&node.name)?.binary.resolve(&case.observation.manager);
        let Process::Running(run) = node.process.known()? else { return None };
        Some(run.launch.binary != wanted || run.is_binary_replaced)
    };
    let restarted = case.actions().filter_map(|action| match action {
        Action::RestartNode { node, .. } => case.observation.node(node),
        _ => None,
    });
    restarted
        .filter(|node| changed(node) == Some(true))
        .filter_map(|node| {
            let Fact::Unknown(reason) = &node.program else { return None };
            let text = format!("the version of its new program is not known: {reason}");
            Some(refused(
                &node.name,
                text,
                "put an etcd there that answers `--version`, and apply again",
            ))
        })
        .collect()
}

/// etcd's upgrades go one minor version at a time.
pub(super) fn one_minor_version_at_a_time(case: &Case<'_>) -> Vec<Note> {
    let Some(oldest) = oldest(case) else { return Vec::new() };
    let next = Release { minor: oldest.minor + 1, ..oldest };
    let judge = |(node, wanted): (&NodeObservation, Release)| {
        let text = format!(
            "it would run etcd {wanted} in a cluster of {oldest}: etcd goes one minor version at a time"
        );
        let remedy = format!("go over {next}: name a binary of {next}, apply, and then this one");
        (wanted > next).then(|| refused(&node.name, text, &remedy))
    };
    started(case).into_iter().filter_map(judge).collect()
}

/// A member older than the cluster's version refuses to start, and may not read what is in its data dir. Back is allowed for
/// as long as another member has not gone ahead: the cluster's version is that of its oldest member.
pub(super) fn no_program_older_than_the_cluster(case: &Case<'_>) -> Vec<Note> {
    let Some(oldest) = oldest(case) else { return Vec::new() };
    let judge = |(node, wanted): (&NodeObservation, Release)| {
        let text = format!(
            "it would run etcd {wanted}, and every member is of {oldest} at least: etcd does not start below its cluster's version"
        );
        let remedy = format!(
            "keep a binary of {oldest}; the way back is a snapshot restored into a new cluster of {wanted}, or etcd's own downgrade by hand"
        );
        (wanted < oldest).then(|| refused(&node.name, text, &remedy))
    };
    started(case).into_iter().filter_map(judge).collect()
}

/// The oldest of all members that answer: the cluster's version is no higher, and comes to be no lower.
fn oldest(case: &Case<'_>) -> Option<Release> {
    let statuses = case.observation.nodes.iter().filter_map(|node| node.status.known());
    statuses.filter_map(|status| Release::parse(&status.version)).min()
}

/// Nodes that the plan starts with another program than they run, and its version.
fn started<'a>(case: &Case<'a>) -> Vec<(&'a NodeObservation, Release)> {
    let nodes = case.actions().filter_map(|action| match action {
        Action::RestartNode { node, .. } | Action::StartNode { node } => {
            case.observation.node(node)
        }
        _ => None,
    });
    nodes.filter_map(|node| Some((node, Release::parse(node.program.known()?)?))).collect()
}

fn refused(node: &str, text: String, remedy: &str) -> Note {
    Note {
        kind: NoteKind::Refused,
        rule: None,
        node: Some(node.to_owned()),
        text,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        plan::{Fact, NoteKind, fixture::Scene},
        spec::Binary,
    };

    /// Three nodes of these versions whose spec wants a program of `wanted`.
    fn scene(running: [&str; 3], wanted: &str) -> Scene {
        let mut scene = Scene::healthy(3);
        for (name, version) in scene.names().iter().zip(running) {
            scene.status(name).version = version.to_owned();
            scene.see(name).program = Fact::Known(wanted.to_owned());
        }
        for node in &mut scene.spec.nodes {
            node.binary = Binary::Path("/opt/etcd".into());
        }
        scene
    }

    fn refusals(scene: &Scene) -> Vec<String> {
        let notes = scene.converge().notes;
        let refused = notes.into_iter().filter(|note| note.kind == NoteKind::Refused);
        refused.map(|note| format!("{}; {}", note.text, note.remedy)).collect()
    }

    #[test]
    fn one_minor_version_up_is_lawful_and_so_is_a_patch() {
        assert_eq!(refusals(&scene(["3.4.23"; 3], "3.5.1")), Vec::<String>::new());
        assert_eq!(refusals(&scene(["3.5.1"; 3], "3.5.21")), Vec::<String>::new());
        assert_eq!(refusals(&scene(["3.5.21"; 3], "3.5.1")), Vec::<String>::new());
    }

    #[test]
    fn two_minor_versions_at_once_are_refused_and_the_way_is_named() {
        for running in [["3.4.23"; 3], ["3.5.1", "3.4.23", "3.5.1"]] {
            let said = refusals(&scene(running, "3.6.0"));
            assert!(said.iter().all(|text| text.contains("go over 3.5")), "{said:?}");
            assert!(!said.is_empty());
        }
        assert!(!refusals(&scene(["3.3.10"; 3], "3.6.0")).is_empty());
    }

    #[test]
    fn a_program_below_the_clusters_version_is_refused() {
        let said = refusals(&scene(["3.5.1"; 3], "3.4.23"));
        assert!(
            said.first().is_some_and(|text| text.contains("below its cluster's version")),
            "{said:?}"
        );
        let half_way = scene(["3.5.1", "3.4.23", "3.4.23"], "3.4.23");
        assert_eq!(refusals(&half_way), Vec::<String>::new(), "the cluster is still of 3.4");
    }

    #[test]
    fn a_program_that_does_not_say_its_version_is_not_begun_with() {
        let mut scene = scene(["3.5.1"; 3], "3.5.21");
        scene.see("n2").program = Fact::Unknown("there is no program at /opt/etcd".to_owned());
        let said = refusals(&scene);
        assert!(
            said.iter().any(|text| text.contains("there is no program at /opt/etcd")),
            "{said:?}"
        );
    }

    #[test]
    fn a_changed_flag_asks_for_no_version() {
        let mut scene = Scene::healthy(3);
        scene.edit("snapshot-count", "5");
        assert_eq!(refusals(&scene), Vec::<String>::new());
    }
}
