//! A stopped node's dir in the light of its host's record and of its inspection.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use disk::Disk;

use super::{Sources, places, probe::Probe};
use crate::{
    control::state::{ControlState, NodeLedger},
    guarded::{self, Word},
    plan::{DataDir, Fact},
    spec::ClusterSpec,
    supervise::state::NodeState,
};

/// What the records of nodes that do not run say about their dirs.
pub(crate) fn words(
    disk: &Arc<dyn Disk>,
    root: &Path,
    (spec, state): (&ClusterSpec, &ControlState),
    nodes: &BTreeMap<String, (NodeState, Probe)>,
) -> BTreeMap<String, Word> {
    let names = nodes.keys().chain(spec.nodes.iter().map(|node| &node.name));
    let said = names.filter_map(|name| {
        let process = nodes.get(name).map(|(process, _)| process);
        if process.is_some_and(|process| process.phase.running().is_some()) {
            return None;
        }
        let (data_dir, _) = places(name, process, spec, state)?;
        let word = guarded::word(disk, root, state.lineage(), (name, &data_dir))?;
        Some((name.clone(), word))
    });
    said.collect()
}

/// A dir of the recorded member is what its record and its inspection say. Any other is not ours to replace, and stays
/// what it is.
pub(super) fn judged(sources: &Sources<'_>, name: &str, found: Fact<DataDir>) -> Fact<DataDir> {
    let recorded = sources.state.node(name).and_then(NodeLedger::member);
    let is_own = |found: &Fact<DataDir>| match found {
        Fact::Known(DataDir::Formed { cluster, member }) => recorded == Some((*cluster, *member)),
        _ => false,
    };
    let own = is_own(&found);
    let found = match sources.records.get(name) {
        Some(word) => word.judge(found, own),
        None => found,
    };
    let inspected = sources.inspected.get(name).filter(|_| is_own(&found));
    inspected.cloned().unwrap_or(found)
}
