//! What a cut takes, and what it never takes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Loss, UndoLog, cut};

const SEEDS: u64 = 40;

/// A watched tree, and the operations as the preloaded library does them.
struct World {
    log: UndoLog,
    root: PathBuf,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let root = top.join("tree");
        fs::create_dir_all(&root).unwrap();
        let log = UndoLog::new(root.clone(), top.join("notes"));
        log.prepare().unwrap();
        Self { log, root, _folder: folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn create(&self, name: &str) -> File {
        let path = self.path(name);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        self.log.create(&path, || options.open(&path)).unwrap()
    }

    fn write(&self, file: &File, offset: u64, bytes: &[u8]) {
        let len = u64::try_from(bytes.len()).unwrap();
        self.log.write(file, Some(offset), len, || file.write_all_at(bytes, offset)).unwrap();
    }

    fn sync(&self, file: &File) {
        self.log.sync_file(file, || Ok(())).unwrap();
    }

    fn sync_names(&self, folder: &Path) {
        self.log.sync_folder(folder, || Ok(())).unwrap();
    }

    /// A file that can no longer be lost.
    fn durable(&self, name: &str, bytes: &[u8]) -> File {
        let file = self.create(name);
        self.write(&file, 0, bytes);
        self.sync(&file);
        self.sync_names(self.path(name).parent().unwrap());
        file
    }

    #[expect(clippy::disallowed_methods, reason = "a rename without a sync is what is tested")]
    fn rename(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        self.log.rename(&from, &to, || fs::rename(&from, &to)).unwrap();
    }

    fn remove(&self, name: &str) {
        let path = self.path(name);
        self.log.remove(&path, || fs::remove_file(&path)).unwrap();
    }

    fn make_folder(&self, name: &str) {
        let path = self.path(name);
        self.log.make_folder(&path, || fs::create_dir_all(&path)).unwrap();
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.unwrap()),
        }
    }
}

/// All that may be found after a cut, over many seeds.
fn outcomes<T: Ord>(prepare: impl Fn(&World), look: impl Fn(&World) -> T) -> (BTreeSet<T>, Loss) {
    let mut seen = BTreeSet::new();
    let mut sum = Loss::default();
    for seed in 0..SEEDS {
        let world = World::new();
        prepare(&world);
        sum += cut(&world.log, seed).unwrap();
        seen.insert(look(&world));
        assert_eq!(cut(&world.log, seed).unwrap(), Loss::default(), "nothing is left to lose");
    }
    (seen, sum)
}

fn set<T: Ord, const COUNT: usize>(items: [T; COUNT]) -> BTreeSet<T> {
    items.into()
}

#[test]
fn an_unsynced_write_may_be_lost_and_a_synced_one_never() {
    let (seen, loss) = outcomes(
        |world| {
            let file = world.durable("a", &[1; 1024]);
            world.write(&file, 0, &[2; 512]);
            world.sync(&file);
            world.write(&file, 512, &[3; 512]);
        },
        |world| {
            let found = world.read("a").unwrap();
            assert_eq!((found.len(), &found[..512]), (1024, &[2; 512][..]));
            found[512]
        },
    );
    assert_eq!(seen, set([1, 3]));
    assert_eq!(loss.sectors_at_stake, SEEDS);
    assert!(loss.sectors > 0 && loss.sectors < SEEDS);
}

#[test]
fn a_write_is_torn_at_sectors_and_in_any_order() {
    let (seen, _) = outcomes(
        |world| {
            let file = world.durable("a", &[1; 1024]);
            world.write(&file, 0, &[2; 1024]);
        },
        |world| {
            let found = world.read("a").unwrap();
            assert!(found[..512].iter().all(|byte| *byte == found[0]), "a sector is whole");
            (found[0], found[512])
        },
    );
    assert_eq!(seen, set([(1, 1), (1, 2), (2, 1), (2, 2)]));
}

#[test]
fn an_unsynced_length_may_be_lost_or_come_without_its_bytes() {
    let grown = outcomes(
        |world| {
            let file = world.durable("a", &[1; 512]);
            world.write(&file, 512, &[2; 512]);
        },
        |world| {
            let found = world.read("a").unwrap();
            (found.len(), found.get(512).copied())
        },
    );
    assert_eq!(grown.0, set([(512, None), (1024, Some(0)), (1024, Some(2))]));
    let cut_off = outcomes(
        |world| {
            let file = world.durable("a", &[1; 1024]);
            world.log.set_len(&file, 100, || file.set_len(100)).unwrap();
        },
        |world| {
            let found = world.read("a").unwrap();
            assert!(found.iter().all(|byte| *byte == 1));
            found.len()
        },
    );
    assert_eq!(cut_off.0, set([100, 1024]));
}

