//! What the simulated disk keeps, loses and refuses.

use std::{io::ErrorKind, path::Path};

use proptest::prelude::{ProptestConfig, any, proptest};

use crate::{
    Disk, Open, read, read_checked, replace_checked,
    sim::{Fault, SimDisk},
};

fn disk_with_root() -> (SimDisk, &'static Path) {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/root")).unwrap();
    (disk, Path::new("/root"))
}

/// How many of 100 seeds keep a property.
fn seeds_where(property: impl Fn(u64) -> bool) -> usize {
    (0..100).filter(|seed| property(*seed)).count()
}

#[test]
fn an_unsynced_name_is_kept_or_lost_and_a_synced_one_stays() {
    let kept = seeds_where(|seed| {
        let (disk, root) = disk_with_root();
        let file = disk.open(&root.join("f"), Open::Create).unwrap();
        file.write_at(b"content", 0).unwrap();
        file.sync().unwrap();
        disk.crash(seed);
        match read(&disk, &root.join("f")) {
            Ok(content) => content == b"content",
            Err(_) => false,
        }
    });
    assert!((10..90).contains(&kept), "{kept}: syncing a file does not sync its name");
    let kept = seeds_where(|seed| {
        let (disk, root) = disk_with_root();
        drop(disk.open(&root.join("f"), Open::Create).unwrap());
        disk.sync_dir(root).unwrap();
        disk.crash(seed);
        disk.exists(&root.join("f")).unwrap()
    });
    assert_eq!(kept, 100);
}

#[test]
fn a_length_may_come_without_its_bytes() {
    let holes = seeds_where(|seed| {
        let (disk, root) = disk_with_root();
        let file = disk.open(&root.join("f"), Open::Create).unwrap();
        disk.sync_dir(root).unwrap();
        file.write_at(&[7; 1024], 0).unwrap();
        disk.crash(seed);
        let content = read(&disk, &root.join("f")).unwrap();
        content.len() == 1024 && content.contains(&0)
    });
    assert!(holes > 0);
}

#[test]
fn handles_and_locks_of_before_the_crash_are_dead() {
    let (disk, root) = disk_with_root();
    let file = disk.open(&root.join("f"), Open::Create).unwrap();
    disk.sync_dir(root).unwrap();
    let lock = disk.lock(&root.join("f")).unwrap();
    disk.crash(1);
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.sync().is_err());
    let new = disk.lock(&root.join("f")).unwrap();
    drop(lock);
    assert!(disk.lock(&root.join("f")).is_err(), "the old lock's end does not release the new one");
    drop(new);
}

#[test]
fn the_chosen_write_or_sync_fails_once() {
    let (disk, root) = disk_with_root();
    let file = disk.open(&root.join("f"), Open::Create).unwrap();
    disk.fail_write(2, Fault::Enospc);
    disk.fail_sync(1, Fault::Eio);
    file.write_at(b"1", 0).unwrap();
    assert_eq!(file.write_at(b"2", 1).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(b"3", 1).unwrap();
    let error = file.sync().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
    file.sync().unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_no_more() {
    let (disk, root) = disk_with_root();
    disk.limit_bytes(Some(1000));
    let file = disk.open(&root.join("f"), Open::Create).unwrap();
    file.write_at(&[1; 600], 0).unwrap();
    assert_eq!(disk.free_bytes(root).unwrap(), 400);
    assert_eq!(file.write_at(&[2; 600], 600).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 600, "the next sector does not fit whole");
    assert_eq!(file.write_at(&[2; 1200], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 600);
    assert_eq!(read(&disk, &root.join("f")).unwrap()[..512], [2; 512]);
    assert!(file.set_len(1001).is_err());
    file.write_at(&[3; 1000], 0).unwrap();
    disk.remove_file(&root.join("f")).unwrap();
    assert_eq!(disk.free_bytes(root).unwrap(), 1000);
}

#[test]
fn without_power_nothing_works_until_the_crash() {
    let (disk, root) = disk_with_root();
    let file = disk.open(&root.join("f"), Open::Create).unwrap();
    disk.power_off_after(1);
    file.write_at(b"1", 0).unwrap();
    assert!(file.write_at(b"2", 1).is_err());
    assert!(file.sync().is_err());
    assert!(disk.exists(root).is_err());
    assert!(disk.list(root).is_err());
    disk.crash(3);
    assert!(disk.exists(root).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whenever power goes, a checked file holds the last acknowledged content or the next one.
    #[test]
    fn a_replaced_file_is_old_or_new_wherever_power_goes_r13(
        first in proptest::collection::vec(any::<u8>(), 0..3000),
        second in proptest::collection::vec(any::<u8>(), 0..3000),
        at in 0_u64..12,
        seed in any::<u64>(),
    ) {
        let (disk, root) = disk_with_root();
        let path = root.join("record");
        replace_checked(&disk, &path, &first).unwrap();
        disk.power_off_after(at);
        let done = replace_checked(&disk, &path, &second).is_ok();
        disk.crash(seed);
        let found = read_checked(&disk, &path).unwrap().expect("the name was durable");
        assert!(found == second || (!done && found == first));
    }
}
