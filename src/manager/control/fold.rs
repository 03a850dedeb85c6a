//! Adds log entries to a state. Of an entry of a newer build only its version is read.

use wire::raftpb;

use super::{
    ControlError,
    entry::{ENTRY_VERSION, Envelope},
    state::{ControlState, Rejected},
};

/// A command and what became of it.
pub(super) type Folded = (Envelope, Result<(), Rejected>);

/// What every build can read of an entry.
#[derive(serde::Deserialize)]
struct Head {
    version: u32,
}

/// Adds one log entry to a state. Changes of the group itself are none of the state's business.
pub(super) fn fold(
    state: &mut ControlState,
    entry: &raftpb::Entry,
) -> Result<Option<Folded>, ControlError> {
    let payload = entry.data.as_deref().unwrap_or_default();
    state.applied = entry.index;
    if entry.r#type() != raftpb::EntryType::EntryNormal || payload.is_empty() {
        return Ok(None);
    }
    // The version alone first: the rest of a newer build's entry may look like anything.
    let unclear = |source| ControlError::Entry { index: entry.index, source };
    let Head { version } = serde_json::from_slice(payload).map_err(unclear)?;
    if version > ENTRY_VERSION {
        return Err(ControlError::TooNew { index: entry.index, version });
    }
    let envelope: Envelope = serde_json::from_slice(payload).map_err(unclear)?;
    let outcome = state.apply(&envelope);
    Ok(Some((envelope, outcome)))
}
