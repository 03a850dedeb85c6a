//! Applies configuration changes, in step with raft's own bookkeeping. Facts: surface A.6, E.3, F.5.

use backend::Bucket;
use serde::Serialize;
use wire::raftpb::{ConfChange, ConfState, Entry};

use super::Machine;
use crate::{
    error::StateError,
    gojson,
    membership::{self, Changer, MemberEvent},
};

/// Meta row: raft's configuration.
const CONF_STATE: &str = "confState";

/// `raftpb.ConfState` in JSON, as Go writes it.
#[derive(Serialize)]
struct StoredConfState<'a> {
    #[serde(skip_serializing_if = "is_empty")]
    voters: &'a [u64],
    #[serde(skip_serializing_if = "is_empty")]
    learners: &'a [u64],
    #[serde(skip_serializing_if = "is_empty")]
    voters_outgoing: &'a [u64],
    #[serde(skip_serializing_if = "is_empty")]
    learners_next: &'a [u64],
    auto_leave: bool,
}

fn is_empty(list: &&[u64]) -> bool {
    list.is_empty()
}

impl Machine {
    /// Applies a committed configuration change: `change` is what the entry holds, and `conf_state`
    /// what raft made of it. A change that [`Machine::validate_conf_change`] refuses is rejected
    /// here, too; raft must have been told of none then.
    ///
    /// # Errors
    /// The node must stop.
    pub fn apply_conf_change(
        &mut self,
        entry: &Entry,
        change: &ConfChange,
        conf_state: &ConfState,
    ) -> Result<MemberEvent, StateError> {
        let unseen = self.begin(entry)?;
        let event = match membership::check(&self.roster, change) {
            Err(error) => MemberEvent::Rejected(error),
            Ok(change) => {
                if unseen {
                    let row = conf_state_json(conf_state);
                    self.writer.batch.put(Bucket::Meta, CONF_STATE, row);
                }
                let mut changer = Changer {
                    store: &mut self.v2,
                    roster: &mut self.roster,
                    batch: unseen.then_some(&mut self.writer.batch),
                };
                changer.apply(change)?
            }
        };
        self.end(entry, !matches!(event, MemberEvent::Rejected(_)));
        Ok(event)
    }
}

fn conf_state_json(state: &ConfState) -> String {
    gojson::to_string(&StoredConfState {
        voters: &state.voters,
        learners: &state.learners,
        voters_outgoing: &state.voters_outgoing,
        learners_next: &state.learners_next,
        auto_leave: state.auto_leave,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_written_as_go_does() {
        let state = ConfState { voters: vec![1, u64::MAX], ..Default::default() };
        assert_eq!(
            conf_state_json(&state),
            r#"{"voters":[1,18446744073709551615],"auto_leave":false}"#
        );
        let state = ConfState { voters: vec![1], learners: vec![2], ..Default::default() };
        assert_eq!(conf_state_json(&state), r#"{"voters":[1],"learners":[2],"auto_leave":false}"#);
    }
}
