//! The part of the control state that tells who came into the cluster and who left it.

use std::collections::BTreeSet;

use super::{ControlState, Latch, NodeLedger, Rejected};
use crate::{
    control::entry::{Entry, Goal, Settlement},
    generate::{Joined, Lineage},
};

impl ControlState {
    /// Nodes that the operator stopped.
    #[must_use]
    pub fn stopped(&self) -> BTreeSet<String> {
        let stopped = self.nodes.iter().filter(|(_, node)| node.wanted == Some(false));
        stopped.map(|(name, _)| name.clone()).collect()
    }

    /// An apply that has come to its end makes its revision the one that is in force.
    pub(super) fn note_reached(&mut self, goal: &Goal, outcome: Settlement) {
        if let (Goal::Converge(terms), Settlement::Reached) = (goal, outcome) {
            self.reached_revision = self.reached_revision.max(terms.revision);
        }
    }

    pub(super) fn formed_mut(&mut self) -> Result<&mut Lineage, Rejected> {
        let record = self.lineage.as_mut().filter(|record| record.latch == Latch::Formed);
        record.map(|record| &mut record.lineage).ok_or(Rejected::NotFormed)
    }

    pub(super) fn join(&mut self, entry: &Entry) -> Result<(), Rejected> {
        let Entry::Joined { node, member, incarnation, initial_cluster } = entry else {
            return Ok(());
        };
        let joined = Joined {
            member: member.get(),
            votes: false,
            incarnation: *incarnation,
            initial_cluster: initial_cluster.clone(),
        };
        self.formed_mut()?.joined.insert(node.clone(), joined);
        self.node_mut(node).member = None;
        Ok(())
    }

    /// What is known of the member goes; that the shim's past ends were read does not.
    pub(super) fn leave(&mut self, node: &str) -> Result<(), Rejected> {
        let lineage = self.formed_mut()?;
        lineage.joined.remove(node);
        lineage.left.insert(node.to_owned());
        let ledger = self.node_mut(node);
        *ledger = NodeLedger { ended_run: ledger.ended_run, ..NodeLedger::default() };
        Ok(())
    }
}
