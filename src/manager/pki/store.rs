//! The folder itself: one process at a time, its authority, and what every carried folder trusts.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base::Clock;
use disk::{Disk, DiskLock};
use tls::authority::{Authority, BUNDLE_FILE};

use super::{ARCHIVE, AUTHORITY, BUNDLE, HOSTS, NEXT, PEOPLE, PkiError};

/// Half-made authority: never used until it has its name.
const DRAFT: &str = "ca.new";
const LOCK: &str = ".lock";

/// A folder that this process alone changes.
pub struct Store {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) now: SystemTime,
    _lock: Box<dyn DiskLock>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the folder, made if it is absent, and finishes a rename that was cut off.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, clock: &dyn Clock) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Disk { path: dir.to_owned(), source };
        disk.create_dir_all(dir).map_err(failed)?;
        let lock = disk.lock(&dir.join(LOCK)).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => PkiError::Refused(format!(
                "another etcd-manager pki works in {}: wait until it has ended",
                dir.display()
            )),
            _ => failed(source),
        })?;
        let store = Self { disk, dir: dir.to_owned(), now: clock.wall(), _lock: lock };
        if !store.exists(&store.dir.join(AUTHORITY))? && store.has_next()? {
            store.rename(NEXT, AUTHORITY)?;
        }
        Ok(store)
    }

    /// Makes the authority; false if there is one, which then stays as it is.
    ///
    /// # Errors
    /// The folder cannot be written, or the one that is there cannot be used.
    pub fn create(&self, name: &str) -> Result<bool, PkiError> {
        if self.exists(&self.dir.join(AUTHORITY))? {
            self.authority()?;
            return Ok(false);
        }
        let authority = Authority::create(&self.authority_name(name), self.now)?;
        authority.save(&*self.disk, &self.dir.join(DRAFT))?;
        self.rename(DRAFT, AUTHORITY)?;
        Ok(true)
    }

    /// The common name of an authority that is made now: two of one cluster can be told apart.
    pub(super) fn authority_name(&self, name: &str) -> String {
        format!("{name} CA {}", tls::shown_time(self.now))
    }

    /// The authority that signs.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub(super) fn authority(&self) -> Result<Authority, PkiError> {
        let folder = self.dir.join(AUTHORITY);
        if !self.exists(&folder)? {
            return Err(PkiError::Refused(format!(
                "{} holds no authority: `etcd-manager pki init` makes one; certificates are issued on the machine \
                 that has it",
                self.dir.display()
            )));
        }
        Ok(Authority::load(&folder)?)
    }

    /// The bundle of the authority.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.dir.join(AUTHORITY).join(BUNDLE_FILE)
    }

    /// Whether a rotation has made the next authority, and it signs nothing yet.
    pub(super) fn has_next(&self) -> Result<bool, PkiError> {
        // Written last.
        self.exists(&self.dir.join(NEXT).join(BUNDLE_FILE))
    }

    /// What all are to trust now.
    pub(super) fn trusted(&self) -> Result<String, PkiError> {
        if self.has_next()? {
            return Ok(Authority::load(&self.dir.join(NEXT))?.bundle());
        }
        Ok(self.authority()?.bundle())
    }

    /// Gives every carried folder the bundle; returns those that had another one.
    pub(super) fn spread_trust(&self) -> Result<Vec<PathBuf>, PkiError> {
        let bundle = self.trusted()?;
        let mut written = Vec::new();
        for folder in self.carried()? {
            let file = folder.join(BUNDLE);
            if self.put_if_other(&file, &bundle)? {
                written.push(file);
            }
        }
        Ok(written)
    }

    pub(super) fn put_if_other(&self, file: &Path, text: &str) -> Result<bool, PkiError> {
        let failed = |source| PkiError::Disk { path: file.to_owned(), source };
        if self.exists(file)? && disk::read(&*self.disk, file).map_err(failed)? == text.as_bytes() {
            return Ok(false);
        }
        disk::replace(&*self.disk, file, text.as_bytes()).map_err(failed)?;
        Ok(true)
    }

    /// The folders of hosts and people, sorted.
    pub(super) fn carried(&self) -> Result<Vec<PathBuf>, PkiError> {
        let mut folders = Vec::new();
        for kind in [HOSTS, PEOPLE] {
            let items = self.list(&self.dir.join(kind))?;
            folders.extend(items.into_iter().filter(|item| item.is_dir).map(|item| item.path));
        }
        Ok(folders)
    }

    /// The certificates of a carried folder, without the bundle.
    pub(super) fn leaves(&self, folder: &Path) -> Result<Vec<PathBuf>, PkiError> {
        let items = self.list(folder)?.into_iter();
        let names = items.filter(|item| {
            !item.is_dir
                && item.name.ends_with(".pem")
                && !item.name.ends_with("-key.pem")
                && item.name != BUNDLE
        });
        Ok(names.map(|item| item.path).collect())
    }

    fn list(&self, folder: &Path) -> Result<Vec<disk::DirItem>, PkiError> {
        match self.disk.list(folder) {
            Ok(items) => Ok(items),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(PkiError::Disk { path: folder.to_owned(), source }),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> Result<bool, PkiError> {
        let found = self.disk.exists(path);
        found.map_err(|source| PkiError::Disk { path: path.to_owned(), source })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), PkiError> {
        let path = self.dir.join(to);
        let moved = self.disk.rename(&self.dir.join(from), &path);
        moved.map_err(|source| PkiError::Disk { path, source })
    }

    /// Puts a file or folder away under a name that nothing has.
    pub(super) fn put_away(&self, from: &str, label: &str) -> Result<(), PkiError> {
        let archive = self.dir.join(ARCHIVE);
        let made = self.disk.create_dir_all(&archive);
        made.map_err(|source| PkiError::Disk { path: archive.clone(), source })?;
        let seconds = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut name = format!("{label}-{seconds}");
        while self.exists(&archive.join(&name))? {
            name.push('+');
        }
        self.rename(from, &format!("{ARCHIVE}/{name}"))
    }
}
