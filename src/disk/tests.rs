//! What every disk promises, checked on the real and on the simulated one.

mod crash;
mod real;

use std::{io::ErrorKind, path::Path};

use super::{
    CheckedError, Disk, Open, RealDisk, archive, copy, read, read_checked, replace,
    replace_checked, sim::SimDisk,
};

/// One test per line and disk: `name => function(disk, root)`.
macro_rules! on_both_disks {
    ($($name:ident),* $(,)?) => {
        mod on_real_disk {
            $(#[test]
            fn $name() {
                let root = tempfile::tempdir().unwrap();
                super::$name(&super::RealDisk, root.path());
            })*
        }
        mod on_simulated_disk {
            $(#[test]
            fn $name() {
                let disk = super::SimDisk::new();
                let root = std::path::Path::new("/root");
                super::Disk::create_dir_all(&disk, root).unwrap();
                super::$name(&disk, root);
            })*
        }
    };
}

on_both_disks!(
    bytes_are_read_where_they_were_written,
    a_file_is_opened_only_as_asked,
    a_read_only_file_refuses_writes,
    folders_list_their_names_in_order,
    a_rename_replaces_files_but_never_folders,
    a_folder_moves_with_its_content,
    missing_things_are_not_found,
    a_lock_is_exclusive_until_dropped_and_survives_a_rename,
    a_shared_lock_keeps_the_exclusive_one_out_and_makes_no_file,
    replaced_content_is_read_back,
    a_copy_equals_its_source,
    damaged_checked_files_are_never_absent_r13,
    archives_keep_everything_r4,
    free_bytes_are_known,
);

fn bytes_are_read_where_they_were_written(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("f"), Open::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_at(b"world", 6).unwrap();
    file.write_at(b"hello ", 0).unwrap();
    assert_eq!(file.len().unwrap(), 11);
    let mut buffer = [0xff; 20];
    assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 9);
    assert_eq!(&buffer[..9], b"llo world");
    assert_eq!(file.read_at(&mut buffer, 11).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 4000).unwrap(), 0);
    file.set_len(5).unwrap();
    file.set_len(8).unwrap();
    file.write_at(b"!", 9).unwrap();
    file.sync().unwrap();
    assert_eq!(read(disk, &root.join("f")).unwrap(), b"hello\0\0\0\0!");
}

