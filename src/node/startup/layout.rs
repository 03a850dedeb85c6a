//! The folders of a member: where things are, what was found there, and making them ours.

use std::{
    io,
    path::{Path, PathBuf},
};

use disk::{Disk, DiskLock};

use super::StartupError;

/// What stands at `member/snap/db`, where a Go etcd has its database: that one refuses the file, and
/// whoever opens it reads why.
pub const GUARD: &str = "\
This data dir belongs to etcd-node, of the etcd-manager project.
Its key space is in member/kv/state.redb; this file only keeps a Go etcd from starting here, which
would silently rebuild a second key space from the log. See docs/on-disk.md.
";

/// Paths in a data dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `--data-dir`.
    pub data: PathBuf,
    /// `member`.
    pub member: PathBuf,
    /// The log: `member/wal`, or `--wal-dir`.
    pub wal: PathBuf,
    /// `member/snap`: `.snap` files, and snapshots on their way.
    pub snap: PathBuf,
    /// `member/kv`.
    pub kv: PathBuf,
    /// `member/kv/state.redb`.
    pub store: PathBuf,
    /// `member/snap/db`: see [`GUARD`].
    pub guard: PathBuf,
    /// `member/lock`.
    pub lock: PathBuf,
}

/// What a data dir holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No log: the member never ran here.
    Nothing,
    /// A log of ours.
    Formed,
}

impl Layout {
    /// The paths of a member.
    #[must_use]
    pub fn new(data_dir: &Path, wal_dir: &Path) -> Self {
        let member = data_dir.join("member");
        let (snap, kv) = (member.join("snap"), member.join("kv"));
        Self {
            data: data_dir.to_owned(),
            wal: wal_dir.to_owned(),
            store: kv.join("state.redb"),
            guard: snap.join("db"),
            lock: member.join("lock"),
            member,
            snap,
            kv,
        }
    }

    /// Looks without touching anything.
    pub(super) fn look(&self, disk: &dyn Disk) -> Result<Found, StartupError> {
        let exists = |path: &Path| disk.exists(path).map_err(StartupError::disk("look for", path));
        let proxy = self.data.join("proxy");
        if exists(&proxy)? {
            let both = exists(&self.member)?;
            return Err(StartupError::DataDir(if both {
                format!(
                    "invalid datadir {}: both member and proxy directories exist",
                    self.data.display()
                )
            } else {
                format!(
                    "{} is there: this data dir is of a v2 proxy, which is not served",
                    proxy.display()
                )
            }));
        }
        let guarded = self.is_guarded(disk)?;
        let formed = wal::exists(disk, &self.wal)
            .map_err(StartupError::disk("look for a log in", &self.wal))?;
        if formed && !guarded {
            return Err(StartupError::DataDir(format!(
                "there is a log in {} but no {}: this data dir was not made by etcd-node; nothing was touched",
                self.wal.display(),
                self.guard.display()
            )));
        }
        if !formed && exists(&self.store)? && !self.is_unused(disk)? {
            return Err(StartupError::Inconsistent(format!(
                "{} holds snapshots but {} holds no log: the log was lost or is elsewhere (--wal-dir)",
                self.snap.display(),
                self.wal.display()
            )));
        }
        Ok(if formed { Found::Formed } else { Found::Nothing })
    }

    /// Whether our guard stands there. A database of a Go etcd in its place is an error.
    fn is_guarded(&self, disk: &dyn Disk) -> Result<bool, StartupError> {
        match self.guard(disk).map_err(StartupError::disk("read", &self.guard))? {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => Err(StartupError::DataDir(format!(
                "{} is the database of a Go etcd: this version cannot take over its data dir; nothing was touched",
                self.guard.display()
            ))),
        }
    }

    /// Whether what stands in the guard's place is our guard; nothing if the place is empty.
    pub(crate) fn guard(&self, disk: &dyn Disk) -> io::Result<Option<bool>> {
        match read_start(disk, &self.guard) {
            Ok(content) => Ok(Some(content == GUARD.as_bytes())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether no `.snap` was ever written: then a first start was interrupted before its log.
    fn is_unused(&self, disk: &dyn Disk) -> Result<bool, StartupError> {
        let items = disk.list(&self.snap).map_err(StartupError::disk("list", &self.snap))?;
        Ok(!items.iter().any(|item| item.name.ends_with(".snap")))
    }

    /// Makes the folders, locks the dir against other processes, and puts the guard in its place.
    pub(super) fn take(&self, disk: &dyn Disk) -> Result<Box<dyn DiskLock>, StartupError> {
        for folder in [&self.member, &self.snap, &self.kv] {
            disk.create_dir_all(folder).map_err(StartupError::disk("make the folder", folder))?;
        }
        let lock = disk.lock(&self.lock).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StartupError::InUse { path: self.lock.clone() },
            _ => StartupError::disk("lock", &self.lock)(error),
        })?;
        if !self.is_guarded(disk)? {
            disk::replace(disk, &self.guard, GUARD.as_bytes())
                .map_err(StartupError::disk("write", &self.guard))?;
        }
        Ok(lock)
    }
}

/// The beginning of a file, somewhat more than the guard is long.
fn read_start(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, disk::Open::Read)?;
    let mut start = vec![0; GUARD.len() + 1];
    let count = file.read_at(&mut start, 0)?;
    start.truncate(count);
    Ok(start)
}
