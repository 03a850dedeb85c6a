//! The record of one node: its folder, its files, who may use it.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use base::MemberId;
use disk::{Disk, DiskLock};
use lineage::{Configuration, Fence, HighWater, Identity, Refusal, Reservation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Marker, RecordError};

/// Where records are unless a test or a user without rights puts them elsewhere: on the host's own disk, so that it is
/// another than etcd's data wherever there are two.
pub const DEFAULT_ROOT: &str = "/var/lib/etcd-manager/nodes";

const CHARTER: &str = "charter";
const LOCK: &str = "lock";
/// What a retired record is copied as until it is whole. No label ends so.
const DRAFT: &str = ".draft";
/// What is copied when a record is retired.
const COPIED: [&str; 6] = ["fence", "configurations", "reservation", "mark", "peers", CHARTER];
/// What is of the member alone, in the order in which it goes.
const RETIRED: [&str; 5] = ["configurations", "reservation", "mark", "peers", CHARTER];

/// How far the first start of a lineage came here (R2). It only goes forward.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Latch {
    /// The record is made; the node has never had a log here.
    #[default]
    Prepared,
    /// The node has had a log of this lineage. An empty dir is a lost disk from now on, never a fresh one.
    Formed,
}

/// What the record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The data dir that the record belongs to carries the same number.
    pub claim: Uuid,
    /// Cluster, lineage, token, etcd's cluster id.
    pub identity: Identity,
    /// Name of the node in the spec.
    pub node: String,
    /// Where the data dir was last. For people: a moved dir is known by its claim.
    pub data_dir: PathBuf,
    /// How far its first start came.
    pub bootstrap: Latch,
}

/// What a new record is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCharter {
    /// Cluster, lineage, token.
    pub identity: Identity,
    /// Name of the node in the spec.
    pub node: String,
    /// Its data dir, which gets the marker.
    pub data_dir: PathBuf,
}

/// A part of a record: one file.
pub trait Part: Serialize + DeserializeOwned {
    /// Its name in the record's folder.
    const FILE: &'static str;
}

impl Part for Charter {
    const FILE: &'static str = CHARTER;
}

impl Part for Fence {
    const FILE: &'static str = "fence";
}

/// All configurations that may be in force as far as the node knows, oldest first, uncommitted ones too.
impl Part for Vec<Configuration> {
    const FILE: &'static str = "configurations";
}

impl Part for Reservation {
    const FILE: &'static str = "reservation";
}

/// The node's own mark.
impl Part for HighWater {
    const FILE: &'static str = "mark";
}

/// Marks of the other members, as their agents told them.
impl Part for BTreeMap<MemberId, HighWater> {
    const FILE: &'static str = "peers";
}

/// The folder of a node's record.
///
/// # Errors
/// `Name`.
pub fn record_dir(root: &Path, cluster: Uuid, node: &str) -> Result<PathBuf, RecordError> {
    let mut parts = Path::new(node).components();
    let plain = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    if !plain || node.contains('/') {
        return Err(RecordError::Name(node.to_owned()));
    }
    Ok(root.join(cluster.to_string()).join(node))
}

fn hold_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DiskLock>, RecordError> {
    let path = dir.join(LOCK);
    disk.lock(&path).map_err(|source| match source.kind() {
        ErrorKind::WouldBlock => RecordError::InUse { path: dir.to_owned() },
        _ => RecordError::Write { path, source },
    })
}

/// A node's record. Several may look; one process at a time holds it.
#[derive(Debug)]
pub struct Record {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Held by a node while it runs.
    _lock: Option<Box<dyn DiskLock>>,
}

