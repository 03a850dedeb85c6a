//! How far this agent's control member has come, noted outside its state dir about once a second: so a state dir that was put
//! back to an older copy is found out (R17). It has promised and acknowledged what it no longer knows.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use disk::Disk;
use serde::{Deserialize, Serialize};

use super::ControlError;

const MARK_VERSION: u32 = 1;

/// A lower bound of what a control member has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlMark {
    version: u32,
    /// The control member.
    pub member: u64,
    /// Term of its hard state.
    pub term: u64,
    /// Index up to which it had applied the log, and so had it on disk.
    pub applied: u64,
}

/// Where the mark of one host's agent stands.
#[derive(Debug, Clone)]
pub struct Marks {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Marks {
    /// In the folder of the host's records.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, records: &Path, host: &str) -> Self {
        Self { disk, path: records.join(format!("control-{host}")) }
    }

    /// The mark; nothing if there certainly is none.
    ///
    /// # Errors
    /// If it is there and cannot be read (R13).
    pub fn read(&self) -> Result<Option<ControlMark>, ControlError> {
        let read = disk::read_checked(&*self.disk, &self.path).map_err(ControlError::Unreadable)?;
        let Some(bytes) = read else { return Ok(None) };
        let mark: ControlMark = serde_json::from_slice(&bytes)
            .map_err(|source| ControlError::NotUnderstood { path: self.path.clone(), source })?;
        // What a newer build notes may mean something else.
        Ok(Some(mark).filter(|mark| mark.version == MARK_VERSION))
    }

    /// Replaces the mark, durably.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, mark: &ControlMark) -> io::Result<()> {
        let bytes = serde_json::to_vec(mark).map_err(io::Error::other)?;
        if let Some(folder) = self.path.parent() {
            self.disk.create_dir_all(folder)?;
        }
        disk::replace_checked(&*self.disk, &self.path, &bytes)
    }

    /// The mark of a member that has just got its number: durable before its seat is.
    pub(super) fn begin(&self, member: u64) -> Result<(), ControlError> {
        self.write(&ControlMark::of(member, 0, 0)).map_err(ControlError::Look)
    }
}

impl ControlMark {
    /// Of a member that has come so far.
    #[must_use]
    pub const fn of(member: u64, term: u64, applied: u64) -> Self {
        Self { version: MARK_VERSION, member, term, applied }
    }

    /// The same after an earlier mark: of one member it never goes back, though a start applies the log anew.
    #[must_use]
    pub fn after(self, earlier: Option<&Self>) -> Self {
        match earlier.filter(|earlier| earlier.member == self.member) {
            Some(earlier) => Self {
                term: self.term.max(earlier.term),
                applied: self.applied.max(earlier.applied),
                ..self
            },
            None => self,
        }
    }

    /// Whether a seat and what its log says (the term of its hard state, its last index; none without a log) are older
    /// than this.
    #[must_use]
    pub fn shows_rollback(&self, member: u64, log: Option<(u64, u64)>) -> bool {
        let (term, last) = log.unwrap_or_default();
        // R17: another number was given since, or what it acknowledged is not there.
        self.member != member || term < self.term || last < self.applied
    }
}

#[cfg(test)]
mod tests {
    use disk::sim::SimDisk;

    use super::*;

    #[test]
    fn an_older_log_or_an_earlier_life_is_found_out() {
        let mark = ControlMark::of(7, 3, 20);
        assert!(!mark.shows_rollback(7, Some((3, 20))));
        assert!(!mark.shows_rollback(7, Some((4, 25))), "the mark may lag");
        assert!(mark.shows_rollback(7, Some((3, 19))), "entries are missing");
        assert!(mark.shows_rollback(7, Some((2, 20))), "it has voted in a later term");
        assert!(mark.shows_rollback(6, Some((9, 99))), "an earlier life");
        assert!(mark.shows_rollback(7, None), "from before it had a log");
        assert!(!ControlMark::of(7, 0, 0).shows_rollback(7, None), "a seat just taken");
    }

    #[test]
    fn a_mark_of_one_member_never_goes_back() {
        let mark = ControlMark::of(7, 3, 20);
        assert_eq!(ControlMark::of(7, 2, 25).after(Some(&mark)), ControlMark::of(7, 3, 25));
        assert_eq!(ControlMark::of(8, 1, 1).after(Some(&mark)), ControlMark::of(8, 1, 1));
        assert_eq!(ControlMark::of(7, 1, 1).after(None), ControlMark::of(7, 1, 1));
    }

    #[test]
    fn a_damaged_mark_is_not_none_r13() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let marks = Marks::new(disk.clone(), Path::new("/records"), "h1");
        assert_eq!(marks.read().unwrap(), None);
        marks.write(&ControlMark::of(7, 1, 2)).unwrap();
        assert_eq!(marks.read().unwrap(), Some(ControlMark::of(7, 1, 2)));
        disk::replace(&*disk, Path::new("/records/control-h1"), b"torn").unwrap();
        assert!(marks.read().is_err());
    }
}
