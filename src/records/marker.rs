//! The marker in a data dir: this dir is managed, and here is its record. Without it a dir is plain etcd's.

use std::path::{Path, PathBuf};

use disk::Disk;
use lineage::Identity;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::RecordError;

/// Where it stands in a data dir. Both etcds pass over it.
const PLACE: &str = "member/managed";

/// The content of a marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The record's folder.
    pub record: PathBuf,
    /// The same number as in the record's charter: a record belongs to one data dir.
    pub claim: Uuid,
    /// Lineage of what is in the dir.
    pub identity: Identity,
}

impl Marker {
    /// The marker's path.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(PLACE)
    }

    /// Reads the marker; nothing if the dir is not managed.
    ///
    /// # Errors
    /// `Unreadable`, `Format`: whether the dir is managed, and by which record, is unknown.
    pub fn read(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Self>, RecordError> {
        let path = Self::path(data_dir);
        let Some(content) = disk::read_checked(disk, &path)? else { return Ok(None) };
        let marker = serde_json::from_slice(&content);
        marker.map(Some).map_err(|source| RecordError::Format { path, source })
    }

    /// Makes the dir managed. The record must be durable before.
    ///
    /// # Errors
    /// `Write`.
    pub fn write(&self, disk: &dyn Disk, data_dir: &Path) -> Result<(), RecordError> {
        let path = Self::path(data_dir);
        let content = serde_json::to_vec(self)
            .map_err(|source| RecordError::Format { path: path.clone(), source })?;
        let folder = data_dir.join("member");
        disk.create_dir_all(&folder)
            .and_then(|()| disk::replace_checked(disk, &path, &content))
            .map_err(|source| RecordError::Write { path, source })
    }
}
