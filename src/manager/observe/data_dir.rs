//! What a data dir holds, by the first records of its log. Reads only.

use std::path::Path;

use base::ErrorChain;
use disk::Disk;
use wal::WalError;

use crate::plan::{DataDir, Fact};

/// What an empty data dir may hold: an etcd's folder, a file system's own one, and the file by which a real etcd
/// tries at each start whether it may write there (`fileutil.IsDirWriteable`), seen if it is looked at just then.
const NO_STRANGERS: [&str; 3] = ["member", "lost+found", ".touch"];

/// Looks into a data dir and its WAL dir.
pub(super) fn look(disk: &dyn Disk, data_dir: &Path, wal_dir: Option<&Path>) -> Fact<DataDir> {
    let wal = wal_dir.map_or_else(|| data_dir.join("member/wal"), Path::to_owned);
    let has_log = match wal::exists(disk, &wal) {
        Ok(has_log) => has_log,
        Err(error) => return Fact::Unknown(format!("{}: {error}", wal.display())),
    };
    if has_log {
        return match wal::identity(disk, &wal) {
            Ok(found) => Fact::Known(DataDir::Formed {
                cluster: found.cluster_id.into(),
                member: found.node_id.into(),
            }),
            Err(WalError::Corrupt { .. }) => Fact::Known(DataDir::Damaged),
            Err(error) => Fact::Unknown(ErrorChain(&error).to_string()),
        };
    }
    let names = match names(disk, data_dir) {
        Ok(names) => names,
        Err(error) => return Fact::Unknown(format!("{}: {error}", data_dir.display())),
    };
    if names.iter().any(|name| name == "member") && holds_more_than_folders(disk, data_dir) {
        return Fact::Known(DataDir::Damaged);
    }
    let strangers = names.iter().any(|name| !NO_STRANGERS.contains(&name.as_str()));
    Fact::Known(if strangers { DataDir::Foreign } else { DataDir::Empty })
}

fn names(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<String>> {
    match disk.list(folder) {
        Ok(items) => Ok(items.into_iter().map(|item| item.name).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A store without a log: somebody removed the log. A first start that was killed early leaves only
/// folders, a lock file and the like, which the node itself begins anew.
fn holds_more_than_folders(disk: &dyn Disk, data_dir: &Path) -> bool {
    let snap = names(disk, &data_dir.join("member/snap")).unwrap_or_default();
    let store = names(disk, &data_dir.join("member/kv")).unwrap_or_default();
    snap.iter().any(|name| Path::new(name).extension().is_some_and(|end| end == "snap"))
        || store.iter().any(|name| name == "state.redb")
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use disk::RealDisk;
    use wal::{Wal, WalConfig};
    use wire::walpb;

    use super::*;

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
        let dir = tempfile::tempdir().unwrap();
        let metadata = walpb::Metadata { node_id: 7, cluster_id: u64::MAX };
        let config = WalConfig { background: false, ..WalConfig::default() };
        let log = dir.path().join("member/wal");
        drop(Wal::create(Arc::new(RealDisk), &log, metadata, config).unwrap());
        let formed = DataDir::Formed { cluster: u64::MAX.into(), member: 7.into() };
        assert_eq!(look_at(dir.path()), Fact::Known(formed));
        let elsewhere = look(&RealDisk, &dir.path().join("absent"), Some(&log));
        assert_eq!(elsewhere, Fact::Known(formed), "a WAL dir outside");
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
        drop(fs::File::create(dir.path().join(".touch")).unwrap());
        assert_eq!(look_at(dir.path()), Fact::Known(DataDir::Empty), "a real etcd begins");
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
