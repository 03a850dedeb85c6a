//! The record of one node: its folder, its files, who may use it.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use base::MemberId;
use disk::{Disk, DiskLock};
use lineage::{Configuration, Fence, HighWater, Identity, Reservation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Marker, RecordError};

/// Where records are unless a test or a user without rights puts them elsewhere: on the host's own disk, so that it is
/// another than etcd's data wherever there are two.
pub const DEFAULT_ROOT: &str = "/var/lib/etcd-manager/nodes";

const CHARTER: &str = "charter";
const LOCK: &str = "lock";

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
    /// Repeating it for the same node and lineage completes what a crash interrupted.
    ///
    /// # Errors
    /// `Exists` if there is another record or marker; `Name`, `Write`, `Unreadable`.
    pub fn create(disk: Arc<dyn Disk>, root: &Path, new: &NewCharter) -> Result<Self, RecordError> {
        let dir = record_dir(root, new.identity.cluster, &new.node)?;
        let record = Self { disk, dir, _lock: None };
        let marker = Marker::read(&*record.disk, &new.data_dir)?;
        let exists = || RecordError::Exists { path: record.dir.clone() };
        let charter = match record.read::<Charter>()? {
            Some(there) if there.identity != new.identity || there.bootstrap != Latch::Prepared => {
                return Err(exists());
            }
            Some(there) => Charter { data_dir: new.data_dir.clone(), ..there },
            None => Charter {
                // A dir whose record was lost keeps its claim.
                claim: marker.as_ref().map_or_else(Uuid::new_v4, |marker| marker.claim),
                identity: new.identity.clone(),
                node: new.node.clone(),
                data_dir: new.data_dir.clone(),
                bootstrap: Latch::Prepared,
            },
        };
        let wanted = Marker {
            record: record.dir.clone(),
            claim: charter.claim,
            identity: charter.identity.clone(),
        };
        if marker.is_some_and(|there| there != wanted) {
            return Err(exists());
        }
        let dir = record.dir.clone();
        record
            .disk
            .create_dir_all(&dir)
            .map_err(|source| RecordError::Write { path: dir, source })?;
        if record.read::<Fence>()?.is_none() {
            record.write(&Fence::new(new.identity.cluster, new.identity.epoch))?;
        }
        record.write(&charter)?;
        wanted.write(&*record.disk, &new.data_dir)?;
        Ok(record)
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
        let path = dir.join(LOCK);
        let lock = record.disk.lock(&path).map_err(|source| match source.kind() {
            ErrorKind::WouldBlock => RecordError::InUse { path: dir.clone() },
            _ => RecordError::Write { path: path.clone(), source },
        })?;
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
