//! What was decided and what happened, as the control log tells it: one line each, the oldest dropped. docs/events-json.md

use serde::{Deserialize, Serialize};

use super::{ControlState, Rejected};
use crate::control::entry::{Entry, Envelope, Goal, Settlement};

/// Events kept.
const EVENTS_MAX: usize = 500;

/// One thing that was decided, was done or happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted up from 1; gaps there are none, but the oldest are dropped.
    pub number: u64,
    /// Wall time of the agent that told it, in milliseconds since 1970.
    pub at_ms: u64,
    /// `spec`, `request`, `settled`, `step`, `lineage`, `member`, `node`, `pause`, `leader` or `agent`.
    pub kind: String,
    /// Host of the agent that decided it; empty where one agent has all nodes.
    pub host: String,
    /// The node it is about; empty if it is about the whole.
    pub node: String,
    /// What: a step, a request, an occurrence.
    pub what: String,
    /// Why, in one sentence; empty where nobody said.
    pub why: String,
    /// `begun`, `done` or `failed`; of a settled request `reached`, `failed`, `refused`, `held`, `deferred` or `postponed`.
    pub outcome: String,
    /// What came of it; empty where there is nothing to tell.
    pub result: String,
}

impl ControlState {
    /// Adds one committed entry.
    ///
    /// # Errors
    /// [`Rejected`] if it has no effect. That is part of the fold: every replay rejects it too.
    pub fn apply(&mut self, envelope: &Envelope) -> Result<(), Rejected> {
        let event = self.event_of(envelope);
        self.apply_entry(envelope)?;
        let Some(event) = event else { return Ok(()) };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.event_number += 1;
        let at_ms = envelope.at_ms;
        self.events.push_back(Event { number: self.event_number, at_ms, ..event });
        Ok(())
    }

    fn event_of(&self, envelope: &Envelope) -> Option<Event> {
        let (kind, what, outcome) = match &envelope.entry {
            Entry::Spec { source, .. } => {
                ("spec", format!("revision {} from {source}", self.spec_revision() + 1), "done")
            }
            Entry::Goal(goal) => ("request", wanted(goal), "begun"),
            Entry::Settled { outcome, .. } => {
                ("settled", wanted(self.goal.as_ref()?), settlement(*outcome))
            }
            Entry::Intent { step, .. } => ("step", step.clone(), "begun"),
            Entry::Outcome { done, .. } => {
                ("step", self.intent.clone()?, if *done { "done" } else { "failed" })
            }
            Entry::LineagePrepared { lineage } => {
                ("lineage", format!("a cluster of epoch {} is prepared", lineage.epoch), "done")
            }
            Entry::LineageStarted => ("lineage", "its first node may start".to_owned(), "done"),
            Entry::LineageFormed => ("lineage", "the cluster is formed".to_owned(), "done"),
            Entry::Joined { member, .. } => {
                ("member", format!("joined as member {member}, without a vote yet"), "done")
            }
            Entry::Promoted { .. } => ("member", "has its vote".to_owned(), "done"),
            Entry::Left { .. } => ("member", "is no member any more".to_owned(), "done"),
            Entry::Happened { text, .. } => ("node", text.clone(), "done"),
            Entry::Paused { .. } => ("pause", "paused".to_owned(), "done"),
            Entry::Resumed => ("pause", "resumed".to_owned(), "done"),
            Entry::Reign { term, .. } => ("leader", format!("leads from term {term} on"), "done"),
            Entry::Agent { address, build, .. } => {
                ("agent", format!("at {address}, build {build}"), "done")
            }
            _ => return None,
        };
        let (why, result) = self.circumstances(&envelope.entry);
        Some(Event {
            kind: kind.to_owned(),
            host: self.host_of(&envelope.entry),
            node: node_of(&envelope.entry),
            what,
            why,
            outcome: outcome.to_owned(),
            result,
            ..Event::default()
        })
    }

