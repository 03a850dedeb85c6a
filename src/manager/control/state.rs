//! The state that the control log adds up to: a pure fold over its entries, and what a snapshot of
//! the group holds.

use std::collections::{BTreeMap, VecDeque};

use base::{ClusterId, MemberId};
use serde::{Deserialize, Serialize};

use super::entry::{ENTRY_VERSION, Entry, Envelope, Goal, Settlement, Terms};

mod events;
mod group;
mod members;
mod pause;

use crate::generate::{InitialState, Lineage};
pub use events::Event;
pub use group::{AgentRecord, GroupRecord, OrderEnd, OrderRecord, ReignRecord};
pub use pause::Pause;

/// Journal lines kept.
const JOURNAL_MAX: usize = 200;

/// Everything the committed entries say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    /// The wanted spec.
    pub spec: Option<SpecRevision>,
    /// What is to be done and not settled yet.
    pub goal: Option<Goal>,
    /// How the last goal ended.
    pub settled: Option<Settled>,
    /// The cluster's lineage and how far its bootstrap came.
    pub lineage: Option<LineageRecord>,
    /// The step that was begun and whose outcome is not known.
    pub intent: Option<String>,
    /// Whether the agent that led did that step itself: a call of it may still be under way.
    #[serde(default)]
    pub intent_is_direct: bool,
    /// The agent that did it; 0 if that is not known.
    #[serde(default)]
    pub intent_by: u64,
    /// The life of that agent in which it did.
    #[serde(default)]
    pub intent_life: u64,
    /// What is recorded of each node.
    pub nodes: BTreeMap<String, NodeLedger>,
    /// Why it was begun.
    #[serde(default)]
    pub intent_reason: String,
    /// The newest events, oldest first.
    #[serde(default)]
    pub events: VecDeque<Event>,
    /// Number of the newest event.
    #[serde(default)]
    pub event_number: u64,
    /// The newest journal lines, oldest first.
    pub journal: VecDeque<JournalLine>,
    /// Number of the newest goal, counted up.
    #[serde(default)]
    pub goal_number: u64,
    /// A goal that waits for a host to answer again, or for the agent that asked for it.
    #[serde(default)]
    pub deferred: Option<Goal>,
    /// The newest revision of the spec that an apply has reached.
    #[serde(default)]
    pub reached_revision: u64,
    /// Whether nothing is to be changed, since when and why.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// The agents and who leads them.
    #[serde(default)]
    pub group: GroupRecord,
    /// What agents are to do and have not reported done, by node.
    #[serde(default)]
    pub orders: BTreeMap<String, OrderRecord>,
    /// Number of the newest order, counted up.
    #[serde(default)]
    pub order_number: u64,
    /// Index of the last entry in it.
    #[serde(default)]
    pub applied: u64,
}

/// A spec and its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecRevision {
    /// Counted up with each new content.
    pub revision: u64,
    /// Content.
    pub text: String,
    /// Digest of the content.
    pub digest: String,
    /// Where it was read from.
    pub source: String,
}

/// How a goal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The goal.
    pub goal: Goal,
    /// How.
    pub outcome: Settlement,
    /// Why.
    pub reason: String,
    /// The goal's number; 0 in records of the first version.
    #[serde(default)]
    pub number: u64,
}

/// The lineage and the latch of its bootstrap (R2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageRecord {
    /// Identity, token, member set; its initial state follows `latch`.
    pub lineage: Lineage,
    /// How far the bootstrap came.
    pub latch: Latch,
}

/// How far a bootstrap came. It only ever moves forward within a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latch {
    /// Recorded; nothing was started.
    Prepared,
    /// Some node may have been started as `new`.
    Started,
    /// The cluster answered.
    Formed,
}

/// What is recorded of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLedger {
    /// Whether it is to run: `Some(false)` if the operator stopped it, none if nobody said.
    pub wanted: Option<bool>,
    /// Automatic restarts since it was last started on purpose.
    pub restarts: u64,
    /// The last run whose end is known; 0 if none.
    pub ended_run: u64,
    /// Cluster and member that its data dir was seen to hold, as numbers.
    pub member: Option<(u64, u64)>,
    /// Where it was last started.
    pub data_dir: Option<String>,
    /// Its WAL dir there, if outside.
    pub wal_dir: Option<String>,
    /// The host that it was last started on; none in an embedded agent's records.
    #[serde(default)]
    pub host: Option<String>,
    /// How its last order ended.
    #[serde(default)]
    pub order: Option<OrderEnd>,
}

