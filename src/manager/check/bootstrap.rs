//! R1, R2: when a new cluster may be formed.

use super::Case;
use crate::generate::InitialState;
use crate::plan::{Action, Note, kinds::Dir};

fn bootstraps<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a [String]> {
    case.actions().filter_map(|action| match action {
        Action::Bootstrap { nodes } => Some(nodes.as_slice()),
        _ => None,
    })
}

/// R1: no new cluster while one answers.
pub(super) fn r1_no_new_cluster_beside_one_that_answers(case: &Case<'_>) -> Vec<Note> {
    let answers = case.observation.members.known().is_some() || !case.healthy().is_empty();
    bootstraps(case)
        .filter(|_| answers)
        .map(|_| Case::refuse(1, None, "a new cluster would be formed while one answers"))
        .collect()
}

/// R2: `new` is a latch.
pub(super) fn r2_new_only_before_the_latch(case: &Case<'_>) -> Vec<Note> {
    let open = match case.history.lineage.known() {
        None => false,
        Some(None) => true,
        Some(Some(lineage)) => lineage.initial_state == InitialState::New,
    };
    bootstraps(case)
        .filter(|_| !open)
        .map(|_| {
            Case::refuse(2, None, "a new cluster would be formed where one was, or may have been")
        })
        .collect()
}

/// R2: all nodes of the spec, each known to be empty and without a process.
pub(super) fn r2_a_bootstrap_is_of_all_nodes_and_all_are_empty(case: &Case<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for nodes in bootstraps(case) {
        if case.spec.nodes.iter().any(|node| !nodes.contains(&node.name))
            || nodes.len() != case.spec.nodes.len()
        {
            notes.push(Case::refuse(
                2,
                None,
                "the bootstrap is not of exactly the nodes of the spec",
            ));
        }
        for node in nodes {
            let empty = case.dir(node) == Some(Dir::Empty);
            let runs = case
                .observation
                .node(node)
                .is_none_or(|seen| seen.process.known().is_none_or(crate::plan::Process::is_alive));
            if !empty || runs {
                let text = "it would start as new without being known to be empty and stopped";
                notes.push(Case::refuse(2, Some(node), text));
            }
        }
    }
    notes
}