    /// Why, and what came of it.
    fn circumstances(&self, entry: &Entry) -> (String, String) {
        let none = String::new;
        match entry {
            Entry::Intent { reason, .. } => (reason.clone(), none()),
            Entry::Outcome { text, .. } => (self.intent_reason.clone(), text.clone()),
            Entry::Settled { reason, .. } | Entry::Paused { reason } => (reason.clone(), none()),
            Entry::Left { archived, .. } => (
                none(),
                archived.as_ref().map_or_else(none, |place| format!("its data is in {place}")),
            ),
            _ => (none(), none()),
        }
    }

    fn host_of(&self, entry: &Entry) -> String {
        let host = match entry {
            Entry::Agent { host, .. } => Some(host.clone()),
            Entry::Happened { node, .. } => self.node(node).and_then(|ledger| ledger.host.clone()),
            Entry::Reign { member, .. } => self.host_of_agent(*member),
            _ => self.group.reign.and_then(|reign| self.host_of_agent(reign.member)),
        };
        host.unwrap_or_default()
    }

    fn host_of_agent(&self, member: u64) -> Option<String> {
        self.group.agents.get(&member).map(|agent| agent.host.clone())
    }
}

fn wanted(goal: &Goal) -> String {
    let list = |nodes: &std::collections::BTreeSet<String>| {
        nodes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    match goal {
        Goal::Converge(_) => goal.word().to_owned(),
        Goal::Stop { nodes } | Goal::Start { nodes } => format!("{} {}", goal.word(), list(nodes)),
        Goal::Restart { node, .. } => format!("{} {node}", goal.word()),
    }
}

const fn settlement(outcome: Settlement) -> &'static str {
    match outcome {
        Settlement::Reached => "reached",
        Settlement::Failed => "failed",
        Settlement::Refused => "refused",
        Settlement::Held => "held",
        Settlement::Deferred => "deferred",
        Settlement::Postponed => "postponed",
    }
}

fn node_of(entry: &Entry) -> String {
    match entry {
        Entry::Joined { node, .. }
        | Entry::Promoted { node }
        | Entry::Left { node, .. }
        | Entry::Happened { node, .. } => node.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &mut ControlState, at_ms: u64, entry: Entry) {
        let version = crate::control::entry::ENTRY_VERSION;
        let envelope =
            Envelope { version, proposal: at_ms, incarnation: 1, reign: None, at_ms, entry };
        state.apply(&envelope).unwrap();
    }

    fn intent() -> Entry {
        Entry::Intent { step: "start n1".into(), reason: "it is down".into(), direct: false }
    }

    #[test]
    fn a_step_is_told_with_its_reason_and_what_came_of_it() {
        let mut state = ControlState::default();
        told(&mut state, 5, Entry::Goal(Goal::Converge(Default::default())));
        told(&mut state, 6, intent());
        told(&mut state, 7, Entry::Outcome { done: false, text: "no such file".into() });
        let reason = "start n1: no such file".to_owned();
        told(&mut state, 8, Entry::Settled { outcome: Settlement::Failed, reason });
        let lines: Vec<_> = state
            .events
            .iter()
            .map(|it| format!("{} {} {} {} {}", it.number, it.at_ms, it.kind, it.what, it.outcome))
            .collect();
        assert_eq!(
            lines,
            [
                "1 5 request converge begun",
                "2 6 step start n1 begun",
                "3 7 step start n1 failed",
                "4 8 settled converge failed"
            ]
        );
        assert_eq!(state.events[2].why, "it is down");
        assert_eq!(state.events[2].result, "no such file");
    }

    #[test]
    fn the_oldest_events_go_and_the_numbers_go_on() {
        let mut state = ControlState::default();
        for at_ms in 0..=u64::try_from(EVENTS_MAX).unwrap() {
            told(&mut state, at_ms, intent());
        }
        assert_eq!(state.events.len(), EVENTS_MAX);
        assert_eq!(state.events[0].number, 2);
    }

    #[test]
    fn every_field_of_an_event_is_on_its_page() {
        let page = include_str!("../../../../docs/events-json.md");
        let event = serde_json::to_value(Event::default()).unwrap();
        let fields = event.as_object().unwrap();
        for field in fields.keys() {
            assert!(page.contains(&format!("| `{field}` |")), "docs/events-json.md lacks {field}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, fields.len(), "and nothing else");
        assert!(page.contains(&format!("newest {EVENTS_MAX}")));
    }
}
