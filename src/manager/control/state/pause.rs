//! The pause: nothing is changed until it is over. Nodes are supervised all the same.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::ControlState;
use crate::control::entry::{Entry, Envelope};

/// Since when nothing is changed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Wall time, in milliseconds since 1970.
    pub since_ms: u64,
    /// The operator's words; may be empty.
    pub reason: String,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = UNIX_EPOCH + Duration::from_millis(self.since_ms);
        write!(f, "paused since {}", humantime::format_rfc3339_seconds(since))?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " ({})", self.reason) }
    }
}

impl ControlState {
    pub(super) fn pause_or_resume(&mut self, envelope: &Envelope) {
        let Entry::Paused { reason } = &envelope.entry else {
            self.paused = None;
            self.log(envelope, "", "resumed".to_owned());
            return;
        };
        // Another reason for a pause does not begin it anew.
        let since_ms = self.paused.as_ref().map_or(envelope.at_ms, |pause| pause.since_ms);
        let pause = Pause { since_ms, reason: reason.clone() };
        self.log(envelope, "", pause.to_string());
        self.paused = Some(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::entry::ENTRY_VERSION;

    fn at(at_ms: u64, entry: Entry) -> Envelope {
        Envelope {
            version: ENTRY_VERSION,
            proposal: at_ms,
            incarnation: 1,
            reign: None,
            at_ms,
            entry,
        }
    }

    #[test]
    fn a_pause_is_kept_with_its_reason_and_time_until_it_is_resumed() {
        let mut state = ControlState::default();
        state.apply(&at(1_000, Entry::Paused { reason: String::new() })).unwrap();
        assert_eq!(state.paused.as_ref().unwrap().to_string(), "paused since 1970-01-01T00:00:01Z");
        state.apply(&at(5_000, Entry::Paused { reason: "moving racks".into() })).unwrap();
        let pause = state.paused.clone().unwrap();
        assert_eq!(pause.to_string(), "paused since 1970-01-01T00:00:01Z (moving racks)");
        let kept: ControlState =
            serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(kept.paused, Some(pause), "a snapshot holds it");
        state.apply(&at(6_000, Entry::Resumed)).unwrap();
        assert_eq!(state.paused, None);
        let told: Vec<&str> = state.events.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(told, ["paused", "paused", "resumed"]);
    }
}
