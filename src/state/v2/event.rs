//! What a v2 operation did, in the form that watchers and snapshots get, and the history of the last thousand.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time;

/// Slots of the history.
pub(super) const HISTORY_EVENTS: usize = 1000;

/// What happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Read; never in the history.
    Get,
    /// Made where nothing was.
    Create,
    /// Made or replaced.
    Set,
    /// Changed in place.
    Update,
    /// Removed.
    Delete,
    /// Changed in place after a comparison.
    CompareAndSwap,
    /// Removed after a comparison.
    CompareAndDelete,
    /// Removed because its time was over.
    Expire,
}

/// One change, or the answer to a read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The node after it.
    pub node: NodeView,
    /// The node before it, if there was one.
    #[serde(rename = "prevNode", skip_serializing_if = "Option::is_none", default)]
    pub prev_node: Option<NodeView>,
    /// Only the time to live was renewed: watchers are not told.
    #[serde(skip_serializing_if = "is_false", default)]
    pub refresh: bool,
    /// The store's index when it happened; not part of the JSON.
    #[serde(skip)]
    pub store_index: u64,
}

/// A node as clients see it. The time to live is left to the API, since it needs a clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeView {
    /// Full path in the store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// None for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it is a folder.
    #[serde(skip_serializing_if = "is_false")]
    pub dir: bool,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    /// Seconds left when the event happened: only in what a Go member saved.
    #[serde(skip_serializing_if = "is_no_ttl")]
    pub ttl: i64,
    /// What is in the folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Self>,
    /// Store index of its last change.
    #[serde(rename = "modifiedIndex", skip_serializing_if = "is_zero")]
    pub modified_index: u64,
    /// Store index of its creation.
    #[serde(rename = "createdIndex", skip_serializing_if = "is_zero")]
    pub created_index: u64,
}

/// Nanoseconds since 1970; RFC 3339 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Expiration(pub i64);

impl From<Expiration> for String {
    fn from(expiration: Expiration) -> Self {
        time::format(expiration.0)
    }
}

impl TryFrom<String> for Expiration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        time::parse(&text).flatten().map(Self).ok_or_else(|| format!("bad time {text:?}"))
    }
}

/// A ring of the last events. Its numbers are part of the snapshot.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) slots: Vec<Option<Arc<Event>>>,
    pub(super) size: usize,
    pub(super) front: usize,
    pub(super) back: usize,
    pub(super) start_index: u64,
    pub(super) last_index: u64,
}

impl Default for History {
    fn default() -> Self {
        let slots = vec![None; HISTORY_EVENTS];
        Self { slots, size: 0, front: 0, back: 0, start_index: 0, last_index: 0 }
    }
}

impl History {
    pub(super) fn push(&mut self, event: Event) {
        let capacity = self.slots.len();
        self.last_index = event.node.modified_index;
        self.slots[self.back] = Some(Arc::new(event));
        self.back = (self.back + 1) % capacity;
        if self.size == capacity {
            self.front = (self.front + 1) % capacity;
        } else {
            self.size += 1;
        }
        self.start_index =
            self.slots[self.front].as_ref().map_or(0, |event| event.node.modified_index);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_no_ttl(seconds: &i64) -> bool {
    *seconds == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
