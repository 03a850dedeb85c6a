//! The v2 store: a tree of files, in which etcd 3.4 and 3.5 keep membership and cluster version, and
//! whose JSON is the content of their `.snap` files. Driven by the log only; no clock. Facts: surface E.2, E.3, F.3.

mod event;
mod node;
mod request;
mod save;
mod time;
mod tree;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::event::{Action, Event, Expiration, NodeView};
pub(crate) use self::request::{METHODS, Request};
use self::{
    event::History,
    node::{Content, Node, clean, join},
    tree::event,
};

/// Folders that always exist and cannot be changed themselves.
const READ_ONLY: [&str; 3] = ["/", "/0", "/1"];

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    root: Node,
    /// Counts successful changes.
    index: u64,
    history: History,
    stats: Stats,
    /// When each expiring node does, earliest first.
    expiries: BTreeSet<(i64, String)>,
}

/// What became of the requests so far; part of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stats {
    pub(crate) gets_success: u64,
    pub(crate) gets_fail: u64,
    pub(crate) sets_success: u64,
    pub(crate) sets_fail: u64,
    pub(crate) delete_success: u64,
    pub(crate) delete_fail: u64,
    pub(crate) update_success: u64,
    pub(crate) update_fail: u64,
    pub(crate) create_success: u64,
    pub(crate) create_fail: u64,
    pub(crate) compare_and_swap_success: u64,
    pub(crate) compare_and_swap_fail: u64,
    pub(crate) compare_and_delete_success: u64,
    pub(crate) compare_and_delete_fail: u64,
    pub(crate) expire_count: u64,
    pub(crate) watchers: u64,
}

/// Why a v2 operation was refused: API v2's error body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message} ({cause}) [{index}]")]
pub struct V2Error {
    /// API v2's number.
    pub code: u16,
    /// API v2's text for it.
    pub message: &'static str,
    /// Mostly the path.
    pub cause: String,
    /// The store's index.
    pub index: u64,
}

/// When a node is to expire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ttl {
    /// Nanoseconds since 1970.
    pub(crate) expires: Option<i64>,
    /// Keep the value, tell no watcher.
    pub(crate) refresh: bool,
}

/// What a file must be for a compare-and-… to happen. Empty and zero compare with nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Previous<'a> {
    pub(crate) value: &'a str,
    pub(crate) index: u64,
}

/// How much may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    File,
    EmptyFolder,
    Tree,
}

/// What to create.
struct Creation<'a> {
    action: Action,
    content: Option<&'a str>,
    replace: bool,
    expires: Option<i64>,
}

const NOT_FOUND: (u16, &str) = (100, "Key not found");
const COMPARE_FAILED: (u16, &str) = (101, "Compare failed");
const NOT_FILE: (u16, &str) = (102, "Not a file");
const NOT_FOLDER: (u16, &str) = (104, "Not a directory");
const EXISTS: (u16, &str) = (105, "Key already exists");
const ROOT: (u16, &str) = (107, "Root is read only");
const NOT_EMPTY: (u16, &str) = (108, "Directory not empty");

impl Default for Store {
    /// As etcd makes it: the two name spaces exist.
    fn default() -> Self {
        let mut root = Node::folder(0);
        if let Some(children) = root.children_mut() {
            children.insert("0".to_owned(), Node::folder(0));
            children.insert("1".to_owned(), Node::folder(0));
        }
        Self {
            root,
            index: 0,
            history: History::default(),
            stats: Stats::default(),
            expiries: BTreeSet::new(),
        }
    }
}

impl Store {
    #[cfg(test)]
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// The value of a file; none if there is no such file.
    pub(crate) fn value(&self, path: &str) -> Option<&str> {
        match &self.find(&clean(path)).ok()?.content {
            Content::File(value) => Some(value),
            Content::Folder(_) => None,
        }
    }