impl Record {
    /// Makes the record of a node and marks its data dir: first the record with a fence that permits the lineage, then the
    /// marker, so that a crash in between leaves a dir that is not managed yet, never one whose record is missing.
    /// Repeating it for the same node and lineage completes what a crash interrupted, and changes nothing otherwise. A record
    /// that only prepared an earlier lineage gives way to one of a higher epoch.
    ///
    /// # Errors
    /// `Exists` if there is another record, or one that knows of a log which is not of this dir; `Claimed`; `Refused` for an
    /// epoch that is over (R3); `Name`, `Write`, `Unreadable`.
    pub fn create(disk: Arc<dyn Disk>, root: &Path, new: &NewCharter) -> Result<Self, RecordError> {
        let dir = record_dir(root, new.identity.cluster, &new.node)?;
        let record = Self { disk, dir, _lock: None };
        let marker = Marker::read(&*record.disk, &new.data_dir)?;
        let before = record.read::<Charter>()?;
        let charter = record.chartered(before.as_ref(), marker.as_ref(), new)?;
        let fence = record.fence_for(before.as_ref(), &new.identity)?;
        let wanted = Marker {
            record: record.dir.clone(),
            claim: charter.claim,
            identity: charter.identity.clone(),
        };
        let dir = record.dir.clone();
        record
            .disk
            .create_dir_all(&dir)
            .map_err(|source| RecordError::Write { path: dir, source })?;
        if let Some(fence) = fence {
            record.write(&fence)?;
        }
        if before.as_ref() != Some(&charter) {
            record.write(&charter)?;
        }
        if marker.as_ref() != Some(&wanted) {
            wanted.write(&*record.disk, &new.data_dir)?;
        }
        Ok(record)
    }

    /// The charter as it is to be.
    fn chartered(
        &self,
        before: Option<&Charter>,
        marker: Option<&Marker>,
        new: &NewCharter,
    ) -> Result<Charter, RecordError> {
        let exists = || RecordError::Exists { path: self.dir.clone() };
        let identity = &new.identity;
        if marker.is_some_and(|it| it.record != self.dir || it.identity.cluster != identity.cluster)
        {
            return Err(exists());
        }
        let Some(before) = before else {
            if marker.is_some_and(|marker| marker.identity != *identity) {
                return Err(exists());
            }
            return Ok(Charter {
                // A dir whose record was lost keeps its claim.
                claim: marker.map_or_else(Uuid::new_v4, |marker| marker.claim),
                identity: identity.clone(),
                node: new.node.clone(),
                data_dir: new.data_dir.clone(),
                bootstrap: Latch::Prepared,
            });
        };
        if identity.epoch < before.identity.epoch {
            let (found, own) = (identity.epoch, before.identity.epoch);
            return Err(RecordError::Refused(Refusal::OtherLineage { found, own })); // R3
        }
        let is_outgrown =
            before.bootstrap == Latch::Prepared && before.identity.epoch < identity.epoch;
        if before.identity != *identity && !is_outgrown {
            return Err(exists());
        }
        match marker {
            // R2, R17: it had a log, and this dir is not the one.
            None if before.bootstrap == Latch::Formed => return Err(exists()),
            Some(marker) if marker.claim != before.claim => {
                let (claimed_by, found) = (before.claim, marker.claim);
                return Err(RecordError::Claimed { path: self.dir.clone(), claimed_by, found });
            }
            Some(marker) if marker.identity != *identity && before.bootstrap == Latch::Formed => {
                return Err(exists());
            }
            _ => {}
        }
        let identity = identity.clone();
        Ok(Charter { identity, data_dir: new.data_dir.clone(), ..before.clone() })
    }

    /// The fence, if it is to be written: one that was there keeps what it promised (R3).
    fn fence_for(
        &self,
        before: Option<&Charter>,
        identity: &Identity,
    ) -> Result<Option<Fence>, RecordError> {
        match self.read::<Fence>()? {
            // It is written before the charter, so it was there.
            None if before.is_some() => Err(RecordError::NoFence { path: self.dir.clone() }),
            None => Ok(Some(Fence::new(identity.cluster, identity.epoch))),
            Some(there) if there.lineage == identity.epoch => Ok(None),
            Some(there) => {
                let next = there.succeed(identity.cluster, identity.epoch);
                next.map(Some).map_err(RecordError::Refused)
            }
        }
    }

