//! Log and `.snap` files of a stopped member, judged.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use disk::Disk;
use wal::{
    Examination,
    snap::{SnapDir, SnapFault, SnapReport},
};

use super::report::{HardState, Integrity, Log, OtherFile, Position, Segment, SnapFile, Snapshots};

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) examined: Examination,
    pub(super) log: Log,
    pub(super) snapshots: Snapshots,
    /// The newest `.snap` that a start would take.
    pub(super) start: Option<SnapReport>,
}

/// Looks at all files of the log and of the snapshots.
pub(super) fn look(disk: &Arc<dyn Disk>, wal_dir: &Path, snap_dir: &Path) -> Found {
    let examined = wal::examine(&**disk, wal_dir);
    let commit = examined.hard_state.as_ref().map_or(0, |state| state.commit);
    let is_marked = |term: u64, index: u64| {
        let mut marks = examined.marks.iter();
        index <= commit && marks.any(|mark| (mark.term, mark.index) == (term, index))
    };
    let mut start = None;
    let (snapshots, reports) = match SnapDir::new(Arc::clone(disk), snap_dir).examine() {
        Ok(reports) => {
            let files: Vec<SnapFile> =
                reports.iter().map(|one| snap_file(one, is_marked(one.term, one.index))).collect();
            let integrity = files
                .iter()
                .filter(|file| file.marked)
                .map(|file| &file.integrity)
                .max_by_key(|integrity| integrity.verdict())
                .cloned();
            let integrity = integrity.unwrap_or(Integrity::ABSENT);
            (Snapshots { integrity, files, other_files: others(&**disk, snap_dir) }, reports)
        }
        Err(error) => {
            let integrity = Integrity::unreadable(base::ErrorChain(&error).to_string());
            (Snapshots { integrity, files: Vec::new(), other_files: Vec::new() }, Vec::new())
        }
    };
    for report in reports {
        if report.content.is_ok() && is_marked(report.term, report.index) {
            start = Some(report);
        }
    }
    let mut log = log(&examined);
    log.other_files = others(&**disk, wal_dir);
    if log.integrity == Integrity::INTACT
        && let Some(what) = head_is_missing(&examined, start.as_ref())
    {
        log.integrity = Integrity::corrupt(wal_dir, what);
    }
    Found { examined, log, snapshots, start }
}

/// Whether the log begins too late for the snapshot it is read from.
fn head_is_missing(examined: &Examination, start: Option<&SnapReport>) -> Option<String> {
    let from = start.map_or(0, |snapshot| snapshot.index);
    let begins = examined.segments.first().map_or(0, |segment| segment.first_index);
    let first = examined.first_index;
    // Marks say that a snapshot was there, and may have been lost since.
    let marked = examined.marks.last().map_or(0, |mark| mark.index);
    if begins > from || (first > from + 1 && first > marked + 1) {
        let first = first.max(begins);
        return Some(format!(
            "a segment is missing: the log begins at entry {first}, and the newest sound snapshot is of entry {from}"
        ));
    }
    None
}

fn log(examined: &Examination) -> Log {
    let segment = |one: &wal::SegmentReport| Segment {
        name: name(&one.path),
        first_index: one.first_index,
        bytes: one.bytes,
        used_bytes: one.used_bytes,
        records: one.records,
        crc: format!("{:08x}", one.crc),
    };
    Log {
        integrity: Integrity::of(&examined.judgement),
        first_index: (examined.first_index > 0).then_some(examined.first_index),
        marks: examined
            .marks
            .iter()
            .map(|mark| Position { term: mark.term, index: mark.index })
            .collect(),
        segments: examined.segments.iter().map(segment).collect(),
        other_files: Vec::new(),
    }
}

fn snap_file(report: &SnapReport, marked: bool) -> SnapFile {
    let integrity = match &report.content {
        Ok(_) => Integrity::INTACT,
        Err(SnapFault::Corrupt(what)) => Integrity::corrupt(&report.path, what.clone()),
        Err(SnapFault::Unreadable(what)) => Integrity::unreadable(what.clone()),
    };
    SnapFile {
        name: name(&report.path),
        term: report.term,
        index: report.index,
        bytes: report.bytes,
        marked,
        integrity,
    }
}

/// The hard state, if the log has one.
pub(super) fn hard_state(examined: &Examination) -> Option<HardState> {
    let state = examined.hard_state.as_ref()?;
    let vote = (state.vote != 0).then(|| base::MemberId::new(state.vote).to_string());
    Some(HardState { term: state.term, vote, commit: state.commit })
}

/// Files that are neither segments nor snapshots, and what they are.
fn others(disk: &dyn Disk, folder: &Path) -> Vec<OtherFile> {
    let items = match disk.list(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "cannot list");
            Vec::new()
        }
    };
    let files = items.into_iter().filter(|item| !item.is_dir);
    let other = |item: disk::DirItem| {
        let what = what_is(&item.path, &item.name)?;
        Some(OtherFile { name: item.name, bytes: item.len, what })
    };
    files.filter_map(other).collect()
}

fn what_is(path: &Path, name: &str) -> Option<&'static str> {
    Some(match name {
        "recycled.tmp" => "a released segment that waits to be zeroed",
        "filling.tmp" => "the next segment, being zeroed",
        "db" => return None,
        _ if name.ends_with(".wal.broken") => "a segment from before its torn tail was cut off",
        _ if name.ends_with(".snap.broken") => "a damaged snapshot that was set aside",
        _ if name.ends_with(".snap.db") => "a leader's snapshot that is to be taken",
        _ if name.ends_with(".snap.tmp") || name.starts_with("tmp") => "an unfinished snapshot",
        _ => match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("wal" | "snap") => return None,
            Some("tmp") => "the next segment, ready",
            _ => "not of a member",
        },
    })
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_owned(), PathBuf::from).display().to_string()
}
