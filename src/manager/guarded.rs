//! The records of this host's nodes (docs/on-disk.md): made before a node's first start, read at every look, put away with
//! their member. Only our own node has one: a Go etcd asks nobody.

use std::{
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
};

use base::ErrorChain;
use disk::Disk;
use lineage::{Fence, HighWater, Hold, LogPosition};
use records::{Charter, Latch, Marker, NewCharter, Record, RecordError, record_dir};
use uuid::Uuid;

use crate::{
    generate::Lineage,
    plan::{DataDir, Fact},
    supervise::{child::Account, folders::make_private},
};

/// Where the records of an agent's nodes are: beside its state, so that a lost state dir does not take them along.
pub(crate) fn default_root(state_dir: &Path) -> PathBuf {
    let mut name = state_dir.file_name().unwrap_or_default().to_owned();
    name.push("-records");
    state_dir.with_file_name(name)
}

/// Makes a node's record and marks its data dir, or finds both as they should be (R2, R3, R13, R17).
///
/// # Errors
/// Why it must not be started.
pub(crate) fn prepare(
    disk: &Arc<dyn Disk>,
    root: &Path,
    new: &NewCharter,
    user: Option<&str>,
) -> Result<(), String> {
    let told = |error: RecordError| {
        format!("its record does not allow the start: {} (E-NODE-03)", ErrorChain(&error))
    };
    let failed = |place: &Path, error| format!("{}: {error}", place.display());
    let account = user.map(Account::find).transpose().map_err(|error| error.to_string())?;
    let folder = record_dir(root, new.identity.cluster, &new.node).map_err(told)?;
    for private in [&folder, &new.data_dir] {
        if !disk.exists(private).map_err(|error| failed(private, error))? {
            make_private(&**disk, private).map_err(|error| failed(private, error))?;
        }
    }
    let record = Record::create(disk.clone(), root, new).map_err(told)?;
    // Without root's rights the start itself fails, and says so better.
    let may_give = nix::unistd::Uid::effective().is_root();
    if let Some(account) = account.filter(|account| may_give && !account.is_own()) {
        let marker = Marker::path(&new.data_dir);
        let above = marker.parent().unwrap_or(&new.data_dir);
        let own = [record.dir(), &new.data_dir, above, &marker];
        let files = disk.list(record.dir()).map_err(|error| failed(record.dir(), error))?;
        let files = files.iter().map(|item| item.path.as_path());
        for place in own.into_iter().chain(files) {
            give(place, &account).map_err(|error| failed(place, error))?;
        }
    }
    Ok(())
}

/// The node's user writes its parts.
fn give(place: &Path, account: &Account) -> std::io::Result<()> {
    let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
    if std::fs::metadata(place)?.uid() == uid {
        return Ok(());
    }
    chown(place, Some(uid), Some(gid))
}

/// Puts the record away with the member that it was of; says where, if there was one.
///
/// # Errors
/// Why not.
pub(crate) fn retire(
    disk: &Arc<dyn Disk>,
    root: &Path,
    member: (Uuid, &str),
    label: &str,
) -> Result<Option<PathBuf>, String> {
    Record::retire(&**disk, root, member, label).map_err(|error| ErrorChain(&error).to_string())
}

/// What a node's record says about its data dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// It cannot be relied on (R13).
    Unusable(String),
    /// A recovery was promised (R3).
    Fenced,
    /// It knows of a log, and this is its dir.
    Formed,
    /// It knows of a log, and this dir was never marked as its own.
    Unmarked,
}

/// Asks the record of a node that does not run; nothing if there is none, or it says nothing against a start.
pub(crate) fn word(
    disk: &Arc<dyn Disk>,
    root: &Path,
    lineage: Option<&Lineage>,
    (node, data_dir): (&str, &Path),
) -> Option<Word> {
    read_word(disk, root, lineage, (node, data_dir))
        .unwrap_or_else(|error| Some(Word::Unusable(ErrorChain(&error).to_string())))
}

fn read_word(
    disk: &Arc<dyn Disk>,
    root: &Path,
    lineage: Option<&Lineage>,
    (node, data_dir): (&str, &Path),
) -> Result<Option<Word>, RecordError> {
    let marker = Marker::read(&**disk, data_dir)?;
    let Some((record, charter)) = chartered(disk, root, lineage, (node, marker.as_ref()))? else {
        return Ok(None);
    };
    if let Some(marker) = &marker
        && marker.claim != charter.claim
    {
        let (claimed_by, found) = (charter.claim, marker.claim);
        return Err(RecordError::Claimed { path: record.dir().to_owned(), claimed_by, found });
    }
    let missing = || RecordError::NoFence { path: record.dir().to_owned() };
    let fence: Fence = record.read()?.ok_or_else(missing)?;
    Ok(match (fence.hold, charter.bootstrap, &marker) {
        (Hold::Promised | Hold::Accepted(_), _, _) => Some(Word::Fenced),
        (Hold::Free, Latch::Prepared, _) => None,
        (Hold::Free, Latch::Formed, Some(_)) => Some(Word::Formed),
        (Hold::Free, Latch::Formed, None) => Some(Word::Unmarked),
    })
}

fn chartered(
    disk: &Arc<dyn Disk>,
    root: &Path,
    lineage: Option<&Lineage>,
    (node, marker): (&str, Option<&Marker>),
) -> Result<Option<(Record, Charter)>, RecordError> {
    let dir = match (marker, lineage) {
        (Some(marker), _) => marker.record.clone(),
        (None, Some(lineage)) => record_dir(root, lineage.uuid, node)?,
        (None, None) => return Ok(None),
    };
    let record = Record::look(disk.clone(), &dir);
    Ok(record.read::<Charter>()?.map(|charter| (record, charter)))
}

impl Word {
    /// Why a node is not even restarted by itself.
    pub(crate) fn forbids(&self) -> Option<String> {
        match self {
            Self::Formed => None,
            Self::Fenced => Some("a recovery was promised for it".to_owned()), // R3
            Self::Unusable(reason) => Some(format!("its record: {reason}")),   // R13
            Self::Unmarked => Some("its record knows of a log that is not this one".to_owned()),
        }
    }

    /// What the dir is by this word, given what was found in it; `is_own` if that is the member on record.
    pub(crate) fn judge(&self, found: Fact<DataDir>, is_own: bool) -> Fact<DataDir> {
        match (self, &found) {
            (Self::Unusable(reason), _) => Fact::Unknown(format!("its record: {reason}")),
            (Self::Fenced, _) => Fact::Known(DataDir::Fenced), // R3
            (Self::Formed | Self::Unmarked, Fact::Known(DataDir::Empty)) => {
                Fact::Known(DataDir::Emptied) // R2, R17
            }
            (Self::Unmarked, Fact::Known(DataDir::Formed { .. })) if is_own => {
                Fact::Known(DataDir::Stale) // R17
            }
            (Self::Formed | Self::Unmarked, _) => found,
        }
    }
}

/// Whether a stopped dir's log is older than the mark in its record (R17); nothing is known without one.
pub(crate) fn is_stale(disk: &Arc<dyn Disk>, data_dir: &Path, log: &LogPosition) -> bool {
    let marker = Marker::read(&**disk, data_dir).ok().flatten();
    let record = marker.map(|marker| Record::look(disk.clone(), &marker.record));
    let mark = record.and_then(|record| record.read::<HighWater>().ok().flatten());
    mark.is_some_and(|mark| lineage::staleness(log, [&mark]).is_some())
}

#[cfg(test)]
mod tests;
