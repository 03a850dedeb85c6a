//! Judges a log for a human or a manager: what it knows as far as it can be read, and what is wrong with it. Unlike
//! [`crate::scan`] it goes on to tell what it found before the damage.

use std::path::{Path, PathBuf};

use disk::{Disk, DiskLock};
use prost::Message;
use wire::{raftpb, walpb};

use crate::{
    ConfChangeRecord, WalError,
    error::io_error,
    frames::Frames,
    identity::identity,
    name::{self, SegmentName},
    read::{self, LogEnd, Progress, Record, Source, Tail},
    scan::Sums,
    segments,
};

/// What a part of a data dir is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Every check passed.
    Intact,
    /// There is nothing.
    Absent,
    /// The last write of the log did not end: a start cuts it off. Nothing acknowledged is lost by that.
    Torn {
        /// The segment.
        path: PathBuf,
        /// Where the cut is made, in bytes.
        offset: u64,
        /// Bytes behind it that are not zero, up to the last.
        cut_bytes: u64,
    },
    /// Damage that no crash explains.
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where, if that is known.
        offset: Option<u64>,
        /// What does not fit.
        what: String,
    },
    /// It could not be read, so nothing is known of it.
    Unreadable {
        /// What the system said, and on what.
        what: String,
    },
}

/// A segment of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// Counts segments.
    pub sequence: u64,
    /// All entries of the segments before have lower indices.
    pub first_index: u64,
    /// Length of the file; nothing if reading ended before it.
    pub bytes: Option<u64>,
    /// Where the last sound record ends.
    pub used_bytes: u64,
    /// Sound records.
    pub records: u64,
    /// Value of the CRC chain behind the last of them.
    pub crc: u32,
}

/// A log, judged. What it knows is what stands before the damage, if there is any.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// Whether it is whole.
    pub judgement: Judgement,
    /// Who wrote it.
    pub metadata: Option<walpb::Metadata>,
    /// The last hard state.
    pub hard_state: Option<raftpb::HardState>,
    /// Index of the first entry; 0 if there is none.
    pub first_index: u64,
    /// Index of the last entry, or of a snapshot mark above it.
    pub last_index: u64,
    /// Term of that.
    pub last_term: u64,
    /// All snapshot marks in order.
    pub marks: Vec<walpb::Snapshot>,
    /// Configuration changes that no later entry replaced.
    pub conf_changes: Vec<ConfChangeRecord>,
    /// All segments, in order.
    pub segments: Vec<SegmentReport>,
}

/// Reads a whole log without changing it. The caller holds [`lock_shared`] or knows that nobody writes. Lost records
/// are looked for as a start with syncs would.
#[must_use]
pub fn examine(disk: &dyn Disk, dir: &Path) -> Examination {
    let mut found = Examination {
        judgement: Judgement::Absent,
        metadata: None,
        hard_state: None,
        first_index: 0,
        last_index: 0,
        last_term: 0,
        marks: Vec::new(),
        conf_changes: Vec::new(),
        segments: Vec::new(),
    };
    let names = match name::list(disk, dir) {
        Ok(names) => names,
        Err(WalError::Missing { .. }) => return found,
        Err(error) => {
            found.judgement = judge(&error);
            return found;
        }
    };
    found.metadata = identity(disk, dir).ok();
    let mut sums = Checked::default();
    let mut progress = Vec::new();
    let source = Source { disk, dir, segments: &names, synced: true };
    let outcome = name::check_consecutive(dir, &names)
        .and_then(|()| read::read_noting(source, &mut progress, &mut |record| sums.take(record)));
    let last = names.last().map(|name| dir.join(name.to_string())).unwrap_or_default();
    found.segments = segment_reports(dir, &names, &progress);
    found.judgement = match outcome {
        Err(error) => judge(&error),
        Ok(end) => {
            found.metadata = walpb::Metadata::decode(end.metadata.clone()).ok().or(found.metadata);
            judge_end(disk, &last, &end)
        }
    };
    let Checked { sums, states } = sums;
    if found.judgement == Judgement::Intact && sums.hard_state.commit > sums.last_index {
        let (commit, end) = (sums.hard_state.commit, sums.last_index);
        let what = format!("entry {commit} was known to be committed, but the log ends at {end}");
        found.judgement = Judgement::Corrupt { path: last, offset: None, what };
    }
    found.hard_state = (states > 0).then_some(sums.hard_state);
    found.first_index = sums.first_index;
    (found.last_index, found.last_term) = (sums.last_index, sums.last_term);
    (found.marks, found.conf_changes) = (sums.marks, sums.conf_changes);
    found
}

/// Locks all segments against a member that would write them, but not against others who look. Changes nothing.
///
/// # Errors
/// [`WalError::Locked`] if a member runs, or the disk fails.
pub fn lock_shared(disk: &dyn Disk, dir: &Path) -> Result<Vec<Box<dyn DiskLock>>, WalError> {
    let names = match name::list(disk, dir) {
        Err(WalError::Missing { .. }) => return Ok(Vec::new()),
        names => names?,
    };
    names.iter().map(|name| segments::lock_shared(disk, &dir.join(name.to_string()))).collect()
}

/// Sums that also look whether entries follow one another.
#[derive(Debug, Default)]
struct Checked {
    sums: Sums,
    states: u64,
}

impl Checked {
    fn take(&mut self, record: Record) -> Result<(), String> {
        let last = self.sums.last_index;
        match &record {
            Record::Entry(entry) if self.sums.first_index > 0 && entry.index > last + 1 => {
                return Err(format!("entry {} cannot follow entry {last}", entry.index));
            }
            Record::State(_) => self.states += 1,
            Record::Entry(_) | Record::Mark(_) => {}
        }
        self.sums.take(record)
    }
}

fn segment_reports(dir: &Path, names: &[SegmentName], progress: &[Progress]) -> Vec<SegmentReport> {
    let report = |(position, name): (usize, &SegmentName)| {
        let read = progress.get(position);
        SegmentReport {
            path: dir.join(name.to_string()),
            sequence: name.sequence,
            first_index: name.first_index,
            bytes: read.map(|read| read.bytes),
            used_bytes: read.map_or(0, |read| read.used_bytes),
            records: read.map_or(0, |read| read.records),
            crc: read.map_or(0, |read| read.crc),
        }
    };
    names.iter().enumerate().map(report).collect()
}

fn judge_end(disk: &dyn Disk, path: &Path, end: &LogEnd) -> Judgement {
    if end.tail == Tail::Zero {
        return Judgement::Intact;
    }
    let cut = Frames::open(disk, path).and_then(|mut frames| {
        frames.nonzero_bytes_from(end.offset).map_err(io_error("read", path))
    });
    match cut {
        Ok(cut_bytes) => Judgement::Torn { path: path.to_owned(), offset: end.offset, cut_bytes },
        Err(error) => judge(&error),
    }
}

fn judge(error: &WalError) -> Judgement {
    match error {
        WalError::Corrupt { path, offset, what } => {
            Judgement::Corrupt { path: path.clone(), offset: Some(*offset), what: what.clone() }
        }
        error => Judgement::Unreadable { what: base::ErrorChain(error).to_string() },
    }
}
