//! What a data dir holds, by the first records of its log. Reads only.

use std::path::Path;

use disk::{Disk, Open};
use prost::Message;
use wire::walpb;

use crate::plan::{DataDir, Fact};

/// Kind of the WAL record that names member and cluster.
const METADATA_RECORD: i64 = 1;
/// The two records at the head of a WAL file are far shorter.
const HEAD_BYTES: usize = 4096;

/// Looks into a data dir and its WAL dir.
pub(super) fn look(disk: &dyn Disk, data_dir: &Path, wal_dir: Option<&Path>) -> Fact<DataDir> {
    let wal = wal_dir.map_or_else(|| data_dir.join("member/wal"), Path::to_owned);
    let found = names(disk, data_dir).and_then(|names| Ok((names, names_of_logs(disk, &wal)?)));
    let (names, logs) = match found {
        Ok(found) => found,
        Err(error) => return Fact::Unknown(format!("{}: {error}", data_dir.display())),
    };
    if let Some(log) = logs.first() {
        return match metadata(disk, &wal.join(log)) {
            Ok(Some(found)) => Fact::Known(DataDir::Formed {
                cluster: found.cluster_id.into(),
                member: found.node_id.into(),
            }),
            Ok(None) => Fact::Known(DataDir::Damaged),
            Err(error) => Fact::Unknown(format!("{}: {error}", wal.join(log).display())),
        };
    }
    if names.iter().any(|name| name == "member") && holds_more_than_folders(disk, data_dir) {
        return Fact::Known(DataDir::Damaged);
    }
    let strangers = names.iter().any(|name| name != "member" && name != "lost+found");
    Fact::Known(if strangers { DataDir::Foreign } else { DataDir::Empty })
}

fn names(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<String>> {
    match disk.list(folder) {
        Ok(items) => Ok(items.into_iter().map(|item| item.name).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn names_of_logs(disk: &dyn Disk, wal: &Path) -> std::io::Result<Vec<String>> {
    let mut logs = names(disk, wal)?;
    logs.retain(|name| Path::new(name).extension().is_some_and(|end| end == "wal"));
    Ok(logs)
}

/// A store without a log: somebody removed the log. A first start that was killed early leaves only
/// folders, a lock file and the like, which the node itself begins anew.
fn holds_more_than_folders(disk: &dyn Disk, data_dir: &Path) -> bool {
    let snap = names(disk, &data_dir.join("member/snap")).unwrap_or_default();
    let store = names(disk, &data_dir.join("member/kv")).unwrap_or_default();
    snap.iter().any(|name| Path::new(name).extension().is_some_and(|end| end == "snap"))
        || store.iter().any(|name| name == "state.redb")
}

/// Reads frames (8 bytes of length, the record, padding) until the metadata record.
fn metadata(disk: &dyn Disk, log: &Path) -> std::io::Result<Option<walpb::Metadata>> {
    let mut head = vec![0; HEAD_BYTES];
    let count = disk.open(log, Open::Read)?.read_at(&mut head, 0)?;
    let mut rest = &head[..count];
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let field = u64::from_le_bytes(*length);
        let bytes = usize::try_from(field & ((1 << 56) - 1)).unwrap_or(usize::MAX);
        // The top bit says that there is padding; three bits below it say how much.
        let padding =
            if field >> 63 == 1 { usize::try_from((field >> 56) & 7).unwrap_or(0) } else { 0 };
        let Some(frame) = after.get(..bytes).filter(|frame| !frame.is_empty()) else { break };
        let Ok(record) = walpb::Record::decode(frame) else { break };
        if record.r#type == METADATA_RECORD {
            let found = record.data.and_then(|metadata| walpb::Metadata::decode(metadata).ok());
            return Ok(found);
        }
        rest = after.get(bytes + padding..).unwrap_or_default();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use disk::RealDisk;

    use super::*;

    fn frame(record: &walpb::Record) -> Vec<u8> {
        let body = record.encode_to_vec();
        let padding = (8 - body.len() % 8) % 8;
        let mut field = u64::try_from(body.len()).unwrap();
        if padding > 0 {
            field |= (0x80 | u64::try_from(padding).unwrap()) << 56;
        }
        let mut bytes = field.to_le_bytes().to_vec();
        bytes.extend(body);
        bytes.extend(vec![0; padding]);
        bytes
    }

    fn dir_with_log(content: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("member/wal")).unwrap();
        let log = dir.path().join("member/wal/0000000000000000-0000000000000000.wal");
        #[expect(clippy::disallowed_methods, reason = "test input")]
        fs::write(log, content).unwrap();
        dir
    }

    fn look_at(dir: &Path) -> Fact<DataDir> {
        look(&RealDisk, dir, None)
    }

    #[test]
    fn a_formed_dir_names_cluster_and_member() {
        let metadata = walpb::Metadata { node_id: 7, cluster_id: u64::MAX };
        let crc = walpb::Record { r#type: 4, crc: 0, data: None };
        let body = Some(metadata.encode_to_vec().into());
        let named = walpb::Record { r#type: METADATA_RECORD, crc: 3, data: body };
        let dir = dir_with_log(&[frame(&crc), frame(&named)].concat());
        let formed = DataDir::Formed { cluster: u64::MAX.into(), member: 7.into() };
        assert_eq!(look_at(dir.path()), Fact::Known(formed));
    }

    #[test]
    fn a_log_without_metadata_is_damaged() {
        assert_eq!(look_at(dir_with_log(&[0xff; 64]).path()), Fact::Known(DataDir::Damaged));
        assert_eq!(look_at(dir_with_log(&[]).path()), Fact::Known(DataDir::Damaged));
    }

    #[test]
    fn nothing_and_folders_of_a_first_start_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look_at(&dir.path().join("absent")), Fact::Known(DataDir::Empty));
        assert_eq!(look_at(dir.path()), Fact::Known(DataDir::Empty));
        fs::create_dir_all(dir.path().join("member/snap")).unwrap();
        assert_eq!(look_at(dir.path()), Fact::Known(DataDir::Empty));
    }

    #[test]
    fn a_store_without_its_log_is_damaged_and_other_files_are_foreign() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("member/snap")).unwrap();
        drop(fs::File::create(dir.path().join("member/snap/1-2.snap")).unwrap());
        assert_eq!(look_at(dir.path()), Fact::Known(DataDir::Damaged));
        let other = tempfile::tempdir().unwrap();
        drop(fs::File::create(other.path().join("holiday.jpg")).unwrap());
        assert_eq!(look_at(other.path()), Fact::Known(DataDir::Foreign));
    }

    /// "Cannot tell" is not "empty" (R13).
    #[test]
    fn an_unreadable_dir_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        drop(fs::File::create(&file).unwrap());
        assert!(matches!(look_at(&file), Fact::Unknown(_)));
    }
}
