//! The names of the simulated disk: folders, what is in them now, and what of it is durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Component, Path},
};

use nix::errno::Errno;

use super::{content::Content, random::Random};
use crate::DirItem;

/// Identifies a file or folder whatever its name.
pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

/// All folders and files.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    /// Changes of names since their folders were synced, in order.
    pending: Vec<NameChange>,
}

#[derive(Debug)]
enum Node {
    File(Content),
    Folder { now: BTreeMap<String, NodeId>, durable: BTreeMap<String, NodeId> },
}

/// A node leaves one name, gets one, or both at once.
#[derive(Debug, Clone)]
struct NameChange {
    node: NodeId,
    from: Option<(NodeId, String)>,
    to: Option<(NodeId, String)>,
}

impl NameChange {
    fn names(&self) -> impl Iterator<Item = &(NodeId, String)> {
        self.from.iter().chain(&self.to)
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, new_folder())]), next: ROOT + 1, pending: Vec::new() }
    }
}

fn new_folder() -> Node {
    Node::Folder { now: BTreeMap::new(), durable: BTreeMap::new() }
}

/// The folder a path lies in; an empty path is the root.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}

impl Tree {
    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.find(path)?.is_some())
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<NodeId> {
        let id = self.find(path)?.ok_or(ErrorKind::NotFound)?;
        match self.nodes[&id] {
            Node::File(_) => Ok(id),
            Node::Folder { .. } => Err(Errno::EISDIR.into()),
        }
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<NodeId> {
        let id = self.find(path)?.ok_or(ErrorKind::NotFound)?;
        match self.nodes[&id] {
            Node::Folder { .. } => Ok(id),
            Node::File(_) => Err(Errno::ENOTDIR.into()),
        }
    }

    pub(super) fn content(&self, file: NodeId) -> &Content {
        match &self.nodes[&file] {
            Node::File(content) => content,
            Node::Folder { .. } => unreachable!("ids of files come from file() and create_file()"),
        }
    }

    pub(super) fn content_mut(&mut self, file: NodeId) -> &mut Content {
        match self.nodes.get_mut(&file) {
            Some(Node::File(content)) => content,
            _ => unreachable!("ids of files come from file() and create_file()"),
        }
    }

    /// Length of all files together, also of removed ones (an open handle may keep them).
    pub(super) fn bytes(&self) -> u64 {
        let named: BTreeSet<NodeId> = self
            .nodes
            .values()
            .filter_map(|node| match node {
                Node::Folder { now, .. } => Some(now.values().copied()),
                Node::File(_) => None,
            })
            .flatten()
            .collect();
        named.iter().map(|id| self.len_of(*id)).sum()
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirItem>> {
        let folder = self.folder(path)?;
        Ok(self
            .names(folder)
            .iter()
            .map(|(name, id)| DirItem {
                path: path.join(name),
                name: name.clone(),
                is_dir: matches!(self.nodes[id], Node::Folder { .. }),
                len: self.len_of(*id),
            })
            .collect())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        self.create(path, Node::File(Content::default()))
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> io::Result<NodeId> {
        self.create(path, new_folder())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.file(path)?;
        let from = Some(self.place(path)?);
        self.change(NameChange { node, from, to: None });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?.ok_or(ErrorKind::NotFound)?;
        let there = self.find(to)?;
        if there == Some(node) {
            return Ok(());
        }
        if there.is_some_and(|id| matches!(self.nodes[&id], Node::Folder { .. })) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (from, to) = (self.place(from)?, self.place(to)?);
        self.change(NameChange { node, from: Some(from), to: Some(to) });
        Ok(())
    }

    /// Makes the names in a folder durable, and with them those that changed together with them.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut folders = BTreeSet::from([self.folder(path)?]);
        loop {
            let before = folders.len();
            for change in &self.pending {
                if change.names().any(|(folder, _)| folders.contains(folder)) {
                    folders.extend(change.names().map(|(folder, _)| *folder));
                }
            }
            if folders.len() == before {
                break;
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if change.names().any(|(folder, _)| folders.contains(folder)) {
                self.keep(&change);
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    /// Loses power: see the promise at the head of the module.
    pub(super) fn crash(&mut self, random: &mut Random) {
        let mut lost: BTreeSet<(NodeId, String)> = BTreeSet::new();
        for change in std::mem::take(&mut self.pending) {
            if random.coin() && !change.names().any(|name| lost.contains(name)) {
                self.keep(&change);
            } else {
                lost.extend(change.names().cloned());
            }
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.crash(random),
                Node::Folder { now, durable } => now.clone_from(durable),
            }
        }
        self.drop_unreachable();
    }

    fn drop_unreachable(&mut self) {
        let mut reachable = BTreeSet::new();
        let mut next = vec![ROOT];
        while let Some(id) = next.pop() {
            if reachable.insert(id)
                && let Node::Folder { now, .. } = &self.nodes[&id]
            {
                next.extend(now.values());
            }
        }
        self.nodes.retain(|id, _| reachable.contains(id));
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let to = self.place(path)?;
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.change(NameChange { node: id, from: None, to: Some(to) });
        Ok(id)
    }

    fn change(&mut self, change: NameChange) {
        if let Some((folder, name)) = &change.from {
            self.names_mut(*folder).0.remove(name);
        }
        if let Some((folder, name)) = &change.to {
            self.names_mut(*folder).0.insert(name.clone(), change.node);
        }
        self.pending.push(change);
    }

    fn keep(&mut self, change: &NameChange) {
        if let Some((folder, name)) = &change.from {
            self.names_mut(*folder).1.remove(name);
        }
        if let Some((folder, name)) = &change.to {
            self.names_mut(*folder).1.insert(name.clone(), change.node);
        }
    }

    fn len_of(&self, id: NodeId) -> u64 {
        match &self.nodes[&id] {
            Node::File(content) => u64::try_from(content.len()).expect("lengths fit in 64 bits"),
            Node::Folder { .. } => 0,
        }
    }

    fn names(&self, folder: NodeId) -> &BTreeMap<String, NodeId> {
        match &self.nodes[&folder] {
            Node::Folder { now, .. } => now,
            Node::File(_) => unreachable!("ids of folders come from folder() and place()"),
        }
    }

    /// The names as they are now, and as they are durable.
    fn names_mut(
        &mut self,
        folder: NodeId,
    ) -> (&mut BTreeMap<String, NodeId>, &mut BTreeMap<String, NodeId>) {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder { now, durable }) => (now, durable),
            _ => unreachable!("ids of folders come from folder() and place()"),
        }
    }

    /// Folder and last name of a path; the folder must exist.
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        Ok((self.folder(parent(path))?, name.to_owned()))
    }

    fn find(&self, path: &Path) -> io::Result<Option<NodeId>> {
        let mut at = ROOT;
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name.to_str().ok_or(ErrorKind::InvalidInput)?,
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(ErrorKind::InvalidInput.into());
                }
            };
            let Node::Folder { now, .. } = &self.nodes[&at] else {
                return Err(Errno::ENOTDIR.into());
            };
            match now.get(name) {
                Some(id) => at = *id,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}
