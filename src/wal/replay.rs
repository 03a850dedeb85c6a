//! What a log says to the node that starts on it.

use wire::{raftpb, walpb};

use crate::read::Record;

/// The content of a log behind a snapshot mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Who wrote the log.
    pub metadata: walpb::Metadata,
    /// The last one written.
    pub hard_state: raftpb::HardState,
    /// Entries behind the mark, consecutive; those above the commit index may yet be replaced.
    pub entries: Vec<raftpb::Entry>,
    /// Whether a torn tail was cut off (a copy is in `.broken`).
    pub repaired: bool,
}

/// Collects a [`Replay`] from records.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    from: &'a walpb::Snapshot,
    pub(crate) mark_found: bool,
    pub(crate) hard_state: raftpb::HardState,
    pub(crate) entries: Vec<raftpb::Entry>,
    /// Of the last entry, or of a mark above it.
    pub(crate) last_index: u64,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(from: &'a walpb::Snapshot) -> Self {
        Self {
            from,
            mark_found: false,
            hard_state: raftpb::HardState::default(),
            entries: Vec::new(),
            last_index: 0,
        }
    }

    /// Takes the next record; the error says why it cannot be here.
    pub(crate) fn take(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Entry(entry) => self.take_entry(entry),
            Record::State(state) => {
                self.hard_state = state;
                Ok(())
            }
            Record::Mark(mark) => self.take_mark(&mark),
        }
    }

    fn take_entry(&mut self, entry: raftpb::Entry) -> Result<(), String> {
        self.last_index = entry.index;
        let Some(position) = entry.index.checked_sub(self.from.index + 1) else {
            // It replaces all that is behind it. (etcd only skips it, and so brings back entries
            // that were replaced before the snapshot.)
            self.entries.clear();
            return Ok(());
        };
        match usize::try_from(position) {
            // A newer entry of the same index replaces the older and all behind it.
            Ok(position) if position <= self.entries.len() => {
                self.entries.truncate(position);
                self.entries.push(entry);
                Ok(())
            }
            _ => Err(format!(
                "entry {} cannot follow entry {}",
                entry.index,
                self.entries.last().map_or(self.from.index, |last| last.index)
            )),
        }
    }

    fn take_mark(&mut self, mark: &walpb::Snapshot) -> Result<(), String> {
        self.last_index = self.last_index.max(mark.index);
        if mark.index == self.from.index {
            if mark.term != self.from.term {
                return Err(format!(
                    "snapshot {} is of term {} here, but of term {} in its file",
                    mark.index, mark.term, self.from.term
                ));
            }
            self.mark_found = true;
            // Terms never fall along a log: entries of lower terms were discarded when a leader's
            // snapshot took their place.
            if let Some(stale) = self.entries.iter().position(|entry| entry.term < mark.term) {
                self.entries.truncate(stale);
            }
        }
        Ok(())
    }
}
