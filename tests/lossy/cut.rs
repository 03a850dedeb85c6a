//! The power cut itself, after all processes of the tree were killed.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{UndoLog, content, names::Change};

/// What a cut could have taken, and took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Un-synced sectors written.
    pub sectors_at_stake: u64,
    /// Those that are gone.
    pub sectors: u64,
    /// Un-synced changes of names.
    pub names_at_stake: u64,
    /// Those that are gone.
    pub names: u64,
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.sectors_at_stake += other.sectors_at_stake;
        self.sectors += other.sectors;
        self.names_at_stake += other.names_at_stake;
        self.names += other.names;
    }
}

/// Cuts the power of a tree whose processes are gone: what was not synced is lost, all of it or a
/// random part, as the seed says. The notes are empty afterwards.
///
/// # Errors
/// The system's.
pub fn cut(log: &UndoLog, seed: u64) -> io::Result<Loss> {
    let _turn = log.turn();
    let mut random = StdRng::seed_from_u64(seed);
    // All gone shows a missing sync best; some of it gone shows torn and re-ordered writes.
    let keep = [0.0, 0.5, 0.5, 0.9][random.random_range(0..4)];
    let mut loss = Loss::default();
    lose_names(log, keep, &mut random, &mut loss)?;
    lose_content(log, keep, &mut random, &mut loss)?;
    for folder in [log.files(), log.names(), log.saved()] {
        forget(&folder)?;
    }
    log.prepare()?;
    Ok(loss)
}

fn lose_names(log: &UndoLog, keep: f64, random: &mut impl Rng, loss: &mut Loss) -> io::Result<()> {
    let mut lost: Vec<(u64, Change)> = Vec::new();
    for (number, change) in log.pending()? {
        loss.names_at_stake += 1;
        let stands = !lost.iter().any(|(_, lost)| lost.meets(&change));
        if !(random.random_bool(keep) && stands) {
            lost.push((number, change));
        }
    }
    for (number, change) in lost.iter().rev() {
        loss.names += 1;
        change.undo(&log.saved_at(*number))?;
    }
    Ok(())
}

fn lose_content(
    log: &UndoLog,
    keep: f64,
    random: &mut impl Rng,
    loss: &mut Loss,
) -> io::Result<()> {
    let mut files = HashMap::new();
    find_files(&log.root, &mut files)?;
    let mut notes: Vec<PathBuf> =
        fs::read_dir(log.files())?.map(|item| Ok(item?.path())).collect::<io::Result<_>>()?;
    notes.sort();
    for note in notes {
        let inode: Option<u64> =
            note.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        // A file that lost its name is gone whole.
        let Some(path) = inode.and_then(|inode| files.get(&inode)) else { continue };
        let file = File::options().read(true).write(true).open(path)?;
        let (at_stake, lost) = content::lose(&note, &file, keep, random)?;
        loss.sectors_at_stake += at_stake;
        loss.sectors += lost;
    }
    Ok(())
}

fn find_files(folder: &Path, files: &mut HashMap<u64, PathBuf>) -> io::Result<()> {
    let items = match fs::read_dir(folder) {
        // The processes did not get far, or the folder itself was lost.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        items => items?,
    };
    for item in items {
        let item = item?;
        let attributes = fs::symlink_metadata(item.path())?;
        if attributes.is_dir() {
            find_files(&item.path(), files)?;
        } else if attributes.is_file() {
            files.insert(attributes.ino(), item.path());
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test's own notes are no data dir")]
fn forget(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
}
