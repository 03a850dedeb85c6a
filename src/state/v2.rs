//! The v2 store: a tree of files, in which etcd 3.4 and 3.5 keep membership and cluster version, and
//! whose JSON is the content of their `.snap` files. Driven by the log only; no clock. Facts: surface E.2, E.3, F.3.

mod event;
mod node;
mod request;
mod save;
mod time;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::event::{Action, Event, Expiration, NodeView};
pub(crate) use self::request::{METHODS, Request};
use self::{
    event::History,
    node::{Content, Node, clean, join, names},
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
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub gets_success: u64,
    pub gets_fail: u64,
    pub sets_success: u64,
    pub sets_fail: u64,
    pub delete_success: u64,
    pub delete_fail: u64,
    pub update_success: u64,
    pub update_fail: u64,
    pub create_success: u64,
    pub create_fail: u64,
    pub compare_and_swap_success: u64,
    pub compare_and_swap_fail: u64,
    pub compare_and_delete_success: u64,
    pub compare_and_delete_fail: u64,
    pub expire_count: u64,
    pub watchers: u64,
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

    /// Removes a file, or a folder if `dir`, with all that is in it if `recursive`.
    pub(crate) fn delete(
        &mut self,
        path: &str,
        dir: bool,
        recursive: bool,
    ) -> Result<Event, V2Error> {
        let path = clean(path);
        let result = self
            .check_writable(&path)
            .and_then(|()| self.check_removable(&path, dir || recursive, recursive))
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

/// The parts of the operations.
impl Store {
    fn error(&self, (code, message): (u16, &'static str), cause: &str) -> V2Error {
        V2Error { code, message, cause: cause.to_owned(), index: self.index }
    }

    fn check_writable(&self, path: &str) -> Result<(), V2Error> {
        if READ_ONLY.contains(&path) { Err(self.error(ROOT, "/")) } else { Ok(()) }
    }

    fn find(&self, path: &str) -> Result<&Node, V2Error> {
        let mut node = &self.root;
        let mut seen = String::from("/");
        for name in names(path) {
            let Some(children) = node.children() else {
                return Err(self.error(NOT_FOLDER, &seen));
            };
            seen = join(&seen, name);
            node = children.get(name).ok_or_else(|| self.error(NOT_FOUND, &seen))?;
        }
        Ok(node)
    }

    fn find_mut(&mut self, path: &str) -> Option<&mut Node> {
        names(path).try_fold(&mut self.root, |node, name| node.children_mut()?.get_mut(name))
    }

    /// Puts a new node in place; the event still has to go to the history.
    fn place(&mut self, path: &str, creation: &Creation<'_>) -> Result<Event, V2Error> {
        let path = clean(path);
        self.check_writable(&path)?;
        let next = self.index + 1;
        let prev_node = match self.find(&path) {
            Ok(_) if !creation.replace => return Err(self.error(EXISTS, &path)),
            Ok(node) if node.is_folder() => return Err(self.error(NOT_FILE, &path)),
            Ok(node) => Some(node.view(&path)),
            Err(error) if error.code == NOT_FOUND.0 => None,
            Err(error) => return Err(error),
        };
        if prev_node.is_some() {
            self.take(&path);
        }
        let content = match creation.content {
            Some(value) => Content::File(value.to_owned()),
            None => Node::folder(next).content,
        };
        let mut node = Node::new(next, content);
        node.expires = creation.expires.filter(|at| *at >= time::EXPIRATION_MIN);
        if let Some(at) = node.expires {
            self.expiries.insert((at, path.clone()));
        }
        let event =
            Event { prev_node, store_index: next, ..event(creation.action, node.view(&path)) };
        self.insert(&path, node);
        self.index = next;
        Ok(event)
    }

    /// Inserts a node, making the folders on the way. Only folders are on the way: `find` said so.
    fn insert(&mut self, path: &str, node: Node) {
        let next = self.index + 1;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = &mut self.root;
        for name in names(folder) {
            let Some(children) = at.children_mut() else { return };
            at = children.entry(name.to_owned()).or_insert_with(|| Node::folder(next));
        }
        if let Some(children) = at.children_mut() {
            children.insert(name.to_owned(), node);
        }
    }

    /// Writes a file's value and time to live in place.
    fn change(
        &mut self,
        action: Action,
        path: &str,
        value: &str,
        ttl: Ttl,
    ) -> Result<Event, V2Error> {
        self.check_writable(path)?;
        let next = self.index + 1;
        let node = self.find(path)?;
        if node.is_folder() {
            return Err(self.error(NOT_FILE, path));
        }
        let (prev_node, old_expiry) = (node.view(path), node.expires);
        let value = if ttl.refresh { node.value() } else { value }.to_owned();
        let Some(node) = self.find_mut(path) else { return Err(self.error(NOT_FOUND, path)) };
        node.content = Content::File(value);
        node.modified = next;
        node.expires = ttl.expires;
        let view = node.view(path);
        if let Some(at) = old_expiry {
            self.expiries.remove(&(at, path.to_owned()));
        }
        if let Some(at) = ttl.expires {
            self.expiries.insert((at, path.to_owned()));
        }
        self.index = next;
        let event = Event {
            prev_node: Some(prev_node),
            store_index: next,
            refresh: ttl.refresh,
            ..event(action, view)
        };
        self.history.push(event.clone());
        Ok(event)
    }

    fn check_removable(&self, path: &str, dir: bool, recursive: bool) -> Result<(), V2Error> {
        let Some(children) = self.find(path)?.children() else { return Ok(()) };
        if !dir {
            return Err(self.error(NOT_FILE, path));
        }
        if !children.is_empty() && !recursive {
            return Err(self.error(NOT_EMPTY, path));
        }
        Ok(())
    }

    /// Removes a node with all below it, whatever it is.
    fn remove(&mut self, action: Action, path: &str) -> Result<Event, V2Error> {
        let Some(node) = self.take(path) else { return Err(self.error(NOT_FOUND, path)) };
        self.index += 1;
        let prev = node.view(path);
        let view = NodeView {
            key: path.to_owned(),
            dir: prev.dir && action != Action::CompareAndDelete,
            modified_index: self.index,
            created_index: node.created,
            ..NodeView::default()
        };
        let event = Event { prev_node: Some(prev), store_index: self.index, ..event(action, view) };
        self.history.push(event.clone());
        Ok(event)
    }

    /// Cuts a node out of the tree, and everything below it out of the expiries.
    fn take(&mut self, path: &str) -> Option<Node> {
        let (folder, name) = path.rsplit_once('/')?;
        let node = self.find_mut(folder)?.children_mut()?.remove(name)?;
        let expiries = &mut self.expiries;
        node.each_expiring(path, &mut |at, path| {
            expiries.remove(&(at, path.to_owned()));
        });
        Some(node)
    }

    fn compare(&self, path: &str, previous: Previous<'_>) -> Result<(), V2Error> {
        let node = self.find(path)?;
        if node.is_folder() {
            return Err(self.error(NOT_FILE, path));
        }
        let index_differs = previous.index != 0 && previous.index != node.modified;
        let value_differs = !previous.value.is_empty() && previous.value != node.value();
        let values = format!("[{} != {}]", previous.value, node.value());
        let indices = format!("[{} != {}]", previous.index, node.modified);
        let cause = match (value_differs, index_differs) {
            (false, false) => return Ok(()),
            (true, false) => values,
            (false, true) => indices,
            (true, true) => format!("{values} {indices}"),
        };
        Err(self.error(COMPARE_FAILED, &cause))
    }
}

fn event(action: Action, node: NodeView) -> Event {
    Event { action, node, prev_node: None, refresh: false, store_index: 0 }
}

fn count(success: &mut u64, failure: &mut u64, succeeded: bool) {
    let counter = if succeeded { success } else { failure };
    *counter += 1;
}

#[cfg(test)]
mod tests;
