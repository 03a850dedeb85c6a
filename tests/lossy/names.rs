//! Notes on names: each change that no sync of its folder has settled is a file, numbered in order.
//! What a change takes away is kept under the same number by a hard link.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use crate::UndoLog;

/// A change of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Create(PathBuf),
    Folder(PathBuf),
    Remove(PathBuf),
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
}

impl Change {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            Self::Create(path) | Self::Folder(path) | Self::Remove(path) => (path, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second).map(PathBuf::as_path)
    }

    fn folders(&self) -> impl Iterator<Item = &Path> {
        self.paths().filter_map(Path::parent)
    }

    /// Whether it stands on a name that `other` touches, or above or below it.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.paths()
            .any(|one| other.paths().any(|two| one.starts_with(two) || two.starts_with(one)))
    }

    /// The name whose file is gone afterwards.
    fn takes(&self) -> Option<&Path> {
        match self {
            Self::Create(_) | Self::Folder(_) => None,
            Self::Remove(path) | Self::Rename { to: path, .. } => Some(path),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let (word, first, second, inode) = match self {
            Self::Create(path) => ("create", path, None, 0),
            Self::Folder(path) => ("folder", path, None, 0),
            Self::Remove(path) => ("remove", path, None, 0),
            Self::Rename { from, to, inode } => ("rename", from, Some(to), *inode),
        };
        let second = second.map_or(&b""[..], |path| path.as_os_str().as_bytes());
        let inode = inode.to_string();
        [word.as_bytes(), first.as_os_str().as_bytes(), second, inode.as_bytes()].join(&0)
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut words = bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec);
        let mut next = || words.next().expect("a note on a name has four words");
        let (word, first, second) = (next(), next(), next());
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        match word.as_slice() {
            b"create" => Self::Create(path(first)),
            b"folder" => Self::Folder(path(first)),
            b"remove" => Self::Remove(path(first)),
            _ => {
                let inode = String::from_utf8(next()).ok().and_then(|text| text.parse().ok());
                let inode = inode.expect("a number");
                Self::Rename { from: path(first), to: path(second), inode }
            }
        }
    }

    /// Undoes it, if it was done: the process may have been killed just before. `saved` is what
    /// it took away, and where lost folders go.
    pub(crate) fn undo(&self, saved: &Path) -> io::Result<()> {
        match self {
            Self::Create(path) => gone_is_fine(fs::remove_file(path)),
            Self::Folder(path) => gone_is_fine(move_name(path, saved)),
            Self::Remove(path) if exists(path) => Ok(()),
            Self::Remove(path) => gone_is_fine(move_name(saved, path)),
            Self::Rename { from, to, inode } => {
                let there = fs::symlink_metadata(to).ok().map(|there| there.ino());
                if there != Some(*inode) {
                    return Ok(());
                }
                move_name(to, from)?;
                gone_is_fine(move_name(saved, to))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing here is durable: the kernel lives on")]
fn move_name(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl UndoLog {
    /// Before a change.
    pub(crate) fn note_change(&self, change: &Change) {
        self.try_note_change(change).expect("note a change of names");
    }

    fn try_note_change(&self, change: &Change) -> io::Result<()> {
        let number = self.next_number()?;
        self.counter()?.write_all_at(&(number + 1).to_le_bytes(), 0)?;
        if let Some(taken) = change.takes()
            && fs::symlink_metadata(taken).is_ok_and(|there| !there.is_dir())
        {
            fs::hard_link(taken, self.saved_at(number))?;
        }
        // Whole at once: the process may be killed in here.
        let draft = self.notes.join("draft");
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(true).open(&draft)?;
        file.write_all_at(&change.encode(), 0)?;
        move_name(&draft, &self.names().join(format!("{number:020}")))
    }

    fn counter(&self) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.open(self.notes.join("counter"))
    }

    /// Number of the next change.
    pub(crate) fn next_number(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self.counter()?.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read.map(|()| u64::from_le_bytes(bytes)),
        }
    }

    pub(crate) fn saved_at(&self, number: u64) -> PathBuf {
        self.saved().join(number.to_string())
    }

    /// Changes that are not settled, in order.
    pub(crate) fn pending(&self) -> io::Result<Vec<(u64, Change)>> {
        let mut pending = Vec::new();
        for item in fs::read_dir(self.names())? {
            let item = item?;
            let number = item.file_name().to_str().and_then(|name| name.parse().ok());
            pending.push((number.expect("a number"), Change::decode(&fs::read(item.path())?)));
        }
        pending.sort_by_key(|(number, _)| *number);
        Ok(pending)
    }

    /// Settles what changed in a folder before the change `before`, and what changed with it.
    pub(crate) fn settle_folder(&self, folder: &Path, before: u64) {
        let pending = self.pending().expect("read the notes on names");
        let mut folders = BTreeSet::from([folder.to_owned()]);
        let touches = |change: &Change, folders: &BTreeSet<PathBuf>| {
            change.folders().any(|folder| folders.contains(folder))
        };
        loop {
            let known = folders.len();
            for (_, change) in pending.iter().filter(|(number, _)| *number < before) {
                if touches(change, &folders) {
                    folders.extend(change.folders().map(Path::to_owned));
                }
            }
            if folders.len() == known {
                break;
            }
        }
        for (number, change) in pending {
            if number < before && touches(&change, &folders) {
                self.settle(number).expect("settle a change");
            }
        }
    }

    /// Settles all changes below a folder.
    pub(crate) fn settle_below(&self, folder: &Path) {
        for (number, change) in self.pending().expect("read the notes on names") {
            if change.paths().any(|path| path != folder && path.starts_with(folder)) {
                self.settle(number).expect("settle a change");
            }
        }
    }

    /// Forgets a change, and for ever what it took away.
    fn settle(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.names().join(format!("{number:020}")))?;
        let saved = self.saved_at(number);
        let Ok(there) = fs::symlink_metadata(&saved) else { return Ok(()) };
        if there.nlink() == 1 {
            // Its number may soon be another file's.
            gone_is_fine(fs::remove_file(self.note_of(there.ino())))?;
        }
        fs::remove_file(saved)
    }
}