impl NodeLedger {
    /// The member that its data dir was seen to hold.
    #[must_use]
    pub fn member(&self) -> Option<(ClusterId, MemberId)> {
        self.member.map(|(cluster, member)| (cluster.into(), member.into()))
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Wall time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The node; empty for the agent.
    pub node: String,
    /// What happened.
    pub text: String,
}

/// A committed entry that has no effect, and why. The proposer is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Written by a newer build: nothing after it can be understood.
    #[error("control entry of version {0}: this build understands up to {ENTRY_VERSION}")]
    TooNew(u32),
    /// Another spec was committed in between.
    #[error("the spec was changed meanwhile: it is at revision {actual}, not {base}")]
    SpecChanged {
        /// What the proposer saw.
        base: u64,
        /// What it is.
        actual: u64,
    },
    /// R2.
    #[error("a cluster was formed already (lineage {0}): nothing is started as new again")]
    AlreadyFormed(uuid::Uuid),
    /// An epoch is never used twice.
    #[error("epoch {0} was used already")]
    EpochUsed(base::Epoch),
    /// There is no lineage to move.
    #[error("no bootstrap was prepared")]
    NotPrepared,
    /// Members come and go only once there is a cluster.
    #[error("no cluster was formed")]
    NotFormed,
    /// Another agent leads meanwhile: the proposer's decision is void.
    #[error("another agent leads by now (reign {actual}, not {reign})")]
    Deposed {
        /// Reign of the proposer.
        reign: u64,
        /// Reign in force.
        actual: u64,
    },
}

impl ControlState {
    /// Revision of the spec in force; 0 if there is none.
    #[must_use]
    pub fn spec_revision(&self) -> u64 {
        self.spec.as_ref().map_or(0, |spec| spec.revision)
    }

    /// The lineage, if one was prepared.
    #[must_use]
    pub fn lineage(&self) -> Option<&Lineage> {
        self.lineage.as_ref().map(|record| &record.lineage)
    }

