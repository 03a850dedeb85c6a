//! Data dirs that were put away (R4): which there are on this machine, and their end when the operator asks for it.

mod note;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use disk::{Disk, PURGING, RealDisk};
use serde::Serialize;

pub(crate) use note::{Note, leave_note};

use crate::spec::ClusterSpec;

/// Name of the folder beside a data dir that its archives go to.
pub(crate) const ARCHIVE: &str = "archive";

/// A data dir that was put away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// Its name in its folder: `NODE-MEMBER`, with a number behind if there were several.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it was put away, in milliseconds since 1970; without a note, when it was last changed.
    pub at_ms: u64,
    /// Whether that is only about so.
    pub at_is_about: bool,
    /// Its node.
    pub node: String,
    /// The member that it holds, in hexadecimal; empty if that cannot be told.
    pub member: String,
    /// Its cluster, likewise.
    pub cluster: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Why it was put away; empty if nobody noted it.
    pub reason: String,
}

/// Which archives to purge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These; any if empty.
    pub names: BTreeSet<String>,
    /// Those that were put away longer ago than this.
    pub older_than: Option<Duration>,
    /// Not the newest so many of each node.
    pub keep: Option<usize>,
}

/// The archive folders of a spec on this machine: beside every data dir and WAL dir, and beside those of nodes that
/// left, where they were by default.
#[must_use]
pub fn folders(spec: &ClusterSpec) -> BTreeSet<PathBuf> {
    let beside = |dir: &PathBuf| dir.parent().map(|parent| parent.join(ARCHIVE));
    let named = live(spec).into_iter().filter_map(|dir| beside(&dir));
    named.chain([spec.dir.join(ARCHIVE)]).collect()
}

/// The dirs that the spec's nodes use.
fn live(spec: &ClusterSpec) -> Vec<PathBuf> {
    let dirs = |node: &crate::spec::NodeSpec| [Some(node.data_dir.clone()), node.wal_dir.clone()];
    spec.nodes.iter().flat_map(dirs).flatten().collect()
}

/// All archives of these folders, the oldest first.
///
/// # Errors
/// The system's. A folder that is not there has none.
pub fn list(folders: &BTreeSet<PathBuf>) -> io::Result<Vec<Archive>> {
    let mut found = Vec::new();
    for folder in folders {
        let items = match RealDisk.list(folder) {
            Ok(items) => items,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(told(folder, &error)),
        };
        // A link in it is not an archive: nobody but its maker put it there.
        for item in items.into_iter().filter(|item| item.is_dir) {
            let archive = look(&item.path, item.name).map_err(|error| told(&item.path, &error))?;
            found.push(archive);
        }
    }
    found.sort_by(|a, b| (a.at_ms, &a.path).cmp(&(b.at_ms, &b.path)));
    Ok(found)
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn look(path: &Path, name: String) -> io::Result<Archive> {
    let bytes = disk::folder_bytes(path)?;
    let (label, cut) = match name.strip_suffix(PURGING) {
        Some(label) => (label, true),
        None => (name.as_str(), false),
    };
    let noted = note::read(&path.with_file_name(label));
    let (node, member) = note::of_label(label);
    let changed = millis(fs::symlink_metadata(path)?.modified()?);
    let at_is_about = noted.is_none();
    let noted = noted.unwrap_or_else(|| {
        let (cluster, held) = note::held(path);
        let member = if held.is_empty() { member } else { held };
        Note { at_ms: changed, node, member, cluster, ..Note::default() }
    });
    let reason = if cut { "its purge was cut short".to_owned() } else { noted.reason };
    Ok(Archive {
        name,
        path: path.to_owned(),
        at_ms: noted.at_ms,
        at_is_about,
        node: noted.node,
        member: noted.member,
        cluster: noted.cluster,
        bytes,
        reason,
    })
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Those of them that a selection means. `archives` is as [`list`] gives it.
#[must_use]
pub fn select(archives: &[Archive], selection: &Selection, now: SystemTime) -> Vec<Archive> {
    let mut newer: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    for archive in archives.iter().rev() {
        let rank = newer.entry(archive.node.as_str()).or_default();
        *rank += 1;
        let is_kept = selection.keep.is_some_and(|keep| *rank <= keep);
        let is_named = selection.names.is_empty() || selection.names.contains(&archive.name);
        let age = millis(now).saturating_sub(archive.at_ms);
        let is_young =
            selection.older_than.is_some_and(|limit| u128::from(age) <= limit.as_millis());
        if is_named && !is_kept && !is_young {
            chosen.push(archive.clone());
        }
    }
    chosen.reverse();
    chosen
}

/// Why an archive must stay, if it must: it is, holds, or lies in what a node of the spec uses.
#[must_use]
pub fn in_use(archive: &Archive, spec: &ClusterSpec) -> Option<String> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let own = real(&archive.path);
    let others = [spec.agent.state_dir.clone(), spec.log.dir.clone()];
    let used = live(spec).into_iter().chain(others).find(|dir| {
        let dir = real(dir);
        dir.starts_with(&own) || own.starts_with(&dir)
    });
    used.map(|dir| format!("{} is used by the spec: {}", archive.name, dir.display()))
}

/// Deletes one, and its note (R4: by the operator's word only).
///
/// # Errors
/// As `disk::purge`.
pub fn purge(archive: &Archive) -> io::Result<()> {
    let Some(root) = archive.path.parent() else { return Err(ErrorKind::InvalidInput.into()) };
    disk::purge(root, &archive.name).map_err(|error| told(&archive.path, &error))?;
    let label = archive.name.strip_suffix(PURGING).unwrap_or(&archive.name);
    match RealDisk.remove_file(&note::path_of(&root.join(label))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(told(&archive.path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
