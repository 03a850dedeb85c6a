//! Appends a node's output to a log file, rotates it by size, and remembers the last lines.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use disk::Disk;

use super::{folders::make_private, record::LogFile};

/// Lines remembered.
/// etcd says some twenty lines more after the reason it leaves for.
const TAIL_LINES: usize = 60;
/// Bytes remembered of one line.
const TAIL_LINE_BYTES: usize = 500;

/// The writer. A full disk costs log lines, never the node.
#[derive(Debug)]
pub(crate) struct RotatingLog<'a> {
    disk: &'a dyn Disk,
    settings: LogFile,
    file: Option<File>,
    bytes: u64,
    tail: Tail,
}

/// The last lines of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl<'a> RotatingLog<'a> {
    /// Opens or makes the file and its folder.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(disk: &'a dyn Disk, settings: LogFile) -> io::Result<Self> {
        if let Some(folder) = settings.path.parent() {
            // Beside the logs may lie the data dirs of a node that runs as another user.
            make_private(disk, folder)?;
        }
        let mut log = Self { disk, settings, file: None, bytes: 0, tail: Tail::default() };
        log.reopen()?;
        Ok(log)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o640).open(&self.settings.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Appends; rotates first if the file would grow beyond its limit.
    ///
    /// # Errors
    /// The system's; the bytes still count for the remembered lines.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tail.push(bytes);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(len) > self.settings.max_bytes {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
            self.bytes = self.bytes.saturating_add(len);
        }
        Ok(())
    }

    /// The remembered lines, oldest first.
    #[must_use]
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lines()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let path = &self.settings.path;
        if self.settings.keep == 0 {
            self.disk.remove_file(path)?;
        }
        for age in (0..self.settings.keep).rev() {
            let from = aged(path, age);
            if self.disk.exists(&from)? {
                self.disk.rename(&from, &aged(path, age + 1))?;
            }
        }
        self.reopen()
    }
}

/// `PATH` for age 0, else `PATH.AGE`.
pub(crate) fn aged(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for (at, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                self.close_line();
            }
            let room = TAIL_LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn close_line(&mut self) {
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(std::mem::take(&mut self.open));
    }

    fn lines(&self) -> Vec<String> {
        let open = (!self.open.is_empty()).then_some(&self.open);
        let lines = self.lines.iter().chain(open);
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, keep: u32) -> RotatingLog<'static> {
        let path = folder.join("n.log");
        RotatingLog::open(&disk::RealDisk, LogFile { path, max_bytes: 10, keep }).unwrap()
    }

    #[test]
    fn a_new_log_folder_does_not_bar_other_users_from_what_lies_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        open(&root.path().join("cluster/log"), 1);
        let mode =
            |name| std::fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("cluster"), mode("cluster/log")), (0o755, 0o700));
    }

    #[test]
    fn a_full_log_is_rotated_and_the_oldest_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), 2);
        for line in ["aaaaaaa\n", "bbbbbbb\n", "ccccccc\n", "ddddddd\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("n.log").as_deref(), Some("ddddddd\n"));
        assert_eq!(read("n.log.1").as_deref(), Some("ccccccc\n"));
        assert_eq!(read("n.log.2").as_deref(), Some("bbbbbbb\n"));
        assert_eq!(read("n.log.3"), None);
    }

    #[test]
    fn keeping_none_starts_the_file_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), 0);
        log.append(b"aaaaaaa\n").unwrap();
        log.append(b"bbbbbbb\n").unwrap();
        assert_eq!(std::fs::read(folder.path().join("n.log")).unwrap(), b"bbbbbbb\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_log_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 1).append(b"one\n").unwrap();
        open(folder.path(), 1).append(b"two\n").unwrap();
        assert_eq!(std::fs::read(folder.path().join("n.log")).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn the_last_lines_are_remembered_across_chunks_and_bounded() {
        let mut tail = Tail::default();
        for number in 0..99 {
            tail.push(b"li");
            tail.push(format!("ne {number}\n").as_bytes());
        }
        tail.push(&[b'x'; 2000]);
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES + 1);
        assert_eq!(lines[TAIL_LINES - 1], "line 98");
        assert_eq!(lines[TAIL_LINES].len(), TAIL_LINE_BYTES);
    }
}
