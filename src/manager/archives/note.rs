//! What is noted beside an archive: `LABEL.json`, written after the rename. An archive without one is an archive still.

use std::path::{Path, PathBuf};

use base::MemberId;
use disk::{Disk, RealDisk};
use serde::{Deserialize, Serialize};

/// What is known of a data dir that was put away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Its node.
    pub(crate) node: String,
    /// The member, in hexadecimal.
    pub(crate) member: String,
    /// Its cluster, in hexadecimal.
    pub(crate) cluster: String,
    /// Where it was.
    pub(crate) from: String,
    /// Why.
    pub(crate) reason: String,
}

/// Where the note of an archive lies.
pub(crate) fn path_of(archive: &Path) -> PathBuf {
    let mut name = archive.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    archive.with_file_name(name)
}

/// Writes it beside the archive. What the data dir itself says of member and cluster goes before what is given.
///
/// # Errors
/// The system's.
pub(crate) fn leave_note(disk: &dyn Disk, archive: &Path, mut note: Note) -> std::io::Result<()> {
    let (cluster, member) = held(archive);
    if !member.is_empty() {
        (note.cluster, note.member) = (cluster, member);
    }
    let text = serde_json::to_string_pretty(&note).map_err(std::io::Error::other)?;
    disk::replace(disk, &path_of(archive), text.as_bytes())
}

/// The note of an archive, if there is a readable one.
pub(super) fn read(archive: &Path) -> Option<Note> {
    let text = disk::read(&RealDisk, &path_of(archive)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Cluster and member by the log that it holds; empty if there is none that can be read.
pub(super) fn held(archive: &Path) -> (String, String) {
    let inside = archive.join("member/wal");
    let wal = if inside.is_dir() { inside } else { archive.to_owned() };
    match wal::identity(&RealDisk, &wal) {
        Ok(found) => {
            let cluster: base::ClusterId = found.cluster_id.into();
            let member: MemberId = found.node_id.into();
            (cluster.to_string(), member.to_string())
        }
        Err(_) => (String::new(), String::new()),
    }
}

/// Node and member by the name of an archive: `NODE-MEMBER`, `NODE-MEMBER-wal`, `NODE-MEMBER.1`.
pub(super) fn of_label(label: &str) -> (String, String) {
    let numbered = label.rsplit_once('.').filter(|(_, end)| end.parse::<u32>().is_ok());
    let bare = numbered.map_or(label, |(bare, _)| bare);
    let bare = bare.strip_suffix("-wal").unwrap_or(bare);
    match bare.rsplit_once('-') {
        Some((node, member)) if member.parse::<MemberId>().is_ok() => {
            (node.to_owned(), member.to_owned())
        }
        Some((node, "unknown")) => (node.to_owned(), String::new()),
        _ => (bare.to_owned(), String::new()),
    }
}
