//! Looks into a log without touching it: what a stopped node knows, and its snapshot marks.

use std::path::Path;

use disk::Disk;
use wire::{
    raftpb::{self, EntryType},
    walpb,
};

use crate::{
    error::WalError,
    name,
    open::decode_metadata,
    read::{self, LogEnd, Record, Source, Tail},
};

/// What a log knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Who wrote it.
    pub metadata: walpb::Metadata,
    /// The last hard state.
    pub hard_state: raftpb::HardState,
    /// Index of the first entry that is still in the log; 0 if there is none.
    pub first_index: u64,
    /// Index of the last entry, or of a snapshot mark above it.
    pub last_index: u64,
    /// Term of that.
    pub last_term: u64,
    /// All snapshot marks in order, also those above the commit index.
    pub marks: Vec<walpb::Snapshot>,
    /// Configuration changes that no later entry replaced; committed ones are those up to the
    /// commit index.
    pub conf_changes: Vec<ConfChangeRecord>,
    /// Segments in the folder.
    pub segments: usize,
    /// Whether the tail is torn, which opening the log would repair.
    pub torn: bool,
}

/// A configuration change in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfChangeRecord {
    /// Its term.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// The whole entry: its type says which message is in its payload.
    pub entry: raftpb::Entry,
}

/// Reads all segments of a log and sums up what it knows. Writes nothing and takes no lock; a torn
/// tail is ignored as a repair would. The log must not be written meanwhile.
///
/// # Errors
/// As `Wal::open`.
pub fn scan(disk: &dyn Disk, dir: &Path) -> Result<Summary, WalError> {
    let mut sums = Sums::default();
    let (end, segments) = read_all(disk, dir, &mut |record| sums.take(record))?;
    Ok(Summary {
        metadata: decode_metadata(&end, dir)?,
        hard_state: sums.hard_state,
        first_index: sums.first_index,
        last_index: sums.last_index,
        last_term: sums.last_term,
        marks: sums.marks,
        conf_changes: sums.conf_changes,
        segments,
        torn: end.tail == Tail::Torn,
    })
}

/// The snapshot marks that a start may use: those up to the last commit index, oldest first. Marks
/// above were written ahead of a crash.
///
/// # Errors
/// As `Wal::open`.
pub fn snapshot_marks(disk: &dyn Disk, dir: &Path) -> Result<Vec<walpb::Snapshot>, WalError> {
    let Summary { mut marks, hard_state, .. } = scan(disk, dir)?;
    marks.retain(|mark| mark.index <= hard_state.commit);
    Ok(marks)
}

fn read_all(
    disk: &dyn Disk,
    dir: &Path,
    visit: &mut dyn FnMut(Record) -> Result<(), String>,
) -> Result<(LogEnd, usize), WalError> {
    let names = name::list(disk, dir)?;
    name::check_consecutive(dir, &names)?;
    // Whether the writer synced is not known here, so nothing is concluded from it.
    let end = read::read(Source { disk, dir, segments: &names, synced: false }, visit)?;
    Ok((end, names.len()))
}

/// Sums up records as they come.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) hard_state: raftpb::HardState,
    pub(crate) first_index: u64,
    pub(crate) last_index: u64,
    pub(crate) last_term: u64,
    pub(crate) marks: Vec<walpb::Snapshot>,
    pub(crate) conf_changes: Vec<ConfChangeRecord>,
}

impl Sums {
    pub(crate) fn take(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::State(state) => self.hard_state = state,
            Record::Mark(mark) => self.take_mark(mark),
            Record::Entry(entry) => self.take_entry(entry),
        }
        Ok(())
    }

    fn take_mark(&mut self, mark: walpb::Snapshot) {
        // A mark of a higher term is a leader's snapshot, and took the place of all entries.
        if mark.index > self.last_index || mark.term > self.last_term {
            (self.last_index, self.last_term) = (mark.index, mark.term);
            self.conf_changes.retain(|change| change.index <= mark.index);
        }
        self.marks.push(mark);
    }

    fn take_entry(&mut self, entry: raftpb::Entry) {
        if self.first_index == 0 {
            self.first_index = entry.index;
        }
        self.first_index = self.first_index.min(entry.index);
        (self.last_index, self.last_term) = (entry.index, entry.term);
        self.conf_changes.retain(|change| change.index < entry.index);
        if entry.r#type() != EntryType::EntryNormal {
            self.conf_changes.push(ConfChangeRecord {
                term: entry.term,
                index: entry.index,
                entry,
            });
        }
    }
}
