//! R3, R13, R14, R17: what may be started or stopped at all.

use super::Case;
use crate::plan::{Action, Fact, Note, kinds::Dir};

/// R3: a directory of another cluster, lineage or member, or a broken one, is not started.
pub(super) fn r3_only_dirs_of_this_lineage_are_started(case: &Case<'_>) -> Vec<Note> {
    let alien = |node: &&str| {
        matches!(
            case.dir(node),
            None | Some(Dir::Other | Dir::Foreign | Dir::Damaged | Dir::Unknown | Dir::Fenced)
        )
    };
    let nodes = case.started().into_iter().filter(alien);
    nodes
        .map(|node| {
            Case::refuse(
                3,
                Some(node),
                "it would start on a data dir that is not known to be its own",
            )
        })
        .collect()
}

/// R13: unreadable is not fresh.
pub(super) fn r13_an_unreadable_record_starts_nothing(case: &Case<'_>) -> Vec<Note> {
    if case.history.lineage.known().is_some() {
        return Vec::new();
    }
    let nodes = case.started().into_iter();
    nodes
        .map(|node| {
            Case::refuse(13, Some(node), "it would start though the cluster's record is unreadable")
        })
        .collect()
}

/// R14: not to know is no reason to stop something.
pub(super) fn r14_what_is_unknown_is_not_stopped(case: &Case<'_>) -> Vec<Note> {
    let unknown = |node: &str| {
        let seen = case.observation.node(node);
        seen.is_none_or(|seen| matches!(seen.process, Fact::Unknown(_)))
    };
    case.actions()
        .filter_map(|action| match action {
            Action::StopNode { node } | Action::RestartNode { node, .. } if unknown(node) => {
                Some(Case::refuse(
                    14,
                    Some(node),
                    "it would be stopped though nothing is known of its process",
                ))
            }
            _ => None,
        })
        .collect()
}

/// R17: a member whose disk is empty, or older than what it acknowledged, must not vote again under its old id.
pub(super) fn r17_a_lost_disk_is_not_started(case: &Case<'_>) -> Vec<Note> {
    let lost = |node: &&str| matches!(case.dir(node), Some(Dir::Lost | Dir::Stale));
    let lost = case.started().into_iter().filter(lost);
    lost.map(|node| {
        let text = "it would start without what it acknowledged under its id";
        Case::refuse(17, Some(node), text)
    })
    .collect()
}
