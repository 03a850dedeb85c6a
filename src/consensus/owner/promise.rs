//! Before anything is acknowledged: what the host's [`Witness`] has to note (R17).

use base::{Index, Term};
use prost::Message as _;
use raft::{GetEntriesContext, Ready, Storage as _};
use wire::raftpb::{self, ConfChange, ConfChangeType, ConfState, EntryType};

use super::{Owner, Step};
use crate::{
    Configured, ConsensusError, Host,
    translate::{wire_conf_state, wire_entry},
    witness::WitnessError,
};

impl<H: Host> Owner<H> {
    /// Called with every step before its messages leave, and before the log is written.
    pub(super) fn witness(&mut self, ready: &Ready) -> Step {
        if self.host.witness().is_none() {
            return Ok(());
        }
        let is_change = |entry: &raft::eraftpb::Entry| {
            entry.entry_type != raft::eraftpb::EntryType::EntryNormal
        };
        if !ready.snapshot().is_empty() || ready.entries().iter().any(is_change) {
            self.unwitnessed = true;
        }
        let configurations = self.unwitnessed.then(|| self.configurations(ready));
        let raft = &self.raw.raft;
        let (term, last) = (Term::new(raft.term), Index::new(raft.raft_log.last_index()));
        let Some(witness) = self.host.witness() else { return Ok(()) };
        let failed = |error: WitnessError| ConsensusError::Witness(error);
        if let Some(all) = configurations {
            witness.configurations(&all).map_err(failed)?;
        }
        witness.reserve(term, last).map_err(failed)?;
        self.unwitnessed = false;
        Ok(())
    }

    /// The configuration in force and those that the log leads to from there. Of the committed changes only the last
    /// counts: a new cluster's first entries were never configurations one by one.
    fn configurations(&self, ready: &Ready) -> Vec<Configured> {
        let snapshot = ready.snapshot();
        let store = self.raw.store();
        let (mut members, from) = if snapshot.is_empty() {
            (wire_conf_state(store.conf_state().clone()), store.changed_at())
        } else {
            let metadata = snapshot.get_metadata();
            (wire_conf_state(metadata.get_conf_state().clone()), metadata.index)
        };
        let term = if snapshot.is_empty() {
            store.term(from).unwrap_or_default()
        } else {
            snapshot.get_metadata().term
        };
        let mut all = Vec::new();
        if !members.voters.is_empty() || !members.learners.is_empty() {
            all.push(configured(term, from, &members));
        }
        let committed = self.raw.raft.raft_log.committed;
        let mut in_force = None;
        for (term, index, change) in self.changes_behind(from, ready) {
            follow(&mut members, &change);
            let next = configured(term, index, &members);
            if index <= committed {
                in_force = Some(next);
            } else {
                all.extend(in_force.take());
                all.push(next);
            }
        }
        all.extend(in_force);
        all
    }

    /// Changes in the log behind an index: what is stored, then what this step brings.
    fn changes_behind(&self, from: u64, ready: &Ready) -> Vec<(u64, u64, ConfChange)> {
        let store = self.raw.store();
        let new = ready.entries();
        let stored_to =
            new.first().map_or_else(|| store.last(), |first| first.index - 1).min(store.last());
        let low = (from + 1).max(store.first_index().unwrap_or(u64::MAX));
        let mut entries: Vec<raftpb::Entry> = Vec::new();
        if ready.snapshot().is_empty() && low <= stored_to {
            let context = GetEntriesContext::empty(false);
            let stored = store.entries(low, stored_to + 1, None, context).unwrap_or_default();
            entries.extend(stored.into_iter().map(wire_entry));
        }
        entries.extend(new.iter().filter(|entry| entry.index > from).cloned().map(wire_entry));
        let change = |entry: raftpb::Entry| {
            if entry.r#type() != EntryType::EntryConfChange {
                return None;
            }
            let change = ConfChange::decode(entry.data.unwrap_or_default()).ok()?;
            Some((entry.term, entry.index, change))
        };
        entries.into_iter().filter_map(change).collect()
    }
}

fn configured(term: u64, index: u64, members: &ConfState) -> Configured {
    Configured { term: Term::new(term), index: Index::new(index), members: members.clone() }
}

/// As raft follows a change that is not refused. Where it is refused at its turn, one configuration too many is noted for
/// a while: that only makes a recovery more careful.
fn follow(members: &mut ConfState, change: &ConfChange) {
    let id = change.node_id;
    let ConfState { voters, learners, .. } = members;
    match ConfChangeType::try_from(change.r#type) {
        Ok(ConfChangeType::ConfChangeAddNode) => {
            learners.retain(|learner| *learner != id);
            if !voters.contains(&id) {
                voters.push(id);
            }
        }
        Ok(ConfChangeType::ConfChangeAddLearnerNode) => {
            if !learners.contains(&id) && !voters.contains(&id) {
                learners.push(id);
            }
        }
        Ok(ConfChangeType::ConfChangeRemoveNode) => {
            voters.retain(|voter| *voter != id);
            learners.retain(|learner| *learner != id);
        }
        Ok(ConfChangeType::ConfChangeUpdateNode) | Err(_) => {}
    }
}