#[test]
fn a_sync_settles_only_what_was_written_before_it_began() {
    let (seen, _) = outcomes(
        |world| {
            let file = world.durable("a", &[1; 1024]);
            world.write(&file, 0, &[2; 512]);
            let during = || {
                world.write(&file, 512, &[3; 512]);
                Ok(())
            };
            world.log.sync_file(&file, during).unwrap();
        },
        |world| {
            let found = world.read("a").unwrap();
            (found[0], found[512])
        },
    );
    assert_eq!(seen, set([(2, 1), (2, 3)]));
}

#[test]
fn a_failed_sync_settles_nothing() {
    let (seen, _) = outcomes(
        |world| {
            let file = world.durable("a", &[1; 512]);
            world.write(&file, 0, &[2; 512]);
            world.log.sync_file(&file, || Err::<(), _>(io::Error::other("broken"))).unwrap_err();
            world.log.sync_folder(&world.root, || Ok(())).unwrap();
        },
        |world| world.read("a").unwrap()[0],
    );
    assert_eq!(seen, set([1, 2]));
}

#[test]
fn a_new_file_needs_the_sync_of_its_folder() {
    let (seen, _) = outcomes(
        |world| {
            world.durable("kept", b"1");
            let file = world.create("new");
            world.write(&file, 0, b"2");
            world.sync(&file);
        },
        |world| {
            assert_eq!(world.read("kept").unwrap(), b"1");
            world.read("new")
        },
    );
    assert_eq!(seen, set([None, Some(b"2".to_vec())]));
}

#[test]
fn a_rename_may_be_undone_until_its_folder_is_synced() {
    let replace = |world: &World| {
        world.durable("a", b"old");
        world.durable("a.tmp", b"new");
        world.rename("a.tmp", "a");
    };
    let both = |world: &World| (world.read("a"), world.read("a.tmp"));
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let (seen, loss) = outcomes(replace, both);
    assert_eq!(seen, set([(old, new.clone()), (new.clone(), None)]));
    assert!(loss.names > 0);
    let synced = |world: &World| {
        replace(world);
        world.sync_names(&world.root);
    };
    assert_eq!(outcomes(synced, both).0, set([(new, None)]));
}

#[test]
fn a_renamed_file_may_lack_its_unsynced_content() {
    let (seen, _) = outcomes(
        |world| {
            world.durable("a", b"old");
            let draft = world.create("a.tmp");
            world.write(&draft, 0, b"new");
            world.rename("a.tmp", "a");
            world.sync_names(&world.root);
        },
        |world| world.read("a").unwrap(),
    );
    assert_eq!(seen, set([Vec::new(), vec![0; 3], b"new".to_vec()]));
}

#[test]
fn a_removal_may_be_undone_until_its_folder_is_synced() {
    let remove = |world: &World| {
        let file = world.durable("a", b"1");
        world.remove("a");
        // It has no name any more, but may get it back.
        world.write(&file, 0, b"2");
        world.sync(&file);
    };
    let (seen, _) = outcomes(remove, |world| world.read("a"));
    assert_eq!(seen, set([None, Some(b"2".to_vec())]));
    let synced = |world: &World| {
        remove(world);
        world.sync_names(&world.root);
    };
    assert_eq!(outcomes(synced, |world| world.read("a")).0, set([None]));
}

#[test]
fn a_lost_folder_takes_what_is_in_it_along() {
    let (seen, _) = outcomes(
        |world| {
            world.make_folder("f");
            world.durable("f/a", b"1");
        },
        |world| (world.path("f").exists(), world.read("f/a")),
    );
    assert_eq!(seen, set([(false, None), (true, Some(b"1".to_vec()))]));
}

#[test]
fn no_change_of_a_name_stays_without_the_earlier_ones() {
    let (seen, _) = outcomes(
        |world| {
            world.durable("a", b"1");
            world.rename("a", "b");
            world.rename("b", "c");
        },
        |world| ["a", "b", "c"].map(|name| world.read(name).is_some()),
    );
    assert_eq!(seen, set([[true, false, false], [false, true, false], [false, false, true]]));
}

#[test]
fn operations_that_were_noted_and_not_done_are_not_undone() {
    let (seen, _) = outcomes(
        |world| {
            let file = world.durable("a", b"1");
            world.durable("b", b"2");
            let killed = || Err::<(), _>(io::Error::other("killed just before"));
            let (a, b) = (world.path("a"), world.path("b"));
            world.log.write(&file, Some(0), 1, killed).unwrap_err();
            world.log.rename(&a, &b, killed).unwrap_err();
            world.log.remove(&a, killed).unwrap_err();
            world.log.create(&world.path("c"), killed).unwrap_err();
        },
        |world| ["a", "b", "c"].map(|name| world.read(name)),
    );
    assert_eq!(seen, set([[Some(b"1".to_vec()), Some(b"2".to_vec()), None]]));
}