    /// Names in a folder, sorted; empty if there is none.
    pub(crate) fn list(&self, path: &str) -> Vec<&str> {
        let node = self.find(&clean(path)).ok();
        let children = node.and_then(Node::children);
        children.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Reads a node and what is in it.
    pub(crate) fn get(&mut self, path: &str, recursive: bool) -> Result<Event, V2Error> {
        let path = clean(path);
        let found = self.find(&path).map(|node| node.view_with_children(&path, recursive));
        count(&mut self.stats.gets_success, &mut self.stats.gets_fail, found.is_ok());
        let index = self.index;
        found.map(|node| Event { store_index: index, ..event(Action::Get, node) })
    }

    /// Makes a file (`value`) or a folder (none); folders on the way are made too.
    pub(crate) fn create(
        &mut self,
        path: &str,
        value: Option<&str>,
        expires: Option<i64>,
    ) -> Result<Event, V2Error> {
        let creation = Creation { action: Action::Create, content: value, replace: false, expires };
        let result = self.place(path, &creation);
        count(&mut self.stats.create_success, &mut self.stats.create_fail, result.is_ok());
        result.inspect(|event| self.history.push(event.clone()))
    }

    /// As [`Store::create`], under a name that is the next index: an in-order queue.
    pub(crate) fn create_in_order(
        &mut self,
        folder: &str,
        value: Option<&str>,
        expires: Option<i64>,
    ) -> Result<Event, V2Error> {
        let name = format!("{:020}", self.index + 1);
        self.create(&join(folder, &name), value, expires)
    }

    /// Makes or replaces a file, or makes a folder.
    pub(crate) fn set(
        &mut self,
        path: &str,
        value: Option<&str>,
        ttl: Ttl,
    ) -> Result<Event, V2Error> {
        let result = self.set_uncounted(path, value, ttl);
        count(&mut self.stats.sets_success, &mut self.stats.sets_fail, result.is_ok());
        result
    }

    fn set_uncounted(
        &mut self,
        path: &str,
        value: Option<&str>,
        ttl: Ttl,
    ) -> Result<Event, V2Error> {
        let current = match self.find(&clean(path)) {
            Ok(node) => Some(node.value().to_owned()),
            Err(error) if error.code == NOT_FOUND.0 && !ttl.refresh => None,
            Err(error) => return Err(error),
        };
        let content = match (&current, ttl.refresh) {
            (Some(current), true) => value.map(|_| current.as_str()),
            _ => value,
        };
        let creation =
            Creation { action: Action::Set, content, replace: true, expires: ttl.expires };
        let mut event = self.place(path, &creation)?;
        event.refresh = ttl.refresh;
        self.history.push(event.clone());
        Ok(event)
    }

    /// Changes a file in place. Folders cannot be updated (in etcd, too, since 3.3).
    pub(crate) fn update(&mut self, path: &str, value: &str, ttl: Ttl) -> Result<Event, V2Error> {
        let path = clean(path);
        let result = self.change(Action::Update, &path, value, ttl);
        count(&mut self.stats.update_success, &mut self.stats.update_fail, result.is_ok());
        result
    }

    /// Changes a file in place if it is as expected.
    pub(crate) fn compare_and_swap(
        &mut self,
        path: &str,
        previous: Previous<'_>,
        value: &str,
        ttl: Ttl,
    ) -> Result<Event, V2Error> {
        let path = clean(path);
        let result = self
            .check_writable(&path)
            .and_then(|()| self.compare(&path, previous))
            .and_then(|()| self.change(Action::CompareAndSwap, &path, value, ttl));
        let stats = &mut self.stats;
        let counters = (&mut stats.compare_and_swap_success, &mut stats.compare_and_swap_fail);
        count(counters.0, counters.1, result.is_ok());
        result
    }

    /// Removes a node, if it is no more than `removal` allows.
    pub(crate) fn delete(&mut self, path: &str, removal: Removal) -> Result<Event, V2Error> {
        let path = clean(path);
        let result = self
            .check_writable(&path)
            .and_then(|()| self.check_removable(&path, removal))
            .and_then(|()| self.remove(Action::Delete, &path));
        count(&mut self.stats.delete_success, &mut self.stats.delete_fail, result.is_ok());
        result
    }

    /// Removes a file if it is as expected.
    pub(crate) fn compare_and_delete(
        &mut self,
        path: &str,
        previous: Previous<'_>,
    ) -> Result<Event, V2Error> {
        let path = clean(path);
        let result = self
            .compare(&path, previous)
            .and_then(|()| self.remove(Action::CompareAndDelete, &path));
        let stats = &mut self.stats;
        let counters = (&mut stats.compare_and_delete_success, &mut stats.compare_and_delete_fail);
        count(counters.0, counters.1, result.is_ok());
        result
    }

    /// Removes what expired up to `cutoff` (nanoseconds since 1970), each with an event of its own.
    pub(crate) fn expire(&mut self, cutoff: i64) {
        while let Some((expires, path)) = self.expiries.first().cloned() {
            if expires > cutoff {
                break;
            }
            self.expiries.remove(&(expires, path.clone()));
            if self.remove(Action::Expire, &path).is_ok() {
                self.stats.expire_count += 1;
            }
        }
    }
}

fn count(success: &mut u64, failure: &mut u64, succeeded: bool) {
    let counter = if succeeded { success } else { failure };
    *counter += 1;
}

#[cfg(test)]
mod tests;
