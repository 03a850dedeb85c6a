//! The tree of the v2 store: folders and files, each with the indices of its creation and last change.

use std::collections::BTreeMap;

use super::event::{Expiration, NodeView};

/// A file or a folder. Its path follows from its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) created: u64,
    pub(super) modified: u64,
    /// Nanoseconds since 1970; none for ever.
    pub(super) expires: Option<i64>,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File(String),
    Folder(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn new(index: u64, content: Content) -> Self {
        Self { created: index, modified: index, expires: None, content }
    }

    pub(super) fn folder(index: u64) -> Self {
        Self::new(index, Content::Folder(BTreeMap::new()))
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.content, Content::Folder(_))
    }

    pub(super) fn children(&self) -> Option<&BTreeMap<String, Self>> {
        match &self.content {
            Content::Folder(children) => Some(children),
            Content::File(_) => None,
        }
    }

    pub(super) fn children_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match &mut self.content {
            Content::Folder(children) => Some(children),
            Content::File(_) => None,
        }
    }

    /// Empty for a folder, as in Go.
    pub(super) fn value(&self) -> &str {
        match &self.content {
            Content::File(value) => value,
            Content::Folder(_) => "",
        }
    }

    /// The node without what is in it.
    pub(super) fn view(&self, path: &str) -> NodeView {
        let value = match &self.content {
            Content::File(value) => Some(value.clone()),
            Content::Folder(_) => None,
        };
        NodeView {
            key: path.to_owned(),
            dir: value.is_none(),
            value,
            expiration: self.expires.map(Expiration),
            ttl: 0,
            nodes: Vec::new(),
            modified_index: self.modified,
            created_index: self.created,
        }
    }

    /// The node with what is in it, hidden names (`_…`) left out; all the way down if `recursive`.
    pub(super) fn view_with_children(&self, path: &str, recursive: bool) -> NodeView {
        let mut view = self.view(path);
        for (name, child) in self.children().into_iter().flatten() {
            if name.starts_with('_') {
                continue;
            }
            let path = join(path, name);
            view.nodes.push(if recursive {
                child.view_with_children(&path, true)
            } else {
                child.view(&path)
            });
        }
        view
    }

    /// Calls `visit` with the path of each node from here down that expires.
    pub(super) fn each_expiring(&self, path: &str, visit: &mut dyn FnMut(i64, &str)) {
        if let Some(expires) = self.expires {
            visit(expires, path);
        }
        for (name, child) in self.children().into_iter().flatten() {
            child.each_expiring(&join(path, name), visit);
        }
    }
}

/// `folder/name`.
pub(super) fn join(folder: &str, name: &str) -> String {
    let separator = if folder.ends_with('/') { "" } else { "/" };
    format!("{folder}{separator}{name}")
}

/// The shortest form of a path, beginning with a slash: `.`, `..` and double slashes are resolved.
pub(super) fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            _ => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The names along a clean path.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "/"),
            ("/", "/"),
            ("a", "/a"),
            ("//a/./b/", "/a/b"),
            ("/a/../../b", "/b"),
            ("/..", "/"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn hidden_names_are_not_listed() {
        let mut root = Node::folder(0);
        let children = root.children_mut().unwrap();
        children.insert("_h".to_owned(), Node::folder(1));
        children.insert("v".to_owned(), Node::new(2, Content::File("x".to_owned())));
        let view = root.view_with_children("/", true);
        assert_eq!(view.nodes.iter().map(|node| node.key.as_str()).collect::<Vec<_>>(), ["/v"]);
    }
}