    /// What is recorded of a node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeLedger> {
        self.nodes.get(name)
    }

    /// Whether a node is to run.
    #[must_use]
    pub fn is_wanted(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.wanted == Some(true))
    }

    fn apply_entry(&mut self, envelope: &Envelope) -> Result<(), Rejected> {
        if envelope.version > ENTRY_VERSION {
            return Err(Rejected::TooNew(envelope.version));
        }
        self.check_reign(envelope)?;
        match &envelope.entry {
            Entry::Spec { base, text, digest, source } => {
                let actual = self.spec_revision();
                if *base != actual {
                    return Err(Rejected::SpecChanged { base: *base, actual });
                }
                self.spec = Some(SpecRevision {
                    revision: actual + 1,
                    text: text.clone(),
                    digest: digest.clone(),
                    source: source.clone(),
                });
                // The goal follows at once; if its proposer is lost before, whoever leads next goes on.
                let revision = actual + 1;
                self.deferred = Some(Goal::Converge(Terms { revision, ..Terms::default() }));
                self.log(envelope, "", format!("spec revision {} from {source}", actual + 1));
            }
            Entry::Goal(goal) => {
                self.forget_stops(goal);
                self.goal = Some(goal.clone());
                self.goal_number += 1;
                self.deferred = None;
            }
            Entry::Settled { outcome, reason } => {
                if let Some(goal) = self.goal.take() {
                    self.note_reached(&goal, *outcome);
                    if matches!(outcome, Settlement::Deferred | Settlement::Postponed) {
                        self.deferred = Some(goal.clone());
                    }
                    let (reason, number) = (reason.clone(), self.goal_number);
                    self.settled = Some(Settled { goal, outcome: *outcome, reason, number });
                }
            }
            Entry::LineagePrepared { .. } | Entry::LineageStarted | Entry::LineageFormed => {
                self.move_latch(&envelope.entry)?;
            }
            Entry::Intent { step, reason, direct } => {
                self.intent = Some(step.clone());
                self.intent_reason.clone_from(reason);
                self.intent_is_direct = *direct;
                self.intent_by = self.group.reign.map_or(0, |reign| reign.member);
                self.intent_life = envelope.incarnation;
            }
            Entry::Outcome { done, text } => {
                let step = self.intent.take().unwrap_or_default();
                let verb = if *done { "done" } else { "failed" };
                self.log(envelope, "", format!("{step}: {verb}: {text}"));
            }
            Entry::Wanted { .. }
            | Entry::MemberSeen { .. }
            | Entry::Joined { .. }
            | Entry::Promoted { .. }
            | Entry::Left { .. }
            | Entry::Placed { .. }
            | Entry::Happened { .. } => self.apply_node_entry(envelope)?,
            Entry::Paused { .. } | Entry::Resumed => self.pause_or_resume(envelope),
            Entry::Reign { .. }
            | Entry::Agent { .. }
            | Entry::Order { .. }
            | Entry::OrderDone { .. } => self.apply_group_entry(&envelope.entry)?,
        }
        Ok(())
    }

    fn apply_node_entry(&mut self, envelope: &Envelope) -> Result<(), Rejected> {
        match &envelope.entry {
            Entry::Wanted { node, run } => self.node_mut(node).wanted = Some(*run),
            Entry::MemberSeen { node, cluster, member } => {
                self.node_mut(node).member = Some((cluster.get(), member.get()));
            }
            Entry::Joined { node, member, .. } => {
                self.join(&envelope.entry)?;
                self.log(envelope, node, format!("joined as member {member}, without a vote yet"));
            }
            Entry::Promoted { node } => {
                if let Some(joined) = self.formed_mut()?.joined.get_mut(node) {
                    joined.votes = true;
                }
            }
            Entry::Left { node, archived } => {
                self.leave(node)?;
                let place = archived.as_deref().unwrap_or("nowhere: it had none");
                self.log(envelope, node, format!("is no member any more; its data is in {place}"));
            }
            Entry::Placed { node, data_dir, wal_dir } => {
                let state = self.node_mut(node);
                state.data_dir = Some(data_dir.clone());
                state.wal_dir.clone_from(wal_dir);
            }
            Entry::Happened { node, text, restarts, ended_run } => {
                if !node.is_empty() {
                    let state = self.node_mut(node);
                    state.restarts = *restarts;
                    state.ended_run = state.ended_run.max(ended_run.unwrap_or(0));
                }
                self.log(envelope, node, text.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Asking for nodes to run takes back that they were stopped.
    fn forget_stops(&mut self, goal: &Goal) {
        for (name, node) in &mut self.nodes {
            let taken_back = match goal {
                Goal::Converge(_) => true,
                Goal::Start { nodes } => nodes.contains(name),
                Goal::Restart { node, .. } => node == name,
                Goal::Stop { .. } => false,
            };
            if taken_back && node.wanted == Some(false) {
                node.wanted = None;
            }
        }
    }

    /// R2: within a lineage the latch only moves forward, and a formed one is never replaced.
    fn move_latch(&mut self, entry: &Entry) -> Result<(), Rejected> {
        if let Entry::LineagePrepared { lineage } = entry {
            if let Some(record) = self.lineage.as_ref().filter(|it| it.latch == Latch::Formed) {
                return Err(Rejected::AlreadyFormed(record.lineage.uuid));
            }
            if self.lineage().is_some_and(|last| last.epoch >= lineage.epoch) {
                return Err(Rejected::EpochUsed(lineage.epoch));
            }
            self.lineage = Some(LineageRecord { lineage: lineage.clone(), latch: Latch::Prepared });
            return Ok(());
        }
        let record = self.lineage.as_mut().ok_or(Rejected::NotPrepared)?;
        let reached = match entry {
            Entry::LineageFormed => Latch::Formed,
            _ => Latch::Started,
        };
        record.latch = record.latch.max(reached);
        if record.latch == Latch::Formed {
            record.lineage.initial_state = InitialState::Existing;
        }
        Ok(())
    }

    fn node_mut(&mut self, name: &str) -> &mut NodeLedger {
        self.nodes.entry(name.to_owned()).or_default()
    }

    fn log(&mut self, envelope: &Envelope, node: &str, text: String) {
        if self.journal.len() == JOURNAL_MAX {
            self.journal.pop_front();
        }
        self.journal.push_back(JournalLine { at_ms: envelope.at_ms, node: node.to_owned(), text });
    }
}

#[cfg(test)]
mod tests;
