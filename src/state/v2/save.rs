//! The v2 store as JSON, in exactly Go's shape: the content of a `.snap` file. Facts: surface F.3.

use std::{collections::BTreeMap, sync::Arc};

use serde::{
    Deserialize, Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::{
    Stats, Store,
    event::{Event, History},
    node::{Content, Node, join},
    time,
};
use crate::{error::StateError, gojson};

/// What `CurrentVersion` is in every snapshot.
const STORE_VERSION: u64 = 2;
/// Deepest nesting of JSON accepted: two levels for each folder.
const NESTING_MAX: usize = 1100;

/// A node with the path that Go stores in it.
struct SavedNode<'a>(&'a str, &'a Node);
/// What is in a folder: null for a file.
struct SavedChildren<'a>(&'a str, &'a Node);

impl Serialize for SavedNode<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(path, node) = self;
        let expires = node.expires.map_or_else(|| time::NEVER.to_owned(), time::format);
        let mut fields = serializer.serialize_struct("node", 6)?;
        fields.serialize_field("Path", path)?;
        fields.serialize_field("CreatedIndex", &node.created)?;
        fields.serialize_field("ModifiedIndex", &node.modified)?;
        fields.serialize_field("ExpireTime", &expires)?;
        fields.serialize_field("Value", node.value())?;
        fields.serialize_field("Children", &SavedChildren(path, node))?;
        fields.end()
    }
}

impl Serialize for SavedChildren<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(path, node) = self;
        let Some(children) = node.children() else { return serializer.serialize_none() };
        let mut map = serializer.serialize_map(Some(children.len()))?;
        for (name, child) in children {
            map.serialize_entry(name, &SavedNode(&join(path, name), child))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved<'a> {
    root: SavedNode<'a>,
    watcher_hub: SavedHub<'a>,
    current_index: u64,
    stats: Stats,
    current_version: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedHub<'a> {
    event_history: SavedHistory<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedHistory<'a> {
    queue: SavedQueue<'a>,
    start_index: u64,
    last_index: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedQueue<'a> {
    events: Vec<Option<&'a Event>>,
    size: usize,
    front: usize,
    back: usize,
    capacity: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Loaded {
    root: LoadedNode,
    #[serde(default)]
    watcher_hub: LoadedHub,
    current_index: u64,
    #[serde(default)]
    stats: Stats,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct LoadedHub {
    event_history: LoadedHistory,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct LoadedHistory {
    queue: LoadedQueue,
    start_index: u64,
    last_index: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct LoadedQueue {
    events: Vec<Option<Event>>,
    size: usize,
    front: usize,
    back: usize,
    capacity: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoadedNode {
    created_index: u64,
    modified_index: u64,
    expire_time: String,
    #[serde(default)]
    value: String,
    children: Option<BTreeMap<String, LoadedNode>>,
}

impl Store {
    /// The snapshot's content.
    pub(crate) fn save(&self) -> Result<Vec<u8>, StateError> {
        let history = &self.history;
        let queue = SavedQueue {
            events: history.slots.iter().map(Option::as_deref).collect(),
            size: history.size,
            front: history.front,
            back: history.back,
            capacity: history.slots.len(),
        };
        let (start_index, last_index) = (history.start_index, history.last_index);
        let saved = Saved {
            root: SavedNode("/", &self.root),
            watcher_hub: SavedHub {
                event_history: SavedHistory { queue, start_index, last_index },
            },
            current_index: self.index,
            stats: self.stats,
            current_version: STORE_VERSION,
        };
        gojson::to_vec(&saved).map_err(|error| StateError::Snapshot(error.to_string()))
    }

    /// Reads what [`Store::save`] or a Go member wrote.
    pub(crate) fn recover(json: &[u8]) -> Result<Self, StateError> {
        if nesting(json) > NESTING_MAX {
            return Err(StateError::Snapshot(format!("folders deeper than {}", NESTING_MAX / 2)));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        deserializer.disable_recursion_limit();
        let loaded = Loaded::deserialize(&mut deserializer)
            .and_then(|loaded| deserializer.end().map(|()| loaded))
            .map_err(|error| StateError::Snapshot(error.to_string()))?;
        let root = loaded.root.into_node()?;
        if !root.is_folder() {
            return Err(StateError::Snapshot("the root is no folder".to_owned()));
        }
        let mut store = Self { root, index: loaded.current_index, ..Self::default() };
        store.stats = loaded.stats;
        store.history = loaded.watcher_hub.event_history.into_history();
        let expiries = &mut store.expiries;
        store.root.each_expiring("/", &mut |at, path| {
            expiries.insert((at, path.to_owned()));
        });
        Ok(store)
    }
}

impl LoadedNode {
    fn into_node(self) -> Result<Node, StateError> {
        let expires = time::parse(&self.expire_time)
            .ok_or_else(|| StateError::Snapshot(format!("bad time {:?}", self.expire_time)))?;
        let content = match self.children {
            None => Content::File(self.value),
            Some(children) => Content::Folder(
                children
                    .into_iter()
                    .map(|(name, child)| Ok((name, child.into_node()?)))
                    .collect::<Result<_, StateError>>()?,
            ),
        };
        Ok(Node { created: self.created_index, modified: self.modified_index, expires, content })
    }
}

impl LoadedHistory {
    /// The ring as it was. One whose numbers do not fit its slots is of no use to watchers: it starts anew.
    fn into_history(self) -> History {
        let Self { queue, start_index, last_index } = self;
        let capacity = queue.events.len();
        let fits = capacity > 0
            && queue.capacity == capacity
            && queue.size <= capacity
            && queue.front < capacity
            && queue.back < capacity;
        if !fits {
            return History::default();
        }
        let LoadedQueue { events, size, front, back, .. } = queue;
        let slots = events.into_iter().map(|event| event.map(Arc::new)).collect();
        History { slots, size, front, back, start_index, last_index }
    }
}

/// How deep objects and lists are nested.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
