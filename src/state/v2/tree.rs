//! What the operations of the v2 store are made of: looking nodes up, putting them in, cutting them out.

use super::{
    COMPARE_FAILED, Creation, EXISTS, NOT_EMPTY, NOT_FILE, NOT_FOLDER, NOT_FOUND, Previous,
    READ_ONLY, ROOT, Removal, Store, Ttl, V2Error,
    event::{Action, Event, NodeView},
    node::{Content, Node, clean, join, names},
    time,
};

impl Store {
    pub(super) fn error(&self, (code, message): (u16, &'static str), cause: &str) -> V2Error {
        V2Error { code, message, cause: cause.to_owned(), index: self.index }
    }

    pub(super) fn check_writable(&self, path: &str) -> Result<(), V2Error> {
        if READ_ONLY.contains(&path) { Err(self.error(ROOT, "/")) } else { Ok(()) }
    }

    pub(super) fn find(&self, path: &str) -> Result<&Node, V2Error> {
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
    pub(super) fn place(&mut self, path: &str, creation: &Creation<'_>) -> Result<Event, V2Error> {
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
    pub(super) fn change(
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

    pub(super) fn check_removable(&self, path: &str, removal: Removal) -> Result<(), V2Error> {
        let Some(children) = self.find(path)?.children() else { return Ok(()) };
        if removal == Removal::File {
            return Err(self.error(NOT_FILE, path));
        }
        if !children.is_empty() && removal != Removal::Tree {
            return Err(self.error(NOT_EMPTY, path));
        }
        Ok(())
    }

    /// Removes a node with all below it, whatever it is.
    pub(super) fn remove(&mut self, action: Action, path: &str) -> Result<Event, V2Error> {
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

    pub(super) fn compare(&self, path: &str, previous: Previous<'_>) -> Result<(), V2Error> {
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

/// An event without a past.
pub(super) fn event(action: Action, node: NodeView) -> Event {
    Event { action, node, prev_node: None, refresh: false, store_index: 0 }
}
