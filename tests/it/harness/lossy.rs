//! A disk that loses, in a power cut, what was not synced: for whole processes, see `tests/lossy`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lossy::{Loss, UndoLog};

/// The disk of one machine: a folder tree, and beside it what would have to be undone.
#[derive(Debug)]
pub(crate) struct LossyDisk {
    root: PathBuf,
    notes: PathBuf,
    log: UndoLog,
}

impl LossyDisk {
    /// The disk of everything below `root`, which is made.
    ///
    /// # Errors
    /// If the folders cannot be made.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let notes = root.with_extension("unsynced");
        let log = UndoLog::new(root.clone(), notes.clone());
        log.prepare()?;
        Ok(Self { root, notes, log })
    }

    /// The folder tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What a process of this machine must have in its environment.
    ///
    /// # Errors
    /// If the library was not built.
    pub(crate) fn environment(&self) -> Result<Vec<(String, String)>> {
        let library = std::env::current_exe()?.with_file_name("liblossy_preload.so");
        ensure!(library.exists(), "{} is built with the tests", library.display());
        let text = |path: &Path| path.display().to_string();
        Ok(vec![
            ("LD_PRELOAD".to_owned(), text(&library)),
            (lossy::ROOT.to_owned(), text(&self.root)),
            (lossy::NOTES.to_owned(), text(&self.notes)),
        ])
    }

    /// Cuts the power; the machine's processes must be gone.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn cut(&self, seed: u64) -> Result<Loss> {
        lossy::cut(&self.log, seed).with_context(|| format!("cut {}", self.root.display()))
    }
}
