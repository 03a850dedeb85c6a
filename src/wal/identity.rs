//! Whose log it is, by the head of its first segment. Cheap enough to ask often.

use std::path::Path;

use disk::Disk;
use prost::Message;
use wire::walpb;

use crate::{
    encode::Kind,
    error::{WalError, io_error},
    frames::{Frame, Frames},
    name,
};

/// Records before the metadata: the CRC that begins a segment.
const RECORDS_BEFORE: usize = 1;

/// Reads who wrote a log. Writes nothing, takes no lock, and may be asked while the log is written.
///
/// # Errors
/// [`WalError::Missing`]; [`WalError::Corrupt`] if the head makes no sense; or the disk fails.
pub fn identity(disk: &dyn Disk, dir: &Path) -> Result<walpb::Metadata, WalError> {
    let names = name::list(disk, dir)?;
    let first = names.first().ok_or_else(|| WalError::Missing { dir: dir.to_owned() })?;
    let path = dir.join(first.to_string());
    let mut frames = Frames::open(disk, &path)?;
    let corrupt = |what: String, offset| WalError::Corrupt { path: path.clone(), offset, what };
    for _ in 0..=RECORDS_BEFORE {
        let offset = frames.offset();
        match frames.next().map_err(io_error("read", &path))? {
            Frame::Record(record) if record.kind == Kind::Metadata => {
                return walpb::Metadata::decode(record.payload).map_err(|error| {
                    corrupt(format!("its metadata does not decode: {error}"), offset)
                });
            }
            Frame::Record(_) => {}
            Frame::End => break,
            Frame::Bad(bad) => return Err(corrupt(bad.what.to_owned(), offset)),
        }
    }
    Err(corrupt("it does not begin with its metadata".to_owned(), 0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use disk::sim::SimDisk;

    use super::*;
    use crate::{Wal, WalConfig};

    #[test]
    fn a_log_says_whose_it_is() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let dir = Path::new("/wal");
        let missing = identity(&*disk, dir).unwrap_err();
        assert!(matches!(missing, WalError::Missing { .. } | WalError::Io { .. }), "{missing:?}");
        let metadata = walpb::Metadata { node_id: 7, cluster_id: u64::MAX };
        let config = WalConfig { background: false, ..WalConfig::default() };
        let wal = Wal::create(disk.clone(), dir, metadata, config).unwrap();
        assert_eq!(identity(&*disk, dir).unwrap(), metadata, "while it is open");
        drop(wal);
        assert_eq!(identity(&*disk, dir).unwrap(), metadata);
    }

    #[test]
    fn a_log_without_a_head_is_corrupt() {
        let disk = SimDisk::new();
        let dir = Path::new("/wal");
        disk.create_dir_all(dir).unwrap();
        let path = dir.join("0000000000000000-0000000000000000.wal");
        disk::replace(&disk, &path, &[0xff; 64]).unwrap();
        assert!(matches!(identity(&disk, dir), Err(WalError::Corrupt { .. })));
        disk::replace(&disk, &path, &[0; 64]).unwrap();
        assert!(matches!(identity(&disk, dir), Err(WalError::Corrupt { .. })));
    }
}