    /// Puts away what is of the member whose data dir went into an archive, so that the next member of this name begins
    /// with a record of its own. The fence stays: what the host promised, it promised (R3). Nothing is lost: all of it is copied
    /// to `ROOT/archive/CLUSTER-UUID/LABEL` first. Can be repeated after a crash. Returns where the copy is.
    ///
    /// # Errors
    /// `InUse` if a node runs by it; `Name`, `Write`.
    pub fn retire(
        disk: &dyn Disk,
        root: &Path,
        (cluster, node): (Uuid, &str),
        label: &str,
    ) -> Result<Option<PathBuf>, RecordError> {
        let dir = record_dir(root, cluster, node)?;
        let failed = |source| RecordError::Write { path: dir.clone(), source };
        if !disk.exists(&dir.join(CHARTER)).map_err(failed)? {
            return Ok(None);
        }
        let _lock = hold_lock(disk, &dir)?;
        let archive = root.join("archive").join(cluster.to_string());
        let draft = archive.join(format!("{node}{DRAFT}"));
        disk.create_dir_all(&draft).map_err(failed)?;
        for name in COPIED {
            if disk.exists(&dir.join(name)).map_err(failed)? {
                disk::copy(disk, &dir.join(name), &draft.join(name)).map_err(failed)?;
            }
        }
        disk.sync_dir(&draft).map_err(failed)?;
        let place = disk::archive(disk, &draft, &archive, label).map_err(failed)?;
        // The charter last: while it is there the rest is of its member.
        for name in RETIRED {
            if disk.exists(&dir.join(name)).map_err(failed)? {
                disk.remove_file(&dir.join(name)).map_err(failed)?;
            }
        }
        Ok(Some(place))
    }

    /// The record that a data dir names, held until dropped.
    ///
    /// # Errors
    /// `Missing`, `Claimed`, `InUse`; `Unreadable` and `Format` where it is there and says nothing.
    pub fn hold(disk: Arc<dyn Disk>, marker: &Marker) -> Result<(Self, Charter), RecordError> {
        let dir = marker.record.clone();
        let missing = || RecordError::Missing { path: dir.clone() };
        let record = Self { disk, dir: dir.clone(), _lock: None };
        let charter: Charter = record.read()?.ok_or_else(missing)?;
        if charter.claim != marker.claim {
            let (claimed_by, found) = (charter.claim, marker.claim);
            return Err(RecordError::Claimed { path: dir, claimed_by, found });
        }
        let lock = hold_lock(&*record.disk, &dir)?;
        Ok((Self { _lock: Some(lock), ..record }, charter))
    }

    /// A record to look into, or for the agent to write its own parts of.
    #[must_use]
    pub fn look(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned(), _lock: None }
    }

    /// Reads a part; nothing only if there certainly is no such file (R13).
    ///
    /// # Errors
    /// `Unreadable`, `Format`.
    pub fn read<P: Part>(&self) -> Result<Option<P>, RecordError> {
        let path = self.dir.join(P::FILE);
        let Some(content) = disk::read_checked(&*self.disk, &path)? else { return Ok(None) };
        let part = serde_json::from_slice(&content);
        part.map(Some).map_err(|source| RecordError::Format { path, source })
    }

    /// Replaces a part durably. A part has one writer: the node has configurations, reservation, mark and the charter's
    /// latch, the agent has fence and peers.
    ///
    /// # Errors
    /// `Write`.
    pub fn write<P: Part>(&self, part: &P) -> Result<(), RecordError> {
        let path = self.dir.join(P::FILE);
        let content = serde_json::to_vec(part)
            .map_err(|source| RecordError::Format { path: path.clone(), source })?;
        disk::replace_checked(&*self.disk, &path, &content)
            .map_err(|source| RecordError::Write { path, source })
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