fn a_file_is_opened_only_as_asked(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    for how in [Open::Read, Open::Write] {
        assert_eq!(disk.open(&path, how).unwrap_err().kind(), ErrorKind::NotFound);
    }
    drop(disk.open(&path, Open::Create).unwrap());
    assert_eq!(disk.open(&path, Open::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
    disk.open(&path, Open::Write).unwrap().write_at(b"kept", 0).unwrap();
    assert_eq!(disk.open(&path, Open::Create).unwrap().len().unwrap(), 4);
}

fn a_read_only_file_refuses_writes(disk: &dyn Disk, root: &Path) {
    replace(disk, &root.join("f"), b"old").unwrap();
    let file = disk.open(&root.join("f"), Open::Read).unwrap();
    assert!(file.write_at(b"new", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(read(disk, &root.join("f")).unwrap(), b"old");
}

fn folders_list_their_names_in_order(disk: &dyn Disk, root: &Path) {
    disk.create_dir_all(&root.join("b/inner")).unwrap();
    disk.create_dir_all(&root.join("b/inner")).unwrap();
    replace(disk, &root.join("c"), b"123").unwrap();
    replace(disk, &root.join("B"), b"").unwrap();
    let items = disk.list(root).unwrap();
    let brief: Vec<_> =
        items.iter().map(|item| (item.name.as_str(), item.is_dir, item.len)).collect();
    assert_eq!(brief, [("B", false, 0), ("b", true, 0), ("c", false, 3)]);
    assert_eq!(items[2].path, root.join("c"));
    assert!(disk.exists(&root.join("b/inner")).unwrap());
    disk.remove_file(&root.join("B")).unwrap();
    assert!(!disk.exists(&root.join("B")).unwrap());
    assert!(disk.remove_file(&root.join("b")).is_err(), "a folder is not a file");
    assert!(disk.create_dir_all(&root.join("c/d")).is_err(), "a file is not a folder");
    disk.sync_dir(root).unwrap();
}

fn a_rename_replaces_files_but_never_folders(disk: &dyn Disk, root: &Path) {
    replace(disk, &root.join("a"), b"a").unwrap();
    replace(disk, &root.join("b"), b"b").unwrap();
    disk.create_dir_all(&root.join("empty")).unwrap();
    disk.create_dir_all(&root.join("other")).unwrap();
    disk.rename(&root.join("a"), &root.join("b")).unwrap();
    assert_eq!(read(disk, &root.join("b")).unwrap(), b"a");
    assert!(!disk.exists(&root.join("a")).unwrap());
    for from in ["b", "other"] {
        let error = disk.rename(&root.join(from), &root.join("empty")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
}

fn a_folder_moves_with_its_content(disk: &dyn Disk, root: &Path) {
    disk.create_dir_all(&root.join("x/y")).unwrap();
    disk.create_dir_all(&root.join("z")).unwrap();
    replace(disk, &root.join("x/y/f"), b"deep").unwrap();
    disk.rename(&root.join("x"), &root.join("z/x")).unwrap();
    assert_eq!(read(disk, &root.join("z/x/y/f")).unwrap(), b"deep");
    assert!(!disk.exists(&root.join("x")).unwrap());
}

fn missing_things_are_not_found(disk: &dyn Disk, root: &Path) {
    let gone = root.join("gone");
    let missing = |outcome: std::io::Result<()>| {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    };
    missing(disk.list(&gone).map(drop));
    missing(disk.rename(&gone, &root.join("new")));
    missing(disk.remove_file(&gone));
    missing(disk.sync_dir(&gone));
    missing(disk.open(&gone.join("f"), Open::Create).map(drop));
    missing(disk.lock(&gone.join("f")).map(drop));
    missing(read(disk, &gone).map(drop));
    missing(archive(disk, &gone, &root.join("archive"), "gone").map(drop));
    assert!(!disk.exists(&gone).unwrap());
}

fn a_shared_lock_keeps_the_exclusive_one_out_and_makes_no_file(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    assert_eq!(disk.lock_shared(&path).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!disk.exists(&path).unwrap());
    let held = disk.lock(&path).unwrap();
    assert_eq!(disk.lock_shared(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    let (one, other) = (disk.lock_shared(&path).unwrap(), disk.lock_shared(&path).unwrap());
    assert_eq!(disk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(one);
    assert_eq!(disk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(other);
    drop(disk.lock(&path).unwrap());
}

fn a_lock_is_exclusive_until_dropped_and_survives_a_rename(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let held = disk.lock(&path).unwrap();
    assert_eq!(held.path(), path);
    assert_eq!(disk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    disk.rename(&path, &root.join("moved")).unwrap();
    assert_eq!(disk.lock(&root.join("moved")).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(disk.open(&root.join("moved"), Open::Write).unwrap());
    assert!(disk.lock(&root.join("moved")).is_err(), "closing another handle releases nothing");
    drop(held);
    drop(disk.lock(&root.join("moved")).unwrap());
    drop(disk.lock(&root.join("moved")).unwrap());
}

fn replaced_content_is_read_back(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    for content in [&b"a longer first content"[..], b"short", b""] {
        replace(disk, &path, content).unwrap();
        assert_eq!(read(disk, &path).unwrap(), content);
    }
    let names: Vec<_> = disk.list(root).unwrap().into_iter().map(|item| item.name).collect();
    assert_eq!(names, ["f"], "no draft is left");
    // A draft of a crashed earlier attempt is no obstacle and leaves no trace.
    disk.open(&root.join("f.tmp"), Open::Create).unwrap().write_at(&[9; 100], 0).unwrap();
    replace(disk, &path, b"new").unwrap();
    assert_eq!(read(disk, &path).unwrap(), b"new");
}

fn a_copy_equals_its_source(disk: &dyn Disk, root: &Path) {
    let content: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    replace(disk, &root.join("from"), &content).unwrap();
    replace(disk, &root.join("to"), &[1; 700_000]).unwrap();
    copy(disk, &root.join("from"), &root.join("to")).unwrap();
    assert!(read(disk, &root.join("to")).unwrap() == content);
}

fn damaged_checked_files_are_never_absent_r13(disk: &dyn Disk, root: &Path) {
    let path = root.join("record");
    assert!(read_checked(disk, &path).unwrap().is_none());
    replace_checked(disk, &path, b"line 1\nline 2").unwrap();
    assert_eq!(read_checked(disk, &path).unwrap().unwrap(), b"line 1\nline 2");
    let good = read(disk, &path).unwrap();
    for cut in 0..good.len() {
        replace(disk, &path, &good[..cut]).unwrap();
        assert!(matches!(read_checked(disk, &path), Err(CheckedError::Damaged { .. })), "{cut}");
    }
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        replace(disk, &path, &bad).unwrap();
        let outcome = read_checked(disk, &path);
        assert!(matches!(outcome, Err(CheckedError::Damaged { .. })), "{position}");
    }
    disk.create_dir_all(&root.join("folder")).unwrap();
    let outcome = read_checked(disk, &root.join("folder"));
    assert!(matches!(outcome, Err(CheckedError::Read { .. })), "{outcome:?}");
}

fn archives_keep_everything_r4(disk: &dyn Disk, root: &Path) {
    let vault = root.join("archive");
    let mut places = Vec::new();
    for content in [b"one", b"two", b"333"] {
        disk.create_dir_all(&root.join("node/member")).unwrap();
        replace(disk, &root.join("node/member/f"), content).unwrap();
        places.push(archive(disk, &root.join("node"), &vault, "node-1").unwrap());
        assert!(!disk.exists(&root.join("node")).unwrap());
    }
    assert_eq!(places, ["node-1", "node-1.1", "node-1.2"].map(|name| vault.join(name)));
    assert_eq!(read(disk, &places[0].join("member/f")).unwrap(), b"one");
    assert_eq!(read(disk, &places[2].join("member/f")).unwrap(), b"333");
    for label in ["", ".", "..", "a/b", "a/", "/a"] {
        let error = archive(disk, &places[0], &vault, label).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{label:?}");
    }
}

fn free_bytes_are_known(disk: &dyn Disk, root: &Path) {
    assert!(disk.free_bytes(root).unwrap() > 0);
    assert!(disk.free_bytes(&root.join("gone")).is_err());
}
